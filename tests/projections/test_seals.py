"""The chain, the seals and the tree of the log: what they are, and that they depend on the log alone."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.projections.seals import BLOCK, Chain, Entry, sealed, tree

ENTRY = Entry(7, 1_000_000, b"s" * 16, 3, "billing.charged", b'{"amount":1}')


def leaf(number: int) -> bytes:
    return sha256(str(number).encode()).digest()


@pytest.mark.parametrize(
    "changed",
    [
        {"position": 8}, {"recorded_at": 1_000_001}, {"stream": b"t" * 16}, {"version": 4}, {"name": "billing.refunded"},
        {"state": b'{"amount":2}'},
    ],
)  # fmt: skip
def test_a_leaf_covers_everything_that_is_kept_of_an_event(changed: dict) -> None:
    assert ENTRY._replace(**changed).leaf != ENTRY.leaf


@given(st.lists(st.integers(1, BLOCK + 9), min_size=1, max_size=5))
def test_the_chain_depends_on_the_leaves_and_not_on_how_they_were_cut(sizes: list[int]) -> None:
    leaves = [leaf(number) for number in range(sum(sizes))]
    chain, at = Chain(), 0
    for size in sizes:
        chain = chain.extended(leaves[at : at + size])
        at += size
    assert chain == Chain().extended(leaves)
    assert chain.position == len(leaves)
    assert chain.now != Chain().extended([*leaves[:-1], leaf(-1)]).now


def test_the_head_is_that_of_the_whole_blocks_and_the_rest() -> None:
    leaves = [leaf(number) for number in range(BLOCK + 1)]
    block = sha256(b"" + sha256(b"".join(leaves[:BLOCK])).digest()).digest()
    assert Chain().extended(leaves[:BLOCK]).now == block.hex()
    assert Chain().extended(leaves).now == sha256(block + sha256(leaves[BLOCK]).digest()).hexdigest()


def test_a_seal_is_rolled_over_the_leaves_in_their_order() -> None:
    assert sealed([leaf(1), leaf(2)]).digest == sha256(sha256(leaf(1)).digest() + leaf(2)).digest()
    assert sealed([leaf(2), leaf(1)]) != sealed([leaf(1), leaf(2)])
    assert sealed([]) == (0, b"")


def _rfc(leaves: list[bytes]) -> bytes:
    """RFC 9162, section 2.1.1, to the letter."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\0" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\1" + _rfc(leaves[:k]) + _rfc(leaves[k:])).digest()


@pytest.mark.parametrize("number", range(18))
def test_the_tree_is_that_of_the_rfc(number: int) -> None:
    leaves = [leaf(each) for each in range(number)]
    assert tree(leaves) == _rfc(leaves)
