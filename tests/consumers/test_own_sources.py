"""The sources under which the engine itself records are its own: nobody else's message takes an identity of theirs."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import jsonschema
import pytest

from consumers import commands, outgoing, proposing
from consumers.commands import Asked, ask
from consumers.decode import decode
from consumers.files import ingest_file
from docs import write_wire
from engine.events import joined
from engine.settlement import closing, restating, scoring, sealing
from engine.settlement.recording import Message, Readable, Slice, Unreadable, record
from engine.store import data_keys, log, suspense
from engine.store.database import Store
from engine.store.intake import Counts
from tests.consumers import test_personal as personal
from tests.histories import charged, registered, signed
from tests.settlement.test_assessments import PROPOSED, proposals, step, vetoed
from tests.settlement.test_recording import CHANNEL, NOW, clock, kept, published, store, take

__all__ = ["store"]

OWN = [
    commands.SOURCE,
    proposing.SOURCE,
    outgoing.SOURCE,
    closing.SOURCE,
    sealing.SOURCE,
    scoring.SOURCE,
    restating.SOURCE,
]
BLOCK = Asked("partner.blocked", {"partner": "P-1", "author": "Li", "reason": "fraud"})


def claiming(raw: bytes, source: str, id: str) -> bytes:
    """The message as if it came from there."""
    return json.dumps(json.loads(raw) | {"source": source, "id": id}).encode()


def next_of(kind: str, version: int, *name: str) -> str:
    """The id under which a command will record that event (consumers.commands): anybody can work it out."""
    return f"{kind}/{log.stream_id(*name).hex()}/{version}"


def blocked(store: Store) -> bool:
    return personal.partner(store).blocked is not None


def test_nobody_takes_the_identity_that_a_command_will_have(store: Store) -> None:
    take(store, registered(), signed(), published())
    # Of another stream, so that the partner's goes on to have that next version, and each try would be refused for ever.
    ids = [next_of("partner.blocked", version, "partner", "P-1") for version in range(2, 6)]
    squatting = [claiming(charged("1"), commands.SOURCE, each) for each in ids]
    assert take(store, *squatting) == Counts(rejected=4)
    assert kept(store) == [("rejected", "reserved-source")] * 4
    ask(store, [BLOCK], clock)
    assert blocked(store)


def test_nobody_takes_the_identity_of_a_proposal_which_would_be_lost_unseen(store: Store) -> None:
    vetoed(store)
    # A partner that sends its own events could keep its services so.
    ids = [sha256(joined(name, "assessment simple 2026-10").encode()).hexdigest() for name in ("mms", "sms")]
    take(store, *(claiming(charged("1"), proposing.SOURCE, each) for each in ids))
    take(store, step("published"), step("finalised"))
    assert proposals(store) == {"mms": PROPOSED, "sms": PROPOSED, "new": None}


def test_nobody_makes_or_destroys_the_key_of_an_account_that_a_command_will_propose(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SETTLE_SECRET_KEY", personal.KEY)
    id_ = next_of("partner.bank_account_changed", 2, "partner", "P-1")
    assert personal.take(store, claiming(personal.bank(), commands.SOURCE, id_)) == Counts(rejected=1)
    with store.reading() as cursor:
        assert data_keys.count(cursor) == 0
        (entry,) = suspense.entries(cursor, states=("rejected",))
    assert personal.betrayed(entry.raw.decode() + entry.sentence) == []


@pytest.mark.parametrize("source", OWN)
def test_every_source_of_the_engine_is_refused_on_every_way_in(store: Store, source: str, tmp_path: Path) -> None:
    quick_, modelled = claiming(charged("1"), source, "1"), claiming(registered(), source, "2")
    headers = {"ce_specversion": b"1.0", "ce_id": b"3", "ce_time": b"2026-10-03T08:15:00Z"}
    headers |= {"ce_type": b"partner.registered", "ce_source": source.encode()}
    binary = json.dumps({"partner": "P-9", "name": "x", "kind": "agent"}).encode()
    found = [decode(quick_), decode(modelled), decode(binary, headers)]
    assert [each.code for each in found if isinstance(each, Unreadable)] == ["reserved-source"] * 3
    (tmp_path / "in.jsonl").write_bytes(quick_ + b"\n" + modelled + b"\n" + registered())
    assert ingest_file(store, str(tmp_path / "in.jsonl"), clock) == Counts(recorded=1, rejected=2)


def test_an_escape_hides_no_source_and_the_sentence_says_what_to_do() -> None:
    hidden = claiming(charged("1"), commands.SOURCE, "1").replace(b"tantieme", b"tantiem\\u0065")
    found = decode(hidden)
    assert isinstance(found, Unreadable)
    assert found.code == "reserved-source"
    assert "source" in found.cause
    assert "own" in found.cause


@pytest.mark.parametrize("source", ["tantieme-eu", "tantiemes", "billing/tantieme/command", "Tantieme"])
def test_a_name_that_only_resembles_them_is_free(source: str) -> None:
    raw = claiming(charged("1"), source, "1")
    assert isinstance(decode(raw), Readable)
    assert schema().is_valid(json.loads(raw))


@pytest.mark.parametrize("source", OWN)
def test_a_producer_that_validates_is_told_by_the_schema(source: str) -> None:
    assert not schema().is_valid(json.loads(claiming(charged("1"), source, "1")))


def schema() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads(write_wire.documents()["billing.charged.schema.json"]))


def test_what_was_suspended_under_such_a_source_is_recycled(store: Store) -> None:
    """As a rulebook is that `settle rulebook publish` asked for, and messages that came before the sources were reserved."""
    own = decode(claiming(charged("1"), "tantieme/console", "1"), own=True)
    record(store, [Slice(CHANNEL, 0, None, 1)], [Message(CHANNEL, 0, 0, None, own)], NOW)
    assert kept(store) == [("suspended", "unknown-contract")]
    take(store, registered(), signed(), published())
    assert kept(store) == []


def test_the_rejected_message_can_be_sent_again_under_its_own_source(store: Store) -> None:
    take(store, registered(), signed(), published())
    assert take(store, claiming(charged("1"), commands.SOURCE, "1")).rejected == 1
    assert take(store, charged("1")).recorded == 1
