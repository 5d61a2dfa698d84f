"""Rulebook files as a person names them."""

from __future__ import annotations

from pathlib import Path

from console.session import refuse
from engine.rules.check import check
from engine.rules.model import Rulebook

_BYTES_MAX = 262_144


def read(path: Path, what: str = "rulebook") -> str:
    """The text of a file of YAML; `what` says what is in it."""
    try:
        if path.stat().st_size > _BYTES_MAX:
            refuse(f"{path} has more than {_BYTES_MAX:,} bytes; the {what} is smaller than that")
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        refuse(f"{path} is not text in UTF-8; the {what} file is YAML")
    except OSError as error:
        refuse(f"{path} cannot be read: {error.strerror}; name the {what} file (YAML)")
    if what != "rulebook" and not text.strip():
        refuse(f"{path} is empty; name the {what} file (YAML)")
    return text


def read_sound(path: Path) -> tuple[Rulebook, str]:
    """The rulebook and its text; refuses one with errors."""
    text = read(path)
    checked = check(text, str(path))
    errors = [problem for problem in checked.problems if problem.severity == "error"]
    if checked.rulebook is None or errors:
        number = "1 error" if len(errors) == 1 else f"{len(errors)} errors, the first"
        refuse(f"{path} has {number}: {errors[0]}; see settle rulebook check {path}")
    return checked.rulebook, text
