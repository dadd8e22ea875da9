"""Bulk trie updates equal a trie built from scratch, node for node."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain import rlp
from chain.evm.trie import TrieNodes
from chain.header import EMPTY_TRIE_ROOT
from chain.trie import build_trie
from precompiles.hashing import keccak256

# Few distinct nibbles, so that paths share long prefixes and branches collapse.
KEYS = st.binary(min_size=2, max_size=2).map(
    lambda tail: bytes(29) + bytes([tail[0] & 0x11, tail[0] & 3, tail[1]])
)
VALUES = st.sampled_from([b"", b"", b"a", b"bb", b"c" * 31, b"d" * 33, b"e" * 70])
BATCHES = st.lists(st.dictionaries(KEYS, VALUES, max_size=12), max_size=6)


def check(batches: list[dict[bytes, bytes]]) -> None:
    nodes: dict[bytes, bytes] = {}
    root, model = EMPTY_TRIE_ROOT, {}
    for changes in batches:
        root, fresh = TrieNodes(nodes.__getitem__).update(root, changes)
        model.update(changes)
        model = {key: value for key, value in model.items() if value}
        want, want_nodes = build_trie(model)
        assert root == want
        assert set(fresh) <= set(want_nodes), "a node that no root reaches"
        nodes.update(fresh)
        assert set(want_nodes) <= set(nodes)
        tries = TrieNodes(nodes.__getitem__)
        for key in [*changes, *model]:
            assert tries.get(root, key) == model.get(key, b"")


@settings(max_examples=150, deadline=None)
@given(BATCHES)
def test_updates_equal_a_trie_built_from_scratch(batches: list[dict[bytes, bytes]]) -> None:
    check(batches)


def test_hashed_keys() -> None:
    rnd = random.Random(1)
    keys = [keccak256(bytes([number])) for number in range(200)]
    check(
        [
            {key: rnd.choice([b"", rnd.randbytes(rnd.randrange(1, 60))]) for key in chosen}
            for chosen in (rnd.sample(keys, rnd.randrange(1, 90)) for _ in range(25))
        ]
    )


def test_nothing_written_reads_nothing() -> None:
    def no_node(digest: bytes) -> bytes:
        raise AssertionError(digest)

    assert TrieNodes(no_node).update(b"\x01" * 32, {}) == (b"\x01" * 32, {})
    assert TrieNodes(no_node).get(EMPTY_TRIE_ROOT, bytes(32)) == b""


def test_deletion_of_what_is_absent_changes_nothing() -> None:
    root, nodes = build_trie({keccak256(b"a"): b"1", keccak256(b"b"): b"2"})
    tries = TrieNodes(nodes.__getitem__)
    assert tries.update(root, {keccak256(b"c"): b""}) == (root, {})
    assert tries.update(root, {keccak256(b"a"): b"1"}) == (root, {})


def test_missing_or_damaged_node_is_told() -> None:
    root, nodes = build_trie({keccak256(bytes([n])): b"x" * 40 for n in range(40)})
    with pytest.raises(KeyError):
        TrieNodes({}.__getitem__).get(root, bytes(32))
    damaged = {digest: rlp.encode([b"1", b"2", b"3"]) for digest in nodes}
    with pytest.raises(rlp.RlpError):
        TrieNodes(damaged.__getitem__).update(root, {bytes(32): b"x"})
