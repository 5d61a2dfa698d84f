"""What somebody meets who types something wrong, leaves in the middle, or pipes what is printed elsewhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from console.main import app
from engine.aggregates.refusal import for_a_person
from tests.console.test_commands import FILE, RULEBOOK, Ran, Settle, filled, settle
from tests.histories import charged, registered, signed

__all__ = ["filled", "settle"]


def commands() -> Iterator[tuple[str, Any]]:
    def under(command: Any, path: str) -> Iterator[tuple[str, Any]]:
        yield path, command
        for name, each in getattr(command, "commands", {}).items():
            yield from under(each, f"{path} {name}")

    yield from under(typer.main.get_command(app), "settle")


def test_every_option_and_argument_of_every_command_says_what_it_is() -> None:
    silent = [f"{path} {each.opts[-1]}" for path, command in commands() for each in command.params if not each.help]
    assert silent == []


def test_what_needs_no_word_is_among_the_commands_with_its_options(settle: Settle) -> None:
    for group, word, option in (
        ("statement", "of", "--version"),
        ("points", "of", "--at"),
        ("audit", "period", "--archive"),
    ):
        assert re.search(rf"^  {word}  ", settle(group, "--help").out, re.MULTILINE), group
        assert option in settle(group, word, "--help").out


def test_the_version_is_told(settle: Settle) -> None:
    assert settle("--version").out == "settle (tantieme) 0.1.0\n"


SENTENCES = [
    ("it is closed; close it first (settle close 2026-10), and this message is recycled by itself",
     "it is closed; close it first (settle close 2026-10)"),
    ("bob cannot approve it; have somebody else approve it, send it under a new id, and write this message off",
     "bob cannot approve it; have somebody else approve it"),
    ("an adjustment is not 0; give such an amount or reject the discrepancy, under a new id, and write this message off",
     "an adjustment is not 0; give such an amount or reject the discrepancy"),
    ("partner P-1 is blocked; send its partner.unblocked, and this message is recycled by itself, or write it off",
     "partner P-1 is blocked; send its partner.unblocked"),
    ("contract C-1 is already signed; sign changed terms as a new contract, and write this message off",
     "contract C-1 is already signed; sign changed terms as a new contract"),
    ("it is approved; revoke it, and write this message off; or send what came before it, and this message is recycled by itself",
     "it is approved; revoke it"),
    ("send it with other days under a new id, and write this message off", "send it with other days"),
]  # fmt: skip


@pytest.mark.parametrize(("sentence", "said"), SENTENCES)
def test_a_person_is_not_told_what_the_sender_of_a_message_can_do(sentence: str, said: str) -> None:
    assert for_a_person(sentence) == said


REGISTER = ("partner", "register", "P-9", "--kind", "agent", "--by", "ann")
RESOLVE = ("discrepancy", "resolve", "C-1", "2026-10", "net", "--by", "a", "--approved-by", "b", "--reason", "r")
# What is typed, the exit status, and what the sentence says.
WRONG: list[tuple[tuple[str, ...], int, str]] = [
    ((*REGISTER, "--name", ""), 1, "settle: name: is empty; say what it is"),
    ((*REGISTER, "--name", "X", "--country", "Germany"), 1, "'Germany' is no country of two capital letters"),
    (("partner", "change", "P-1", "--by", "ann"), 1, "settle: nothing is changed; give name"),
    (RESOLVE, 1, "settle: a resolution has an amount, or accepts the partner's figure; give one of the two\n"),
    (("statement", "list", "--state", "payed"), 2, "'payed' is none of published, disputed"),
    (("run-day", "tomorrow"), 2, "'tomorrow' is not a day such as"),
    (("journal", "balance", "--at", "2026-13-01"), 2, "'2026-13-01' is not a day such as"),
    (("journal", "list", "--from", "1.10.2026"), 2, "'1.10.2026' is not a day such as"),
    (("points", "P-1", "--at", "31/10/2026"), 2, "'31/10/2026' is not a day such as"),
    (("restate", "--contract", "C-77"), 1, "contract C-77 is not signed"),
    (("score", "P-77", "2026-10"), 1, "partner P-77 is not registered"),
    (("archive", "--to", "{file}"), 1, "is no folder; name one with --to"),
    (("rulebook", "check", "{book}", "--facts", "{empty}"), 1, "is empty; name the facts file"),
    (("rulebook", "check", "{book}", "--facts", "{missing}"), 1, "name the facts file"),
    (("export", "payout", "--day", "2026-10-31", "-o", "{missing}", "--operator", "{empty}"), 1, "name the operator file"),
    (("export", "payout", "--day", "tomorrow", "-o", "{missing}", "--operator", "{empty}"), 2, "is not a day such as"),
    (("produce", "{missing}", "--bootstrap", "localhost:1"), 1, "missing cannot be read: No such file"),
    (("produce", "{file}", "--bootstrap", "localhost:x"), 2, "'localhost:x' is not HOST:PORT"),
    (("produce", "{file}", "--bootstrap", "localhost:1", "--topic", "a b"), 2, "'a b' is no name of a topic"),
    (("consume", "--bootstrap", "", "--until-end"), 2, "'' is not HOST:PORT"),
    (("consume", "--bootstrap", "a:1,b c:2", "--until-end"), 2, "'a:1,b c:2' is not HOST:PORT"),
    (("consume", "--bootstrap", "localhost:1", "--topics", "a,,b"), 2, "'' is no name of a topic"),
    (("outbox", "send", "--bootstrap", "localhost:1", "--prefix", "x y"), 2, "'x y' is no name of a topic"),
]  # fmt: skip


@pytest.fixture
def names(tmp_path: Path) -> dict[str, Path]:
    found = {name: tmp_path / name for name in ("file", "empty", "missing", "book")}
    found["file"].write_bytes(FILE)
    found["empty"].touch()
    found["book"].write_text(RULEBOOK)
    return found


@pytest.mark.parametrize(("arguments", "status", "said"), WRONG)
def test_what_is_wrong_is_said_with_what_to_do(
    filled: Settle, names: dict[str, Path], arguments: tuple[str, ...], status: int, said: str
) -> None:
    ran = filled(*(each.format_map(names) for each in arguments))
    assert (ran.status, ran.out) == (status, "")
    assert said in ran.err
    assert "defect" not in ran.err


def test_who_registers_a_partner_again_is_told_how_to_change_it(filled: Settle) -> None:
    ran = filled("partner", "register", "P-1", "--name", "X", "--kind", "agent", "--by", "ann")
    assert ran.status == 1
    assert ran.err.endswith("send partner.changed for what is to change, or another partner under an id of its own\n")


@pytest.mark.parametrize("address", ["mysql://ann:hush@db/x", "hush"])
def test_what_is_no_address_of_a_server_is_said_without_its_password(
    settle: Settle, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("SETTLE_DATABASE_URL", address)
    ran = settle("status")
    assert (ran.status, ran.out) == (1, "")
    assert "write postgresql://user:password@host/database" in ran.err
    assert "hush" not in ran.err


def test_a_file_that_is_missing_stops_an_ingest_before_any_other_is_read(
    settle: Settle, names: dict[str, Path]
) -> None:
    assert settle("ingest", str(names["file"]), str(names["missing"])).status == 1
    assert settle("status", "--json").json["consumed"] == 0


def test_a_file_may_begin_with_the_mark_of_utf_8(settle: Settle, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + b"\r\n".join([registered(), signed(), charged("1")]))
    assert settle("ingest", str(path), "--json").json == {"recorded": 3, "duplicate": 0, "suspended": 0, "rejected": 0}


def test_suspense_says_how_much_it_does_not_show(filled: Settle) -> None:
    assert (
        "1 shown (--limit 0 shows all, --after 1 those that follow)" in filled("suspense", "list", "--limit", "1").out
    )
    assert len(filled("suspense", "list", "--limit", "0", "--json").json) == 2
    assert filled("suspense", "list", "--code", "none").out.endswith("0 found\n")


def test_a_long_message_is_shown_in_part_and_says_so(settle: Settle, tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(b"x" * 2_500)
    settle("ingest", str(tmp_path / "long"))
    assert settle("suspense", "show", "1").out.endswith("x\nand 500 characters more; --json has them all\n")


def test_a_period_in_which_nobody_settles_is_not_passed_over_in_silence(filled: Settle) -> None:
    assert "no contract that settles weekly is in force in it" in filled("close", "2026-W40").out
    assert "no contract that settles" not in filled("close", "2026-10").out


def test_a_contract_is_shown_whole(filled: Settle) -> None:
    filled("close", "2026-10")
    digest = filled("statement", "C-1", "2026-10", "--json").json["digest"]
    shown = filled("contract", "show", "C-1").out
    assert digest in re.sub(r"\s", "", shown)
    assert re.search(r"terminated +no\b", shown)


def test_a_journal_without_what_was_asked_for_says_so(filled: Settle) -> None:
    assert "nothing is in the journal; settle close" in filled("journal", "balance").out
    filled("close", "2026-10")
    assert "nothing in the journal is so" in filled("journal", "balance", "--contract", "C-77").out
    assert filled("journal", "list", "--contract", "C-77").out.endswith("0 found\n")


def test_a_deposit_is_shown_in_its_currency(filled: Settle) -> None:
    filled("deposit", "pay", "C-1", "500.50", "--currency", "CNY")
    assert filled("deposit", "show", "C-1", "--json").json["held"] == "500.5"


OUTPUTS = [("export", "beancount"), ("journal", "export")]


@pytest.mark.parametrize("command", OUTPUTS)
def test_an_output_that_cannot_be_written_is_refused(filled: Settle, tmp_path: Path, command: tuple[str, ...]) -> None:
    ran = filled(*command, "-o", str(tmp_path / "missing" / "file"))
    assert ran.status == 1
    assert "file cannot be written: No such file or directory; name a file in a folder that is there" in ran.err


@pytest.mark.parametrize("command", OUTPUTS)
def test_an_output_that_is_no_plain_file_is_written_to_and_stays(
    filled: Settle, tmp_path: Path, command: tuple[str, ...]
) -> None:
    filled("close", "2026-10")
    printed, pipe = filled(*command).out, tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE, text=True) as reader:
        assert filled(*command, "-o", str(pipe)).status == 0
        assert reader.communicate()[0] == printed
    assert pipe.is_fifo()


def test_a_pack_takes_the_place_of_nothing_but_a_file(filled: Settle, tmp_path: Path) -> None:
    filled("close", "2026-10")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    ran = filled("audit", "pack", "2026-10", "-o", str(tmp_path / "pipe"))
    assert (ran.status, "is no plain file" in ran.err) == (1, True)
    assert (tmp_path / "pipe").is_fifo()
    assert filled("audit", "pack", "2026-10", "-o", str(tmp_path / "link")).status == 0
    assert (tmp_path / "link").is_symlink()
    assert filled("audit", "verify", str(tmp_path / "target")).status == 0


def test_an_output_takes_the_place_of_what_a_link_names(filled: Settle, tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("before")
    link.symlink_to(target)
    assert filled("journal", "export", "-o", str(link)).status == 0
    assert link.is_symlink()
    assert target.read_text().startswith("day,position")
    assert sorted(each.name for each in tmp_path.iterdir() if "part" in each.name) == []


# Without a store: what happens is over before one is opened.
def _started(code: str, *arguments: str, **how: Any) -> Ran:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False, cwd=Path.cwd(), **how
    )
    return Ran(done.returncode, done.stdout, done.stderr)


INTERRUPTED = """
import os, signal, sys
from console.start import main

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "console.main":
            try:
                os.kill(os.getpid(), signal.SIGINT)
                signal.pause()
            except BaseException:
                pass  # as a library that is being loaded may do

sys.meta_path.insert(0, Interrupting())
sys.argv = ["settle", "rulebook", "cases"]
main()
"""


def test_who_interrupts_while_the_command_is_being_loaded_sees_no_traceback() -> None:
    ran = _started(INTERRUPTED, timeout=60)
    assert ran == Ran(130, "", "settle: interrupted before it began\n")


CLOSED = """
import os, sys
for number in map(int, sys.argv[1:]):
    os.close(number)
os.execv(sys.executable, [sys.executable, "-c", "from console.start import main; import sys; sys.argv = ['settle', 'rulebook', 'cases']; main()"])
"""


@pytest.mark.parametrize("closed", ["1", "2"])
def test_an_output_that_is_closed_is_no_defect(closed: str) -> None:
    ran = _started(CLOSED, closed, timeout=120)
    assert (ran.status, ran.err) == (0, "")


FULL = "import sys; from console.start import main; sys.argv = ['settle', 'rulebook', 'cases', *sys.argv[1:]]; main()"


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="no /dev/full here")
@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_a_full_disk_is_said(arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", FULL, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr == (
        "settle: what it prints cannot be read or written: No space left on device; mend that and run it again\n"
    )


def test_everything_that_takes_json_prints_json(filled: Settle, tmp_path: Path) -> None:
    """Of the commands that take no name of anything."""
    filled("close", "2026-10")
    alone = [
        path.split()[1:]
        for path, command in commands()
        if any("--json" in each.opts for each in command.params)
        and not any(each.required for each in command.params)
        and not {"demo", "archive"} & set(path.split())
    ]
    assert len(alone) > 20
    told = {" ".join(each): filled(*each, "--json") for each in alone}
    for ran in told.values():
        assert ran.status == 1 or json.loads(ran.out) is not None, ran
    assert {name for name, ran in told.items() if ran.status} == {
        "export beancount",
        "journal export",
        "secret-key exchange",
    }
