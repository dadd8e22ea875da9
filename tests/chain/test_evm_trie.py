"""Bulk trie updates equal a trie built from scratch, node for node and place for place."""

import json
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trie import HexaryTrie

from chain import rlp
from chain.evm.generations import Generations
from chain.evm.trie import Node, TrieNodes
from chain.header import EMPTY_TRIE_ROOT
from chain.trie import build_trie
from precompiles.hashing import keccak256
from tests.chain.state_walk import trie_occurrences

NOTHING: dict[bytes, bytes] = {}
VECTORS = Path(__file__).parents[1] / "vectors" / "eels_tries.json"

# Few distinct nibbles, so that paths share long prefixes and branches collapse.
KEYS = st.binary(min_size=2, max_size=2).map(
    lambda tail: bytes(29) + bytes([tail[0] & 0x11, tail[0] >> 1 & 3, tail[1] & 0x11])
)
VALUES = st.sampled_from([b"", b"", b"a", b"bb", b"c" * 31, b"d" * 33, b"e" * 70])
BATCHES = st.lists(st.dictionaries(KEYS, VALUES, max_size=12), max_size=6)


def check(batches: list[dict[bytes, bytes]], decoded: Generations[bytes, Node] | None) -> None:
    nodes: dict[bytes, bytes] = {}
    counts: Counter[bytes] = Counter()
    root, model = EMPTY_TRIE_ROOT, {}
    for changes in batches:
        tries = TrieNodes(nodes.__getitem__, decoded)
        root = tries.update(root, changes)
        model.update(changes)
        model = {key: value for key, value in model.items() if value}
        want, want_nodes = build_trie(model)
        assert root == want
        assert set(tries.fresh) <= set(want_nodes), "a node that no root reaches"
        assert set(tries.added) == set(tries.fresh)
        nodes.update(tries.fresh)
        assert set(want_nodes) <= set(nodes)
        counts.update(tries.added)
        counts.subtract(tries.removed)
        assert +counts == trie_occurrences(nodes, root)
        assert min(counts.values(), default=0) >= 0
        tries = TrieNodes(nodes.__getitem__)
        for key in [*changes, *model]:
            assert tries.get(root, key) == model.get(key, b"")
        for digest in [digest for digest, count in counts.items() if not count]:
            nodes.pop(digest, None)
            del counts[digest]


@settings(max_examples=150, deadline=None)
@given(BATCHES)
def test_updates_equal_a_trie_built_from_scratch(batches: list[dict[bytes, bytes]]) -> None:
    check(batches, None)


@settings(max_examples=50, deadline=None)
@given(BATCHES)
def test_updates_with_a_small_shared_cache(batches: list[dict[bytes, bytes]]) -> None:
    check(batches, Generations(3))


def test_hashed_keys() -> None:
    rnd = random.Random(1)
    keys = [keccak256(bytes([number])) for number in range(200)]
    batches = [
        {key: rnd.choice([b"", rnd.randbytes(rnd.randrange(1, 60))]) for key in chosen}
        for chosen in (rnd.sample(keys, rnd.randrange(1, 90)) for _ in range(25))
    ]
    check(batches, None)
    other = HexaryTrie({})
    tries = TrieNodes(NOTHING.__getitem__)
    root = EMPTY_TRIE_ROOT
    for changes in batches:
        root = tries.update(root, changes)
        for key, value in changes.items():
            other[key] = value
        assert root == other.root_hash


def test_branch_whose_only_child_is_a_branch_becomes_an_extension() -> None:
    inner = {bytes([0x10 + n]) + bytes(31): b"v" * 40 for n in range(16)}
    sibling = b"\x20" + bytes(31)
    check([{**inner, sibling: b"w" * 40}, {sibling: b""}, {sibling: b"w"}], None)


def test_roots_of_the_executable_specification() -> None:
    for vector in json.loads(VECTORS.read_text())["tries"]:
        if not vector["secured"]:
            continue
        pairs = [[bytes.fromhex(text[2:]) for text in pair] for pair in vector["pairs"]]
        for size in (1, 7, len(pairs) or 1):
            tries, root = TrieNodes(NOTHING.__getitem__), EMPTY_TRIE_ROOT
            for start in range(0, len(pairs), size):
                batch = pairs[start : start + size]
                root = tries.update(root, {keccak256(key): value for key, value in batch})
            assert "0x" + root.hex() == vector["root"]


def test_removal_of_a_whole_trie_counts_every_place() -> None:
    rnd = random.Random(2)
    entries = {rnd.randbytes(32): rnd.randbytes(rnd.randrange(1, 60)) for _ in range(300)}
    root, nodes = build_trie(entries)
    tries = TrieNodes(nodes.__getitem__)
    tries.remove(root)
    assert Counter(tries.removed) == trie_occurrences(nodes, root)
    tries.remove(EMPTY_TRIE_ROOT)
    assert len(tries.removed) == len(nodes)


def test_nothing_written_reads_nothing() -> None:
    def no_node(digest: bytes) -> bytes:
        raise AssertionError(digest)

    assert TrieNodes(no_node).update(b"\x01" * 32, {}) == b"\x01" * 32
    assert TrieNodes(no_node).get(EMPTY_TRIE_ROOT, bytes(32)) == b""


def test_what_changes_nothing_adds_and_removes_nothing() -> None:
    root, nodes = build_trie({keccak256(b"a"): b"1", keccak256(b"b"): b"2"})
    tries = TrieNodes(nodes.__getitem__)
    assert tries.update(root, {keccak256(b"c"): b""}) == root
    assert tries.update(root, {keccak256(b"a"): b"1"}) == root
    assert tries.update(EMPTY_TRIE_ROOT, {keccak256(b"a"): b""}) == EMPTY_TRIE_ROOT
    assert (tries.added, tries.removed, tries.fresh) == ([], [], {})


def test_missing_or_damaged_node_is_told() -> None:
    root, nodes = build_trie({keccak256(bytes([n])): b"x" * 40 for n in range(40)})
    with pytest.raises(KeyError):
        TrieNodes(NOTHING.__getitem__).get(root, bytes(32))
    damaged = {digest: rlp.encode([b"1", b"2", b"3"]) for digest in nodes}
    with pytest.raises(rlp.RlpError):
        TrieNodes(damaged.__getitem__).update(root, {bytes(32): b"x"})


def test_generations_drop_what_was_not_used() -> None:
    cache: Generations[int, int] = Generations(2)
    for number in range(3):
        cache.put(number, number)
    assert cache.get(0) == 0  # moves to the young generation, which is full now
    cache.put(3, 3)
    assert [cache.get(number) for number in (1, 2)] == [None, 2]
    assert len(cache) <= 4
