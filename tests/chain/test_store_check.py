"""A whole database passes; every kind of damage is named."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from chain import rlp
from chain.errors import StoreError
from chain.store import Store
from chain.store_check import MAX_PROBLEMS, CheckReport, check_store
from chain.store_file import TABLES
from chain.store_history import height_key
from genesis.addresses import VALIDATOR_SET
from tests.chain import records
from tests.consensus.sealed_chain import KEYS, USER, SealedChain, address_of, chain_spec

HEAD = 6


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[SealedChain]:
    """Six blocks with transactions; the third brings a fifth validator."""
    made = SealedChain(tmp_path / "chain")
    made.add([made.transaction(USER, address_of(KEYS[1]), b"a", 100_000)])
    made.add()
    made.add(made.votes(address_of(KEYS[4]), True))
    for number in range(3):
        made.add([made.transaction(USER, address_of(KEYS[number]), b"b", 100_000)], KEYS[:4])
    yield made
    made.close()


def key_of(chain: SealedChain, table: str) -> bytes:
    """A key of block 5, or of the newest state."""
    store = chain.store
    digest = store.canonical_hash(5) or b""
    block = store.block(digest)
    assert block is not None
    by_height = {"canonical": height_key(5), "changes": height_key(3), "removals": height_key(5)}
    state_root = store.head().state_root
    by_state = {"nodes": state_root, "counts": state_root}
    by_name = {"meta": b"head", "locations": block.transactions[0].hash}
    return {**by_height, **by_state, **by_name}.get(table, digest)


def problems(chain: SealedChain) -> tuple[str, ...]:
    return check_store(chain.store, chain.spec).problems


def test_a_whole_database(chain: SealedChain) -> None:
    with chain.store.file.read() as txn:
        nodes = txn.count("nodes")
    seen: list[tuple[str, int, int]] = []
    report = check_store(chain.store, chain.spec, lambda *step: seen.append(step))
    assert report == CheckReport(HEAD, 0, 7, nodes, ())
    assert seen[0] == ("blocks", HEAD + 1, HEAD + 1)
    assert seen[1] == ("states", HEAD + 1, HEAD + 1)
    assert seen[-1] == ("reference counts", nodes, nodes)


def test_an_empty_database(tmp_path: Path) -> None:
    with Store(tmp_path) as store, pytest.raises(StoreError, match="no genesis was written yet"):
        check_store(store)


@pytest.mark.parametrize("table", [table for table in TABLES if table not in ("meta", "counts")])
def test_a_lost_entry(chain: SealedChain, table: str) -> None:
    with chain.store.file.write() as txn:
        assert txn.delete(table, key_of(chain, table))
    found = problems(chain)
    assert found
    assert any(table in text or "missing" in text or "validators" in text for text in found)


@pytest.mark.parametrize("table", [table for table in TABLES if table not in ("meta", "counts")])
def test_a_changed_entry(chain: SealedChain, table: str) -> None:
    key = key_of(chain, table)
    with chain.store.file.write() as txn:
        value = txn.get(table, key)
        assert value is not None
        txn.put(table, key, value[:-1] + bytes((value[-1] ^ 1,)))
    assert problems(chain)


@pytest.mark.parametrize("table", [table for table in TABLES if table != "meta"])
def test_an_entry_too_many(chain: SealedChain, table: str) -> None:
    by_height = table in ("canonical", "changes", "removals")
    with chain.store.file.write() as txn:
        txn.put(table, height_key(99) if by_height else b"\7" * 32, b"\0\0\0\2")
    found = problems(chain)
    assert found
    assert any("head" in text or "entries" in text or "reference" in text or "removals" in text
               for text in found)  # fmt: skip


@pytest.mark.parametrize("change", [-1, 1])
def test_a_wrong_reference_count(chain: SealedChain, change: int) -> None:
    root = chain.store.head().state_root
    with chain.store.file.write() as txn:
        txn.put("counts", root, (2 + change).to_bytes(4, "big"))
    if change == -1:  # 1 is right, but is not written down
        assert problems(chain) == ()
    else:
        want = f"node 0x{root.hex()} has reference count 3, want 1"
        assert problems(chain) == (want,)


def test_a_node_that_nothing_refers_to(chain: SealedChain) -> None:
    with chain.store.file.write() as txn:
        txn.put("nodes", b"\7" * 32, b"garbage")
    assert problems(chain) == (f"node 0x{'07' * 32} has reference count 1, want 0",)


def test_a_block_without_a_quorum(tmp_path: Path) -> None:
    chain = SealedChain(tmp_path)
    chain.add(sealers=KEYS[:2])
    chain.add(sealers=KEYS[2:5])
    found = problems(chain)
    assert any("block 1: 2 seals, want 3 of 4" in text for text in found)
    assert any("block 2: seal of 0x" in text and "no validator" in text for text in found)
    chain.close()


def test_a_forged_set_of_validators(chain: SealedChain) -> None:
    """A proof of another chain does not hold under this state root."""
    root, nodes = records.state({}, [records.account(number) for number in range(5)])
    with chain.store.file.write() as txn:
        txn.put("changes", height_key(3), rlp.encode([[nodes[root]], []]))
    assert any("block 3: account proof" in text for text in problems(chain))


def test_the_genesis_file_is_compared(chain: SealedChain) -> None:
    other = chain_spec(3)
    found = check_store(chain.store, other).problems
    assert any("the genesis file hashes to 0x" in text for text in found)
    assert VALIDATOR_SET in other.alloc


def test_many_problems_end_the_check(chain: SealedChain) -> None:
    with chain.store.file.write() as txn:
        for number in range(MAX_PROBLEMS + 50):
            txn.put("nodes", number.to_bytes(32, "big"), b"garbage")
    found = problems(chain)
    assert len(found) == MAX_PROBLEMS + 1
    assert found[-1] == "more problems were not looked for"
