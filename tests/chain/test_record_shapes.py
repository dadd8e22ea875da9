"""Headers, blocks, receipts and genesis blocks in the shape of every fork."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain import rlp
from chain.blocks import MAX_BLOCK_SIZE, Block, Withdrawal, decode_block
from chain.errors import InvalidBlock, InvalidSignature
from chain.genesis_block import genesis_block
from chain.header import ABSENT, FIELD_COUNTS, FIELDS, Header, decode_header, field_count
from chain.receipts import Log, Receipt, decode_receipt, encode_receipt, logs_bloom
from chain.signatures import ORDER
from chain.state_reader import StateReader
from chain.transactions import decode_transaction
from genesis.forks import Fork, schedule_of
from genesis.spec import Allocation, GenesisSpec
from tests.chain import records
from tests.chain.fixture_chain import fixture_chain, fixture_chain_folder

HASH = st.binary(min_size=32, max_size=32)
U64 = st.integers(0, 2**64 - 1)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "difficulty": st.integers(0, 2**256 - 1),
    "number": U64,
    "gas_limit": U64,
    "gas_used": U64,
    "timestamp": U64,
    "extra_data": st.binary(max_size=40),
    "nonce": st.binary(min_size=8, max_size=8),
    "coinbase": st.binary(min_size=20, max_size=20),
    "logs_bloom": st.binary(min_size=256, max_size=256),
    "base_fee_per_gas": st.integers(0, 2**256 - 1),
    "blob_gas_used": U64,
    "excess_blob_gas": U64,
}


def headers(count: int) -> st.SearchStrategy[Header]:
    fields = {name: VALUES.get(name, HASH) for name in FIELDS[:count]}
    absent: dict[str, Any] = {name: ABSENT[name] for name in FIELDS[count:]}
    return st.builds(lambda given: Header(**given, **absent, field_count=count), _dict(fields))


def _dict(fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(fields)


ANY_HEADER = st.sampled_from(FIELD_COUNTS).flatmap(headers)


@given(ANY_HEADER)
def test_headers_of_every_shape_survive(header: Header) -> None:
    again = decode_header(header.rlp)
    assert again == header
    assert again.hash == header.hash
    assert len(rlp.decode_list(header.rlp)) == header.field_count


@pytest.mark.parametrize("fork", Fork)
def test_shape_of_every_fork(fork: Fork) -> None:
    last = {15: "nonce", 16: "base_fee_per_gas", 17: "withdrawals_root"}
    last |= {20: "parent_beacon_block_root", 21: "requests_hash"}
    first = {16: Fork.LONDON, 17: Fork.SHANGHAI, 20: Fork.CANCUN, 21: Fork.PRAGUE}
    want = max([15, *(count for count, start in first.items() if fork >= start)])
    assert field_count(fork) == want
    assert FIELDS[want - 1] == last[want]


WITHDRAWALS = st.lists(
    st.builds(Withdrawal, U64, U64, st.binary(min_size=20, max_size=20), U64), max_size=3
).map(tuple)


@given(ANY_HEADER, st.lists(headers(15), max_size=2).map(tuple), WITHDRAWALS)
def test_blocks_of_every_shape_survive(
    header: Header, ommers: tuple[Header, ...], withdrawals: tuple[Withdrawal, ...]
) -> None:
    transactions = (records.transaction(type=0), records.transaction(type=1))
    block = Block(header, transactions, withdrawals if header.field_count >= 17 else (), ommers)
    assert decode_block(block.rlp) == block
    assert len(rlp.split_list(block.rlp)) == (4 if header.field_count >= 17 else 3)


def test_a_body_without_its_headers_shape_is_refused() -> None:
    block = Block(records.header(), ())
    parts = rlp.split_list(block.rlp)
    with pytest.raises(InvalidBlock, match="3 parts, want 4"):
        decode_block(rlp.join_list(parts[:3]))
    old = replace(block, header=replace(block.header, field_count=16))
    assert decode_block(old.rlp).withdrawals == ()
    with pytest.raises(InvalidBlock, match="4 parts, want 3"):
        decode_block(rlp.join_list([*rlp.split_list(old.rlp), b"\xc0"]))


def test_old_blocks_may_be_longer() -> None:
    block = Block(records.header(), (records.transaction(data=bytes(MAX_BLOCK_SIZE)),))
    assert decode_block(block.rlp, limit=None) == block
    with pytest.raises(InvalidBlock, match="at most 8388608"):
        decode_block(block.rlp)


LOGS = st.lists(
    st.builds(Log, st.binary(min_size=20, max_size=20), st.lists(HASH, max_size=4).map(tuple),
              st.binary(max_size=40)),
    max_size=3,
).map(tuple)  # fmt: skip


@given(HASH, U64, LOGS)
def test_receipts_before_byzantium_hold_a_root(
    root: bytes, gas: int, logs: tuple[Log, ...]
) -> None:
    receipt = Receipt(0, 1, gas, logs_bloom(logs), logs, root)
    assert decode_receipt(encode_receipt(receipt)) == receipt
    assert rlp.decode_list(encode_receipt(receipt))[0] == root
    with pytest.raises(InvalidBlock, match="receipt"):
        decode_receipt(b"\x01" + encode_receipt(receipt))


def test_high_s_before_homestead() -> None:
    """EIP-2: the same signature with s' = n - s and the other parity recovers the same sender."""
    low = records.transaction(type=0, chain_id=None)
    items = rlp.decode_list(low.raw)
    items[6], items[8] = rlp.uint(27 + 28 - low.v), rlp.uint(ORDER - low.s)
    raw = rlp.encode(items)
    with pytest.raises(InvalidSignature, match="high"):
        decode_transaction(raw)
    high = decode_transaction(raw, homestead=False)
    assert high.sender == low.sender
    assert high.s == ORDER - low.s
    assert decode_transaction(low.raw, homestead=False) == low
    items[8] = rlp.uint(ORDER)
    with pytest.raises(InvalidSignature, match="s out of range"):
        decode_transaction(rlp.encode(items), homestead=False)


def test_typed_transactions_never_have_high_s() -> None:
    raw = records.signed(type=1)
    items = rlp.decode_list(raw[1:])
    assert isinstance(items[10], bytes)
    items[8] = b"" if items[8] else b"\1"
    items[10] = rlp.uint(ORDER - int.from_bytes(items[10], "big"))
    for homestead in (True, False):
        with pytest.raises(InvalidSignature, match="high"):
            decode_transaction(b"\x01" + rlp.encode(items), homestead=homestead)


def test_genesis_of_the_fixture_chain() -> None:
    _, blocks = fixture_chain()
    assert blocks[1].header.parent_hash == blocks[0].hash
    assert blocks[0].header.field_count == 15


@pytest.mark.parametrize("fork", Fork)
def test_genesis_in_the_shape_of_its_fork(fork: Fork) -> None:
    spec = GenesisSpec(
        chain_id=1, assay=None, schedule=schedule_of(fork), base_fee_per_gas=5, excess_blob_gas=6
    )
    header = genesis_block(spec)[0].header
    assert header.field_count == field_count(fork)
    assert header.base_fee_per_gas == (5 if fork >= Fork.LONDON else 0)
    assert header.excess_blob_gas == (6 if fork >= Fork.CANCUN else 0)
    assert decode_header(header.rlp) == header


def test_ethereum_keeps_empty_accounts_and_bare_storage() -> None:
    spec = GenesisSpec(
        chain_id=1,
        assay=None,
        alloc={b"e" * 20: Allocation(), b"s" * 20: Allocation(storage={1: 2}),
               b"r" * 20: Allocation(balance=2**256 - 1), b"t" * 20: Allocation(balance=1)},
    )  # fmt: skip
    block, nodes = genesis_block(spec)
    reader = StateReader(nodes.__getitem__, block.header.state_root)
    assert reader.storage(b"s" * 20, 1) == 2
    without = {address: entry for address, entry in spec.alloc.items() if address != b"e" * 20}
    assert genesis_block(replace(spec, alloc=without))[0].hash != block.hash


def test_genesis_blocks_of_official_fixtures() -> None:
    folder = fixture_chain_folder().parent / "eest"
    forks = {fork.name.title(): fork for fork in (Fork.CANCUN, Fork.PRAGUE, Fork.OSAKA)}
    checked = 0
    for file in sorted(folder.rglob("*.json"))[::40]:
        for fixture in json.loads(file.read_text()).values():
            fork = forks.get(fixture["network"])
            if fork is not None:
                want = bytes.fromhex(fixture["genesisRLP"][2:])
                block = genesis_block(_spec(fixture, fork))[0]
                assert block.rlp == want
                assert decode_block(want) == block
                checked += 1
    assert checked >= 3


def _spec(fixture: dict[str, Any], fork: Fork) -> GenesisSpec:
    header = decode_block(bytes.fromhex(fixture["genesisRLP"][2:])).header
    return GenesisSpec(
        chain_id=1,
        assay=None,
        schedule=schedule_of(fork),
        timestamp=header.timestamp,
        gas_limit=header.gas_limit,
        base_fee_per_gas=header.base_fee_per_gas,
        difficulty=header.difficulty,
        nonce=header.nonce,
        mix_hash=header.mix_hash,
        coinbase=header.coinbase,
        extra_data=header.extra_data,
        excess_blob_gas=header.excess_blob_gas,
        blob_gas_used=header.blob_gas_used,
        alloc={
            bytes.fromhex(address[2:]): Allocation(
                balance=int(entry["balance"], 16),
                nonce=int(entry["nonce"], 16),
                code=bytes.fromhex(entry["code"][2:]),
                storage={int(slot, 16): int(word, 16) for slot, word in entry["storage"].items()},
            )
            for address, entry in fixture["pre"].items()
        },
    )
