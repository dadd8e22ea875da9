"""Pruning against a model that walks whole states: what is kept is whole, nothing else stays."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.blocks import Block
from chain.errors import ExecutorFault, StateNotAvailable, StoreError
from chain.header import Header
from chain.proof import account_proof, verify_account_proof
from chain.requests import ExecutedBlock
from chain.state_reader import Account
from chain.state_walk import StateProof, occurrences
from chain.store import ARCHIVE, DEFAULT_HISTORY, Store
from chain.validator_set import read_validators
from genesis.addresses import VALIDATOR_SET
from precompiles.hashing import EMPTY_HASH, keccak256
from tests.chain import records


@dataclass(frozen=True)
class Content:
    """One account of the model."""

    balance: int
    slots: tuple[tuple[int, int], ...] = ()
    code: bytes = b""


World = Mapping[int, Content]
"""Accounts by number."""


def build(world: World) -> tuple[bytes, dict[bytes, bytes]]:
    """Root and all nodes and codes of a state."""
    accounts: dict[bytes, Account] = {}
    nodes: dict[bytes, bytes] = {}
    for number, content in world.items():
        root, fresh = records.storage(dict(content.slots))
        nodes |= fresh
        if content.code:
            nodes[keccak256(content.code)] = content.code
        code_hash = keccak256(content.code) if content.code else EMPTY_HASH
        accounts[records.account(number)] = Account(1, content.balance, root, code_hash)
    root, fresh = records.state(accounts, [records.account(number) for number in range(4)])
    return root, nodes | fresh


def genesis(world: World) -> tuple[Block, dict[bytes, bytes]]:
    root, nodes = build(world)
    return Block(records.header(state_root=root), ()), nodes


def next_block(parent: Header, before: World, after: World) -> ExecutedBlock:
    """A block that turns one world into another, with what that adds and removes."""
    old_root, old_nodes = build(before)
    root, nodes = build(after)
    old = occurrences(old_nodes.__getitem__, old_root)
    new = occurrences(nodes.__getitem__, root)
    added, removed = new - old, old - new
    made = records.child(parent, state_root=root)
    fresh = {digest: nodes[digest] for digest in added}
    return replace(made, nodes=fresh, added=dict(added), removed=dict(removed))


def expected_counts(store: Store, worlds: list[World]) -> Counter[bytes]:
    """Reference counts by definition: the oldest state, and what each later block added."""
    oldest = store.oldest_state()
    counts = occurrences_of(worlds[oldest])
    for before, after in zip(worlds[oldest:], worlds[oldest + 1 :], strict=False):
        counts += occurrences_of(after) - occurrences_of(before)
    return counts


def occurrences_of(world: World) -> Counter[bytes]:
    root, nodes = build(world)
    return occurrences(nodes.__getitem__, root)


def stored_counts(store: Store) -> Counter[bytes]:
    with store.file.read() as txn:
        counts = Counter({digest: 1 for digest, _ in txn.items("nodes")})
        for digest, count in txn.items("counts"):
            counts[digest] = int.from_bytes(count, "big")
            assert counts[digest] > 1
    return counts


def assert_right(store: Store, worlds: list[World]) -> None:
    assert stored_counts(store) == expected_counts(store, worlds)
    with store.file.read() as txn:
        waiting = [int.from_bytes(key, "big") for key, _ in txn.items("removals")]
    assert waiting == list(range(store.oldest_state() + 1, len(worlds)))
    proof = StateProof(store.node)
    for number in range(store.oldest_state(), len(worlds)):
        header = store.header_by_number(number)
        assert header is not None
        proof.add(header.state_root)
    assert proof.problems == []


_SLOTS = st.dictionaries(st.integers(0, 40), st.integers(0, 3), max_size=6).map(
    lambda slots: tuple(sorted(slots.items()))
)
_CONTENTS = st.builds(
    Content, st.integers(0, 3), _SLOTS, st.sampled_from([b"", b"code one", b"code two"])
)
_CHANGES = st.dictionaries(st.integers(10, 16), st.none() | _CONTENTS, max_size=4)
_MODES = st.sampled_from([None, 1, 2, 5, ARCHIVE])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(_CHANGES, _MODES), min_size=1, max_size=14))
def test_counts_and_states_are_right_after_every_block(
    steps: list[tuple[dict[int, Content | None], int | None]],
) -> None:
    worlds: list[World] = [{9: Content(5, ((1, 1), (2, 2)), b"code one")}]
    oldest, history = 0, DEFAULT_HISTORY
    with TemporaryDirectory() as folder:
        store = Store(Path(folder))
        store.write_genesis(*genesis(worlds[0]))
        for changes, mode in steps:
            if mode is not None:
                history = mode
                store.close()
                store = Store(Path(folder), history=mode)
            after = {**worlds[-1], **changes}
            world = {number: content for number, content in after.items() if content}
            store.write_block(next_block(store.head(), worlds[-1], world), None)
            worlds.append(world)
            if history != ARCHIVE:
                oldest = max(oldest, min(oldest + 8, len(worlds) - history))
            assert store.oldest_state() == oldest
            assert_right(store, worlds)
        store.close()


def chain_of(store: Store, count: int) -> list[World]:
    """Write ``count`` blocks, each with a world of its own."""
    worlds: list[World] = [{10: Content(0)}]
    store.write_genesis(*genesis(worlds[0]))
    for number in range(1, count + 1):
        worlds.append({10: Content(number, ((number % 3, number),), b"code %d" % (number // 2))})
        store.write_block(next_block(store.head(), worlds[-2], worlds[-1]), None)
    return worlds


def test_equal_accounts_share_nodes(tmp_path: Path) -> None:
    twin = Content(1, ((1, 7), (2, 7), (3, 7)), b"shared code")
    worlds: list[World] = [{number: twin for number in range(10, 14)}, {}, {20: twin}, {}, {}, {}]
    with Store(tmp_path, history=2) as store:
        store.write_genesis(*genesis(worlds[0]))
        assert stored_counts(store)[keccak256(twin.code)] == 4
        for number in range(1, len(worlds)):
            block = next_block(store.head(), worlds[number - 1], worlds[number])
            store.write_block(block, None)
            assert_right(store, worlds[: number + 1])
        with pytest.raises(KeyError):
            store.node(keccak256(twin.code))


def test_a_new_database_keeps_the_states_of_geth(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        assert store.history == DEFAULT_HISTORY == 128
        assert store.oldest_state() == 0


def test_the_newest_states_are_kept_and_no_other(tmp_path: Path) -> None:
    with Store(tmp_path, history=3) as store:
        worlds = chain_of(store, 10)
        assert store.oldest_state() == 8
        assert_right(store, worlds)
        for number in range(8, 11):
            header = store.header_by_number(number)
            assert header is not None
            assert store.state(header).account(records.account(10)).balance == number
        for number in range(8):
            header = store.header_by_number(number)
            assert header is not None
            root = header.state_root.hex()
            with pytest.raises(
                StateNotAvailable,
                match=rf"missing trie node {root} \(path \) state 0x{root} is not available: "
                rf"block {number} is older than the last 3 states",
            ):
                store.state(header).account(records.account(10))


def test_a_missing_node_of_a_kept_state_is_another_failure(tmp_path: Path) -> None:
    with Store(tmp_path, history=3) as store:
        chain_of(store, 5)
        head = store.head()
        with store.file.write() as txn:
            txn.delete("nodes", head.state_root)
        with pytest.raises(StoreError, match="is missing from the database"):
            store.state(head).account(records.account(10))


def test_archive_and_back(tmp_path: Path) -> None:
    with Store(tmp_path, history=ARCHIVE) as store:
        worlds = chain_of(store, 30)
        assert store.oldest_state() == 0
        assert_right(store, worlds)
    with Store(tmp_path) as store:
        assert store.history == ARCHIVE  # the folder knows
    with Store(tmp_path, history=2) as store:
        for number in range(3):  # a few states in each write
            worlds.append({10: Content(1_000 + number)})
            store.write_block(next_block(store.head(), worlds[-2], worlds[-1]), None)
            assert_right(store, worlds)
            assert store.oldest_state() == 8 * (number + 1)
    with Store(tmp_path, history=ARCHIVE) as store:
        for number in range(3):
            worlds.append({10: Content(2_000 + number)})
            store.write_block(next_block(store.head(), worlds[-2], worlds[-1]), None)
        assert store.oldest_state() == 24  # what is gone stays gone
        assert_right(store, worlds)
    with Store(tmp_path, readonly=True) as store:
        assert store.history == ARCHIVE


def test_an_old_set_of_validators_can_still_be_proven(tmp_path: Path) -> None:
    with Store(tmp_path, history=2) as store:
        store.write_genesis(*genesis({}))
        root, nodes = records.state({}, [records.account(number) for number in range(5)])
        store.write_block(records.child(store.head(), state_root=root, nodes=nodes), None)
        changed = store.head()
        proof = account_proof(store.state(changed), VALIDATOR_SET, ())
        for _ in range(5):
            store.write_block(records.child(store.head()), None)
        assert store.oldest_state() == 5
        assert store.validator_change_heights() == [0, 1]
        kept = store.validator_proof(1)
        assert kept.account == proof.nodes
        assert verify_account_proof(root, VALIDATOR_SET, kept.account) == proof.account
        assert len(kept.slots) == 6
        assert len(read_validators(store.state(store.head()))) == 5
        with pytest.raises(StoreError, match="block 2 changed no validator set"):
            store.validator_proof(2)
        assert [len(store.validators(number)) for number in (0, 1, 5)] == [4, 5, 5]
        assert store.validators(5) == read_validators(store.state(store.head()))
        with pytest.raises(StoreError, match="no validators are known after block 7"):
            store.validators(7)


def test_a_chain_without_validators_has_no_changes(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.write_genesis(Block(records.header(), ()), {})
        store.write_block(records.child(store.head()), None)
        assert store.validator_change_heights() == []


def test_inconsistent_results_are_refused(tmp_path: Path) -> None:
    with Store(tmp_path, history=1) as store:
        chain_of(store, 2)
        made = records.child(store.head())
        unknown = keccak256(b"unknown")
        with pytest.raises(ExecutorFault, match="without its bytes"):
            store.write_block(replace(made, added={unknown: 1}, nodes={}), None)
        with pytest.raises(StoreError, match="which is too often"):
            store.write_block(replace(made, removed={unknown: 1}), None)
        assert store.head().number == 2
