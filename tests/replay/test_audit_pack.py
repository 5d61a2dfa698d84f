"""Packs: one file that proves a period, of which no byte can be changed unseen, and none forged that has the same root."""

from __future__ import annotations

import base64
import io
import json
import random
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from engine.settlement.statements import view
from engine.store.database import Store
from replay.audit import signing
from replay.audit.container import Damaged, Writer, members_of
from replay.audit.findings import Check
from replay.audit.packing import NotClosed, NotPackable, pack
from replay.audit.signing import UnusableKey
from replay.audit.verifying import NotAPack, verify
from tests.replay.audited import Audited, audited, late, packed
from tests.replay.test_restate import close, simple
from tests.settlement.test_chains import DECEMBER, NOVEMBER, OCTOBER, charge
from tests.settlement.test_recording import store, take

__all__ = ["store"]

SEED = bytes(range(32))
KEY = Ed25519PrivateKey.from_private_bytes(SEED)
PUBLIC = KEY.public_key().public_bytes_raw().hex()


@pytest.fixture(scope="module")
def packs(postgres: str) -> dict[tuple[str, str], bytes]:
    return {name: each.pack for name, each in audited(postgres).items()}


@pytest.fixture
def small(packs: dict[tuple[str, str], bytes], tmp_path: Path) -> Path:
    path = tmp_path / "small.pack"
    path.write_bytes(packs["late", "2026-10"])
    return path


def contents(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as read:
        return {name: read.read(name) for name in read.namelist()}


def forged(path: Path, members: dict[str, bytes]) -> Path:
    """A pack of whatever members, whose container is without fault."""
    with path.open("w+b") as file:
        writer = Writer(file)
        for name, data in members.items():
            writer.add(name, data)
        writer.close()
    return path


def remade(members: dict[str, bytes]) -> dict[str, bytes]:
    """The members, with a manifest that states them."""
    import hashlib

    manifest = json.loads(members["manifest.json"])
    for row in manifest["members"]:
        data = members[row["name"]]
        row |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        row["rows"] = data.count(b"\n") if row["name"].endswith(".jsonl") else 0
    return members | {"manifest.json": canonical(manifest)}


def canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def test_every_pack_verifies_says_the_root_and_is_a_zip_that_others_read(
    packs: dict[tuple[str, str], bytes], tmp_path: Path, postgres: str
) -> None:
    for name, data in packs.items():
        path = tmp_path / "-".join(name)
        path.write_bytes(data)
        found = verify(path)
        assert found.proof.failed == [], name
        in_store: Audited = audited(postgres)[name]
        assert (found.proof.root, found.proof.statements) == (in_store.proof.root, in_store.proof.statements)
        assert found.size == len(data)
        with zipfile.ZipFile(path) as read:
            assert read.testzip() is None
            assert {info.compress_type for info in read.infolist()} == {zipfile.ZIP_STORED}


def test_its_root_is_the_one_on_the_statements_that_partners_hold(store: Store, tmp_path: Path) -> None:
    late(store)
    pack(store, OCTOBER, tmp_path / "p")
    with store.reading() as cursor:
        root = view(cursor, "C-1", OCTOBER).statement["root"]
    assert verify(tmp_path / "p", root=root.upper()).proof.ok
    (failed,) = verify(tmp_path / "p", root="0" * 64).proof.failed
    assert (failed.check, f"its root is {root}" in failed.sentence) == (Check.root, True)


def test_the_same_closings_give_the_same_bytes_whatever_comes_later(store: Store) -> None:
    simple(store, charge("1", "100", 10))
    close(store, OCTOBER)
    first = packed(store, OCTOBER)
    take(store, charge("late", "7", 10), charge("2", "10", 11))
    close(store, NOVEMBER)
    assert packed(store, OCTOBER) == first


def test_what_no_closing_commits_to_is_not_packed(store: Store, tmp_path: Path) -> None:
    simple(store, charge("1", "100", 10))
    with pytest.raises(NotClosed, match="settle close 2026-10"):
        pack(store, OCTOBER, tmp_path / "p")
    close(store, OCTOBER)
    with pytest.raises(NotPackable, match="cannot be written"):
        pack(store, OCTOBER, tmp_path / "nowhere" / "p")
    assert list(tmp_path.iterdir()) == []


def test_every_byte_of_a_pack_counts(small: Path) -> None:
    data = small.read_bytes()
    places: set[str] = set()
    with small.open("r+b", buffering=0) as file:
        for at, was in enumerate(data):
            file.seek(at)
            file.write(bytes([was ^ (1 << at % 8)]))
            with pytest.raises(Damaged) as damaged:
                verify(small)
            places.add(damaged.value.where)
            file.seek(at)
            file.write(bytes([was]))
    members = [member.name for member in members_of(io.BytesIO(data))]
    assert {f"member {name}" for name in members} | {"the zip's directory"} <= places


def test_a_changed_byte_is_named_by_its_member(small: Path) -> None:
    data = small.read_bytes()
    for what, where in [
        (b'\\"amount\\":100000000', "member events.jsonl"), (b"What is in it", "member README.txt"),
        (b"currency: CNY\n", "member rulebooks/simple@1.yaml"), (b'"closings"', "member manifest.json"),
    ]:  # fmt: skip
        at = data.rindex(what)
        small.write_bytes(data[: at + 3] + bytes([data[at + 3] ^ 1]) + data[at + 4 :])
        with pytest.raises(Damaged, match=f"{where}: a byte of it was changed"):
            verify(small)
    for changed in (data + b"x", data[:-1], b"x" + data, data[:-2] + b"\1\0x"):
        small.write_bytes(changed)
        with pytest.raises(Damaged):
            verify(small)


def test_random_damage_is_refused_in_words(small: Path, tmp_path: Path) -> None:
    data = small.read_bytes()
    path = tmp_path / "damaged"
    drawn = random.Random(4)  # noqa: S311
    for _ in range(2_000):
        path.write_bytes(_damaged(data, drawn))
        if path.read_bytes() == data:
            continue
        with pytest.raises((Damaged, NotAPack)) as refused:
            verify(path)
        assert len(str(refused.value)) > 20


def _damaged(data: bytes, drawn: random.Random) -> bytes:
    at, length = drawn.randrange(len(data)), drawn.randrange(1, 60)
    match drawn.randrange(5):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + data[at + length :]
        case 2:
            return data[:at] + drawn.randbytes(length) + data[at:]
        case 3:
            other = drawn.randrange(len(data))
            return data[:at] + data[other : other + length] + data[at + length :]
        case _:
            return data[:at] + drawn.randbytes(length) + data[at + length :]


def test_a_pack_remade_around_a_change_does_not_prove_it(packs: dict[tuple[str, str], bytes], tmp_path: Path) -> None:
    """The container is without fault: what is found is found in the proof, or in what the pack says of itself.

    These packs cite nothing: of what is cited, only what was taken over is proved.
    """
    drawn = random.Random(7)  # noqa: S311
    found, refused = 0, 0
    for name in (("late", "2026-10"), ("converted", "2026-10")):
        members = contents(packs[name])
        for _ in range(60):
            changed = dict(members)
            member = drawn.choice(["events.jsonl", "statements.jsonl"])
            changed[member] = _edited(members[member], drawn)
            if changed[member] == members[member]:
                continue
            path = forged(tmp_path / "forged", remade(changed))
            try:
                assert not verify(path).proof.ok, changed[member]
                found += 1
            except Damaged:
                refused += 1
    assert found > 20
    assert refused > 20


def _edited(text: bytes, drawn: random.Random) -> bytes:
    lines = text.splitlines(keepends=True)
    at = drawn.randrange(len(lines))
    match drawn.randrange(5):
        case 0:
            del lines[at]
        case 1:
            lines.insert(at, lines[at])
        case 2:
            lines[at : at + 2] = reversed(lines[at : at + 2])
        case 3:
            digits = [i for i, byte in enumerate(lines[at]) if chr(byte).isdigit()]
            place = drawn.choice(digits)
            lines[at] = lines[at][:place] + str(drawn.randrange(10)).encode() + lines[at][place + 1 :]
        case _:
            said = json.loads(lines[at])
            said[drawn.choice(["position", "recorded_at", "version"])] += drawn.choice([-1, 1, 2**70])
            lines[at] = canonical(said) + b"\n"
    return b"".join(lines)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: {name: m[name] for name in m if name != "events.jsonl"}, "member events.jsonl: it is missing"),
        (lambda m: {"README.txt": b"", **m, "zzz": b"x"}, "no pack has it there"),
        (lambda m: m | {"README.txt": m["README.txt"] + b"pay me"}, "not those that the manifest states"),
        (lambda m: remade(m | {"README.txt": m["README.txt"] + b"pay me"}), "it is not the text"),
        (lambda m: remade(m | {"rulebooks/simple@1.yaml": b"x"}), "not the text that events.jsonl states"),
        (lambda m: m | {"manifest.json": m["manifest.json"].replace(b'"format":1', b'"format":3')}, "is of format 3"),
        (lambda m: m | {"manifest.json": m["manifest.json"].replace(b'"format":1', b'"format": 1')}, "canonical form"),
        (lambda m: m | {"manifest.json": m["manifest.json"].replace(b'"number":1', b'"number":2')}, "what the pack holds"),
        (lambda m: m | {"manifest.json": b"[" * 100_000}, "cannot be read"),
        (lambda m: m | {"manifest.json": m["manifest.json"].replace(b"2026-10", b"2026-99")}, "not a period"),
        (lambda m: remade(m | {"statements.jsonl": b""}), "it has no closing of 2026-10"),
        (lambda m: remade(m | {"events.jsonl": m["events.jsonl"] + b"x"}), "or does not end"),
        (lambda m: remade(m | {"events.jsonl": m["events.jsonl"].replace(b'{"name', b'{ "name', 1)}), "canonical form"),
        (lambda m: remade(m | {"events.jsonl": m["statements.jsonl"]}), "belongs into statements.jsonl"),
        (lambda m: m | {"signature.json": b'{"algorithm":"none"}'}, "no signature by Ed25519"),
    ],
)  # fmt: skip
def test_what_is_no_pack_is_refused_in_words(small: Path, change, words: str) -> None:
    members = change(contents(small.read_bytes()))
    with pytest.raises(Damaged, match=words.replace("[", ".")):
        verify(forged(small, members))


def test_what_belongs_to_nothing_is_not_hidden_in_a_pack(packs: dict[tuple[str, str], bytes], tmp_path: Path) -> None:
    ours, theirs = contents(packs["late", "2026-11"]), contents(packs["guaranteed", "2026-12"])
    extra = next(
        line for line in theirs["events.jsonl"].splitlines(keepends=True) if b'"charge' in line or b'\\"3\\"' in line
    )
    said = json.loads(extra) | {"position": 10**6}
    members = remade(ours | {"events.jsonl": ours["events.jsonl"] + canonical(said) + b"\n"})
    (failed,) = verify(forged(tmp_path / "p", members)).proof.failed
    assert "belong to nothing that was issued" in failed.sentence


def test_a_pack_made_over_whole_from_forged_events_verifies_and_has_another_root(
    store: Store, packs: dict[tuple[str, str], bytes], tmp_path: Path
) -> None:
    simple(store, charge("1", "100000", 10, attributes={"province": "GD"}), charge("1b", "3", 10))
    close(store, OCTOBER)
    path = tmp_path / "forged"
    path.write_bytes(packed(store, OCTOBER))
    (tmp_path / "true").write_bytes(packs["late", "2026-10"])
    true = verify(tmp_path / "true").proof.root
    assert verify(path).proof.ok
    assert verify(path).proof.root != true
    (failed,) = verify(path, root=true).proof.failed
    assert "it proves another settlement than that one" in failed.sentence


def test_a_signed_pack_is_by_its_key_and_an_unsigned_one_says_so(store: Store, tmp_path: Path) -> None:
    simple(store, charge("1", "100", 10))
    close(store, OCTOBER)
    path = tmp_path / "signed"
    assert pack(store, OCTOBER, path, KEY).public_key == PUBLIC
    assert verify(path).public_key == PUBLIC
    assert verify(path, key=PUBLIC).proof.ok
    (failed,) = verify(path, key="00" * 32).proof.failed
    assert (failed.check, "it is signed by" in failed.sentence) == (Check.signature, True)
    members = contents(path.read_bytes())
    signature = json.loads(members["signature.json"])
    for wrong in (
        signature | {"public_key": "00" * 32},
        signature | {"signature": "00" * 64},
        signature | {"signature": "x"},
    ):
        with pytest.raises(Damaged, match=r"member signature.json: the signature is not that of manifest.json"):
            verify(forged(tmp_path / "wrong", members | {"signature.json": canonical(wrong)}))
    unsigned = forged(tmp_path / "unsigned", {name: data for name, data in members.items() if name != "signature.json"})
    assert (verify(unsigned).public_key, verify(unsigned).proof.ok) == (None, True)
    (failed,) = verify(unsigned, key=PUBLIC).proof.failed
    assert "it is not signed" in failed.sentence


def test_keys_are_read_in_every_form_and_never_repeated(tmp_path: Path) -> None:
    pem = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    (tmp_path / "key").write_text(pem)
    for text in (pem, SEED.hex(), base64.b64encode(SEED).decode(), f"@{tmp_path / 'key'}"):
        assert signing.private_key(text).private_bytes_raw() == SEED
    public = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    for text in (public, PUBLIC, base64.b64encode(bytes.fromhex(PUBLIC)).decode()):
        assert signing.public_key(text) == PUBLIC
    for wrong in ("hunter2", pem.replace("MC4", "MC5"), "@/nowhere", SEED.hex()[:-2], "-----BEGIN PRIVATE KEY-----"):
        for read in (signing.private_key, signing.public_key):
            with pytest.raises(UnusableKey) as refused:
                read(wrong)
            assert "hunter2" not in str(refused.value)
            assert refused.value.__cause__ is None


def test_verifying_needs_no_database_and_no_data_folder(small: Path, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    script = (
        "import socket, sys\n"
        "def refuse(*_): raise SystemExit('a socket was opened')\n"
        "socket.socket.connect = refuse\n"
        f"sys.argv = ['settle', 'audit', 'verify', {str(small)!r}, '--json']\n"
        "from console.main import main\n"
        "main()\n"
    )
    root = Path(__file__).resolve().parents[2]
    ran = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env={"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert json.loads(ran.stdout)["ok"] is True
    assert list(folder.iterdir()) == []


def test_a_period_with_adjustments_holds_the_versions_that_they_are_of(packs: dict[tuple[str, str], bytes]) -> None:
    lines = [json.loads(line) for line in contents(packs["guaranteed", str(DECEMBER)])["statements.jsonl"].splitlines()]
    assert [line["name"] for line in lines] == [
        "statement.closed", "statement.closed", "statement.restated", "statement.restated", "statement.closed",
        "period.closed",
    ]  # fmt: skip
