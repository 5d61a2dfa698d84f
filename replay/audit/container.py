"""The container of a pack: a zip whose every byte follows from what it holds, so that nothing can hide in it.

Members are stored, not compressed, in the order in which they were written; no times, no comments, no flags. The reader takes
no header at its word: it makes each one anew from the name, size and CRC-32 that it found, and compares. So the same contents are
the same bytes, on every machine, and a byte that differs is found with its place. Source: PKWARE's APPNOTE 6.3.10.
"""

from __future__ import annotations

import hashlib
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

from engine.aggregates.refusal import Refused

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_END64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR = struct.Struct("<4sIQI")
# Version 4.5 of the format (zip64), made on Unix; 1980-01-01, the first day that a zip can state; a file that all may read.
_NEEDED, _MADE_BY, _DAY, _MODE = 45, (3 << 8) | 45, 0x21, 0o100644 << 16
_MAX32, _MAX16 = 0xFFFFFFFF, 0xFFFF
_CHUNK = 1 << 20
_NAME = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._@/-]{0,199}")
MEMBERS_MAX = 100_000


class Member(NamedTuple):
    """What a pack holds under a name: where its bytes begin in the file, how many there are, and their digests."""

    name: str
    start: int
    size: int
    crc: int
    sha256: str


class Damaged(Refused):
    """The file is not, byte for byte, a pack. `where` names the member, or the zip's directory."""

    code = "pack-damaged"

    def __init__(self, where: str, sentence: str) -> None:
        super().__init__(f"{where}: {sentence}")
        self.where = where
        self.sentence = sentence


def _local(member: Member) -> bytes:
    """The header before a member's bytes. Sizes always stand in its zip64 field, so that it can be written before they are known."""
    name = member.name.encode()
    extra = struct.pack("<2H2Q", 1, 16, member.size, member.size)
    return (
        _LOCAL.pack(b"PK\3\4", _NEEDED, 0, 0, 0, _DAY, member.crc, _MAX32, _MAX32, len(name), len(extra)) + name + extra
    )


def _central(member: Member) -> bytes:
    name = member.name.encode()
    header = member.start - len(_local(member))
    extra = struct.pack("<2H3Q", 1, 24, member.size, member.size, header)
    return (
        _CENTRAL.pack(
            b"PK\1\2", _MADE_BY, _NEEDED, 0, 0, 0, _DAY, member.crc, _MAX32, _MAX32, len(name), len(extra), 0, 0, 0,
            _MODE, _MAX32,
        ) + name + extra
    )  # fmt: skip


def _directory(members: list[Member]) -> bytes:
    """Everything behind the last member's bytes."""
    start = members[-1].start + members[-1].size if members else 0
    entries = b"".join(map(_central, members))
    number = len(members)
    return (
        entries
        + _END64.pack(b"PK\6\6", 44, _MADE_BY, _NEEDED, 0, 0, number, number, len(entries), start)
        + _LOCATOR.pack(b"PK\6\7", 0, start + len(entries), 1)
        + _END.pack(b"PK\5\6", _MAX16, _MAX16, _MAX16, _MAX16, _MAX32, _MAX32, 0)
    )


class Writer:
    """Writes members one after the other; `close` adds the directory. The file can be read back and forth."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.members: list[Member] = []
        self._open: tuple[str, int] | None = None
        self._size, self._crc, self._sha = 0, 0, hashlib.sha256()

    def begin(self, name: str) -> None:
        """What is written from now on belongs to this member."""
        assert self._open is None, self._open
        assert _NAME.fullmatch(name.encode()), name
        assert all(name != member.name for member in self.members), name
        header = len(_local(Member(name, 0, 0, 0, "")))
        self._open = name, self._file.tell() + header
        self._file.write(bytes(header))
        self._size, self._crc, self._sha = 0, 0, hashlib.sha256()

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._size += len(data)
        self._crc = zlib.crc32(data, self._crc)
        self._sha.update(data)

    def end(self) -> Member:
        assert self._open is not None
        name, start = self._open
        member = Member(name, start, self._size, self._crc, self._sha.hexdigest())
        self._file.seek(start - len(_local(member)))
        self._file.write(_local(member))
        self._file.seek(start + self._size)
        self.members.append(member)
        self._open = None
        return member

    def add(self, name: str, data: bytes) -> Member:
        self.begin(name)
        self.write(data)
        return self.end()

    def close(self) -> None:
        assert self._open is None, self._open
        self._file.write(_directory(self.members))


def members_of(file: IO[bytes]) -> list[Member]:
    """The members of a pack, in order, after every byte of the file was compared. Raises Damaged."""
    file.seek(0, 2)
    whole = file.tell()
    file.seek(0)
    found: list[Member] = []
    names: set[str] = set()
    while True:
        at = file.tell()
        magic = file.read(4)
        file.seek(at)
        if magic != b"PK\3\4":
            break
        member = _member(file, whole)
        if member.name in names or len(found) >= MEMBERS_MAX:
            raise Damaged(f"member {member.name}", "it is there twice, or there are too many")
        names.add(member.name)
        found.append(member)
    if not found:
        raise Damaged(
            "the header at byte 0", "it is none that a pack has: this is no pack, or its first bytes were changed"
        )
    expected = _directory(found)
    rest = file.read(len(expected) + 1)
    if rest != expected:
        place = next((i for i, (one, other) in enumerate(zip(rest, expected, strict=False)) if one != other), None)
        if place is None:
            place = min(len(rest), len(expected))
        said = f"byte {file.tell() - len(rest) + place} of the file is not what the members make it"
        raise Damaged("the zip's directory", f"{said}; something was changed, added or cut off there")
    return found


def _member(file: IO[bytes], whole: int) -> Member:
    at = file.tell()
    fixed = file.read(_LOCAL.size)
    if len(fixed) < _LOCAL.size:
        raise Damaged("the zip's directory", f"the file ends within a header, at byte {whole}")
    *_, crc, _, _, name_bytes, extra_bytes = _LOCAL.unpack(fixed)
    name, extra = file.read(name_bytes), file.read(extra_bytes)
    if not _NAME.fullmatch(name) or len(extra) != struct.calcsize("<2H2Q"):
        raise Damaged(f"the header at byte {at}", "it is none that a pack has: its name or its length was changed")
    text = name.decode()
    size = struct.unpack("<2H2Q", extra)[2]
    start = file.tell()
    if size > whole - start:
        raise Damaged(f"the header of member {text}", f"it says {size} bytes, and the file has {whole - start} more")
    found, digest, left = 0, hashlib.sha256(), size
    while left:
        chunk = file.read(min(_CHUNK, left))
        if not chunk:
            raise Damaged(f"member {text}", "the file ends within it")
        found, left = zlib.crc32(chunk, found), left - len(chunk)
        digest.update(chunk)
    member = Member(text, start, size, found, digest.hexdigest())
    if found != crc:
        raise Damaged(
            f"member {text}", f"a byte of it was changed: its CRC-32 is {found:08x}, and its header says {crc:08x}"
        )
    if fixed + name + extra != _local(member):
        raise Damaged(f"the header of member {text}", "it is not what its name, size and contents make it")
    return member


def lines_of(path: Path, member: Member, line_bytes_max: int) -> Iterator[bytes]:
    """The member's lines, each without its newline. Raises Damaged."""
    with path.open("rb") as file:
        file.seek(member.start)
        left = member.size
        while left:
            line = file.readline(min(left, line_bytes_max + 1))
            if not line.endswith(b"\n"):
                raise Damaged(f"member {member.name}", f"a line is longer than {line_bytes_max} bytes, or does not end")
            left -= len(line)
            yield line[:-1]


def bytes_of(path: Path, member: Member, size_max: int) -> bytes:
    """All of a small member. Raises Damaged."""
    if member.size > size_max:
        raise Damaged(
            f"member {member.name}", f"it has {member.size} bytes, and no pack has more than {size_max} there"
        )
    with path.open("rb") as file:
        file.seek(member.start)
        return file.read(member.size)
