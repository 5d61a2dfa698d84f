"""Texts of partners and operators, made fit for documents that cannot hold every character."""

from __future__ import annotations

import re

REPLACEMENT = "\ufffd"

# What XML 1.0 cannot hold: control characters, halves of surrogate pairs, and the last two code points of the first plane.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
_SPACES = re.compile(r"\s+")
_ACCOUNT_SHOWN = 4


def one_line(text: str) -> str:
    r"""The text in one line; what a document cannot hold is shown as U+FFFD, so that nothing vanishes unseen.

    >>> one_line("A\n & B\x00")
    'A & B�'
    """
    return _FORBIDDEN.sub(REPLACEMENT, _SPACES.sub(" ", text)).strip()


def masked(account: str | None) -> str:
    """An account number as people and logs may see it: its last four characters.

    >>> masked("DE89370400440532013000")
    '****3000'
    """
    if account is None:
        return "none"
    plain = "".join(account.split())
    return "****" + (plain[-_ACCOUNT_SHOWN:] if len(plain) > 2 * _ACCOUNT_SHOWN else "")
