import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import lmdb
import pytest

from chain import rlp
from chain.blocks import Block
from chain.errors import StoreError
from chain.header import Header
from chain.seals import verify_certificate
from chain.state_reader import Account
from chain.store import SCHEMA_VERSION, Store
from chain.validator_set import read_validators
from precompiles.hashing import EMPTY_HASH, keccak256
from tests.chain import crash_writer, records

ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "chain") as opened:
        opened.write_genesis(*crash_writer.genesis())
        yield opened


def append(store: Store, count: int) -> Header:
    for _ in range(count):
        executed = crash_writer.next_block(store)
        store.write_block(executed, records.certificate(executed.block.header, [0, 1, 2]))
    return store.head()


def test_genesis(store: Store) -> None:
    block, nodes = crash_writer.genesis()
    assert store.head() == block.header
    assert store.genesis_hash() == store.canonical_hash(0) == block.hash
    assert store.block(block.hash) == block
    assert (store.receipts(block.hash), store.certificate(block.hash)) == ((), None)
    assert all(store.node(digest) == node for digest, node in nodes.items())
    assert len(read_validators(store.state(store.head()))) == 4
    store.write_genesis(block, nodes)  # again: nothing happens
    assert store.head() == block.header


def test_another_genesis_is_refused(store: Store) -> None:
    other = Block(records.header(timestamp=5), ())
    with pytest.raises(
        StoreError, match=f"belongs to the chain with genesis 0x.*{other.hash.hex()}"
    ):
        store.write_genesis(other, {})


def test_a_block_and_everything_about_it(store: Store) -> None:
    parent = store.head()
    executed = crash_writer.next_block(store)
    block = executed.block
    certificate = records.certificate(block.header, [0, 1, 2], round=2)
    store.write_block(executed, certificate)
    assert store.head() == store.header(block.hash) == store.header_by_number(1) == block.header
    assert store.block(block.hash) == block
    assert store.encoded_block(block.hash) == block.rlp
    assert store.receipts(block.hash) == executed.receipts
    assert store.certificate(block.hash) == certificate
    verify_certificate(block.header, certificate, read_validators(store.state(parent)))
    for index, tx in enumerate(block.transactions):
        assert store.transaction_location(tx.hash) == (block.hash, index)
    assert all(store.node(digest) == node for digest, node in executed.nodes.items())


def test_one_write_transaction_per_block(tmp_path: Path) -> None:
    def last_transaction() -> int:
        with lmdb.open(str(tmp_path), max_dbs=20, readonly=True) as environment:
            return int(environment.info()["last_txnid"])

    with Store(tmp_path) as store:
        store.write_genesis(*crash_writer.genesis())
    before = last_transaction()
    with Store(tmp_path) as store:
        append(store, 3)
    assert last_transaction() == before + 3


def test_unknown_things(store: Store) -> None:
    nothing = b"\7" * 32
    for read in (store.header, store.block, store.receipts, store.certificate):
        assert read(nothing) is None
    assert store.transaction_location(nothing) is None
    assert store.canonical_hash(1) is None
    assert store.canonical_hash(-1) is None
    assert store.header_by_number(99) is None
    with pytest.raises(KeyError):
        store.node(nothing)


def test_only_the_head_can_be_extended(store: Store) -> None:
    first = crash_writer.next_block(store)
    append(store, 1)
    head = store.head()
    with pytest.raises(StoreError, match=r"block 1 with parent .* does not extend the head 1"):
        store.write_block(first, None)
    skipped = records.child(records.child(head).block.header)
    with pytest.raises(StoreError, match="block 3 with parent"):
        store.write_block(skipped, None)
    assert store.head() == head


def test_validator_changes_are_indexed(store: Store) -> None:
    append(store, 2)
    root, nodes = records.state({}, [records.account(number) for number in range(5)])
    store.write_block(records.child(store.head(), state_root=root, nodes=nodes), None)
    append(store, 1)
    # the same members in another order of storage are no change
    shuffled, more = records.state({}, [records.account(number) for number in (4, 3, 2, 1, 0)])
    store.write_block(records.child(store.head(), state_root=shuffled, nodes=more), None)
    assert store.validator_change_heights() == [0, 3]
    assert len(read_validators(store.state(store.head()))) == 5


def test_reopening_resumes(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        assert store.is_empty()
        with pytest.raises(StoreError, match="has no head"):
            store.head()
        store.write_genesis(*crash_writer.genesis())
        head = append(store, 3)
    with Store(tmp_path) as store:
        assert not store.is_empty()
        assert store.head() == head
        append(store, 1)
    with Store(tmp_path, readonly=True) as store:
        assert store.head().number == 4


def test_full_map_loses_nothing(tmp_path: Path) -> None:
    with Store(tmp_path, map_size=1 << 20) as store:
        store.write_genesis(*crash_writer.genesis())
        head = append(store, 1)
        body = bytes(2 << 20)
        big = records.child(head, nodes={keccak256(body): body})
        with pytest.raises(StoreError, match="is full; open it with a larger map size"):
            store.write_block(big, None)
        assert store.head() == head
        assert store.header(big.block.hash) is None
    with Store(tmp_path, map_size=1 << 23) as store:
        store.write_block(big, None)
        assert store.head() == big.block.header


def test_second_writer_is_refused_with_its_process(store: Store) -> None:
    script = (
        f"from chain.store import Store; from pathlib import Path; Store(Path({str(store.path)!r}))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "is in use by another node (process" in done.stderr


def test_reader_processes_see_each_commit(store: Store) -> None:
    script = (
        "import sys; from chain.store import Store; from pathlib import Path\n"
        f"store = Store(Path({str(store.path)!r}), readonly=True)\n"
        "for _ in sys.stdin: print(store.head().number, flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        for height in range(3):
            print("head?", file=reader.stdin, flush=True)
            assert int(reader.stdout.readline()) == height
            append(store, 1)
        reader.stdin.close()
        assert reader.wait(20) == 0


def test_a_killed_reader_does_not_keep_pages(store: Store) -> None:
    script = (
        "import time; from chain.store import Store; from pathlib import Path\n"
        f"store = Store(Path({str(store.path)!r}), readonly=True)\n"
        "with store.file.read():\n"
        "    print('reading', flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "reading\n"
        assert store.file.forget_killed_readers() == 0
        reader.kill()
    append(store, 64)
    assert store.file.forget_killed_readers() == 0  # that was done with block 64


@pytest.mark.parametrize("rounds", [4])
def test_kill_during_writes_loses_no_acknowledged_block(tmp_path: Path, rounds: int) -> None:
    acknowledged = 0
    for turn in range(rounds):
        with subprocess.Popen(
            [sys.executable, "-m", "tests.chain.crash_writer", str(tmp_path)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        ) as writer:
            assert writer.stdout is not None
            for _ in range(5 + 3 * turn):
                acknowledged = int(writer.stdout.readline())
            writer.kill()
            rest = writer.stdout.read().splitlines()
            if rest and rest[-1].isdigit():
                acknowledged = max(acknowledged, int(rest[-1]))
        with Store(tmp_path) as store:
            head = store.head().number
            assert acknowledged <= head <= acknowledged + 1
            for number in range(head + 1):
                assert_whole(store, number)
        acknowledged = head


def assert_whole(store: Store, number: int) -> None:
    block_hash = store.canonical_hash(number)
    assert block_hash is not None
    block, receipts = store.block(block_hash), store.receipts(block_hash)
    assert block is not None
    assert receipts is not None
    assert len(receipts) == len(block.transactions)
    assert all(store.transaction_location(tx.hash) for tx in block.transactions)
    if number:
        assert store.certificate(block_hash) is not None
        for index in range(100):
            body = b"node %d of %d" % (index, number) * 9
            assert store.node(keccak256(body)) == body


def test_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no chain database in"):
        Store(tmp_path / "absent", readonly=True)


def test_not_lmdb(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(b"something else" * 1_000)
    with pytest.raises(StoreError, match="cannot be opened"):
        Store(tmp_path)


def test_database_of_another_program(tmp_path: Path) -> None:
    with lmdb.open(str(tmp_path), max_dbs=2) as environment, environment.begin(write=True) as txn:
        txn.put(b"key", b"value")
    with pytest.raises(StoreError, match="database of another program"):
        Store(tmp_path)
    with lmdb.open(str(tmp_path), max_dbs=2) as environment, environment.begin() as txn:
        assert txn.get(b"key") == b"value"  # left as it was
        assert txn.stat()["entries"] == 1


def test_database_without_a_schema(tmp_path: Path) -> None:
    with lmdb.open(str(tmp_path), max_dbs=2) as environment:
        environment.open_db(b"meta")
    with pytest.raises(StoreError, match="no schema version"):
        Store(tmp_path)


@pytest.mark.parametrize(
    ("version", "text"),
    [(SCHEMA_VERSION + 1, "use a newer program"), (1, "sync into a new folder")],
)
def test_other_schema_versions(tmp_path: Path, version: int, text: str) -> None:
    Store(tmp_path).close()
    with lmdb.open(str(tmp_path), max_dbs=20) as environment:
        meta = environment.open_db(b"meta")
        with environment.begin(write=True, db=meta) as txn:
            txn.put(b"schema", rlp.encode_uint(version))
    for readonly in (True, False):
        with pytest.raises(StoreError, match=f"schema version {version}.*{text}"):
            Store(tmp_path, readonly=readonly)


def test_torn_copy(tmp_path: Path, store: Store) -> None:
    append(store, 3)
    whole = (store.path / "data.mdb").read_bytes()
    (tmp_path / "data.mdb").write_bytes(whole[: len(whole) // 2])
    for readonly in (True, False):
        with pytest.raises(StoreError, match=r"is a torn copy: \d+ bytes, want \d+"):
            Store(tmp_path, readonly=readonly)


def test_full_disk(tmp_path: Path) -> None:
    """A limit on the size of files stands for the end of the disk."""
    script = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from tests.chain import crash_writer\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
        f"crash_writer.main(Path({str(tmp_path)!r}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "StoreError" in done.stderr
    assert "cannot be written" in done.stderr
    written = int(done.stdout.split()[-1])
    with Store(tmp_path) as store:
        assert store.head().number == written
        for number in range(written + 1):
            assert_whole(store, number)
        append(store, 1)  # there is room again


def test_damaged_record_is_named(store: Store) -> None:
    head = append(store, 1)
    path = store.path
    store.close()
    with lmdb.open(str(path), max_dbs=20) as environment:
        headers = environment.open_db(b"headers")
        with environment.begin(write=True, db=headers) as txn:
            txn.put(head.hash, b"\xc0")
    with Store(path) as again, pytest.raises(StoreError, match="damaged headers of 0x"):
        again.head()


def test_accounts_are_read_from_the_head(tmp_path: Path) -> None:
    rich = Account(3, 10**18, keccak256(b"\x80"), EMPTY_HASH)
    root, nodes = records.state({records.account(9): rich}, [records.account(0)])
    with Store(tmp_path) as store:
        store.write_genesis(Block(records.header(state_root=root), ()), nodes)
        assert store.state(store.head()).account(records.account(9)) == rich
