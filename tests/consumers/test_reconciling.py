"""A partner's own figures: what a file of them may be, and what differs from the statement."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from consumers.figures import BYTES_MAX, UnreadableFigures, figures_of
from consumers.reconciling import Reconciled, reconcile
from engine.settlement.reconciling import matched
from engine.settlement.recording import CommandRefused
from engine.store import recorder, relations
from engine.store.database import Store
from tests.settlement.test_chains import OCTOBER
from tests.settlement.test_notes import CONFIRMED, PUBLISHED, closed, state
from tests.settlement.test_recording import store, take

__all__ = ["store"]

NOW = datetime(2026, 11, 7, tzinfo=UTC)
SAID = {
    "currency": "CNY",
    "payable": "50.00",
    "lines": [
        {"name": "gross", "amount": "100", "clause": None},
        {"name": "uses", "amount": "7", "clause": None, "unit": "sms"},
        {"name": "net", "amount": "50.00", "clause": "2"},
    ],
    "due": [{"currency": "CNY", "amount": "50.00", "parties": [{"party": "artist", "amount": "45.00"}]}],
}


def csv(folder: Path, raw: bytes | str) -> Path:
    path = folder / "own.csv"
    path.write_bytes(raw if isinstance(raw, bytes) else raw.encode())
    return path


@pytest.mark.parametrize(
    "raw", ["line,amount\nnet,50.00\ngross,100\n", '\ufeffline,amount\r\n"net",50\r\n\r\ngross, 100 \r\n']
)
def test_figures_are_read_by_line(tmp_path: Path, raw: str) -> None:
    assert figures_of(csv(tmp_path, raw)) == {"net": "50", "gross": "100"}


BAD: list[tuple[bytes | str, str]] = [
    ("", "it begins with line,amount"),
    ("amount,line\n1,net\n", "it begins with line,amount"),
    ("line;amount\nnet;1\n", "it begins with line,amount"),
    ("line,amount\nnet,1,2\n", "row 2 has 3 columns"),
    ("line,amount\nnet,1e5\n", "is no amount"),
    ("line,amount\nnet,1 000\n", "is no amount"),
    ('line,amount\nnet,"1,000"\n', "is no amount"),
    ("line,amount\nnet,NaN\n", "is no amount"),
    ("line,amount\nnet,\uff11\n", "is no amount"),
    ("line,amount\nnet,1.0000000000001\n", "is no amount"),
    ("line,amount\nnet,1\nnet,1\n", "row 3: line net stands twice"),
    ("line,amount\n=HYPERLINK(1),1\n", "would be a formula"),
    ("line,amount\n@SUM(A1),1\n", "would be a formula"),
    ("line,amount\n+1,1\n", "would be a formula"),
    ("line,amount\n net,1\n", "no name of a line"),
    ("line,amount\nn\x1b[2Jet,1\n", "no name of a line"),
    ('line,amount\n"n\net",1\n', "no name of a line"),
    (f"line,amount\n{'n' * 257},1\n", "no name of a line"),
    ("line,amount\n,1\n", "no name of a line"),
    ('line,amount\n"net,1\n', "is no CSV"),
    (b"line,amount\nn\xe9t,1\n", "is not UTF-8 at byte 13"),
    (b"line,amount\n" + b"x" * BYTES_MAX, "is larger than"),
    ("line,amount\n" + "".join(f"l{n},1\n" for n in range(1_001)), "has 1,001 lines"),
]


@pytest.mark.parametrize(("raw", "said"), BAD, ids=range(len(BAD)))
def test_what_is_no_file_of_figures_is_refused_with_the_place(tmp_path: Path, raw: bytes | str, said: str) -> None:
    with pytest.raises(UnreadableFigures, match=said) as refusal:
        figures_of(csv(tmp_path, raw))
    assert str(refusal.value).isprintable()


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFigures, match="cannot be read"):
        figures_of(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("theirs", "tolerance", "differing"),
    [
        ({"gross": "100", "uses": "7", "net": "50"}, "0", {}),
        ({"gross": "100.01", "uses": "7", "net": "49.99"}, "0.01", {}),
        ({"gross": "100.010001", "uses": "7", "net": "49.98"}, "0.01", {"gross": ("100", "100.010001"), "net": ("50.00", "49.98")}),
        ({"gross": "100", "net": "50"}, "9", {"uses": ("7", None)}),
        ({"gross": "100", "uses": "7", "net": "50", "bonus": "0"}, "9", {"bonus": (None, "0")}),
        # What is due to the partner, and what is payable to all, are compared where it names them.
        ({"gross": "100", "uses": "7", "net": "50", "due": "45", "payable": "51"}, "0", {"payable": ("50.00", "51")}),
    ],
)  # fmt: skip
def test_lines_are_matched_within_an_absolute_tolerance(
    theirs: dict[str, str], tolerance: str, differing: dict[str, tuple[str | None, str | None]]
) -> None:
    found = matched(SAID, "artist", theirs, Decimal(tolerance))
    assert {each.line: (each.ours, each.theirs) for each in found.differing} == differing
    assert found.agreeing == len({"gross", "uses", "net", *theirs}) - len(differing)


def own(store: Store, **theirs: str) -> Reconciled:
    return reconcile(
        store, "C-1", OCTOBER, theirs, "partner", lambda: NOW, tolerance=Decimal("0.01"), reason="own figures"
    )


def position(store: Store) -> int:
    with store.reading() as cursor:
        return recorder.last_position(cursor)


def test_each_line_that_differs_is_disputed_once(store: Store) -> None:
    closed(store)
    with pytest.raises(CommandRefused, match="not published"):
        own(store, net="50")
    take(store, PUBLISHED)
    assert own(store, gross="100", net="50.01") == Reconciled(2, (), ())
    assert state(store) == "published"
    found = own(store, gross="100", net="53.50", bonus="2")
    assert (found.agreeing, [each.line for each in found.opened]) == (1, ["net", "bonus"])
    assert state(store) == "disputed"
    end = position(store)
    again = own(store, gross="100", net="53.50", bonus="2")
    assert (again.opened, [each.line for each in again.known]) == ((), ["net", "bonus"])
    assert position(store) == end
    assert [each.line for each in own(store, gross="101", net="53.50").opened] == ["gross"]
    with store.reading() as cursor:
        lines = {each.state.line: each.state for each in relations.listed(cursor, "discrepancy", contracts=["C-1"])}
    assert {name: (each.ours, each.theirs, each.unit) for name, each in lines.items()} == {
        "net": ("50.00", "53.5", "CNY"), "bonus": (None, "2", None), "gross": ("100", "101", "CNY"),
    }  # fmt: skip


def test_what_is_refused_leaves_nothing_behind(store: Store) -> None:
    closed(store)
    take(store, PUBLISHED, CONFIRMED)
    end = position(store)
    with pytest.raises(CommandRefused, match="is confirmed"):
        own(store, net="53.50")
    assert position(store) == end
