"""Header and body rules of every fork: a real chain passes, every field that is off is named."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from chain.blobs import GAS_PER_BLOB
from chain.blocks import Block, Withdrawal
from chain.errors import ExecutionMismatch, InvalidBlock, UnknownParent
from chain.header import EMPTY_LIST_HASH, Header, field_count
from chain.receipts import transactions_root, withdrawals_root
from chain.rlp import join_list
from chain.validation import check_body, check_header, check_ommers
from genesis.forks import Fork, ForkSchedule, schedule_of
from genesis.spec import GenesisSpec
from precompiles.hashing import keccak256
from tests.chain import records
from tests.chain.fixture_chain import fixture_chain


def test_the_fixture_chain_follows_every_rule() -> None:
    spec, blocks = fixture_chain()
    by_hash = {block.hash: block for block in blocks}
    for parent, block in pairwise(blocks):
        check_header(spec, parent.header, block.header)
        check_body(spec, block)
        check_ommers(spec, block, by_hash.get)


FORKS_OF_BLOCKS = {
    1: Fork.HOMESTEAD, 10: Fork.BYZANTIUM, 26: Fork.BERLIN, 27: Fork.LONDON, 36: Fork.PARIS,
    39: Fork.SHANGHAI, 42: Fork.CANCUN, 45: Fork.PRAGUE, 48: Fork.OSAKA, 54: Fork.OSAKA,
}  # fmt: skip
CHANGES: list[tuple[str, Fork, Callable[[Header], dict[str, Any]], str]] = [
    ("parent", Fork.FRONTIER, lambda h: {"parent_hash": b"p" * 32}, "unknown parent"),
    ("number", Fork.FRONTIER, lambda h: {"number": h.number + 1}, "number"),
    ("time", Fork.FRONTIER, lambda h: {"timestamp": h.timestamp - 10}, "timestamp"),
    ("gas", Fork.FRONTIER, lambda h: {"gas_used": h.gas_limit + 1}, "gas_used"),
    ("limit up", Fork.FRONTIER, lambda h: {"gas_limit": h.gas_limit * 1025 // 1024}, "gas_limit"),
    ("limit down", Fork.FRONTIER, lambda h: {"gas_limit": h.gas_limit * 1022 // 1024}, "gas_limit"),
    ("extra", Fork.FRONTIER, lambda h: {"extra_data": bytes(33)}, "extra_data of 33"),
    ("difficulty", Fork.FRONTIER, lambda h: {"difficulty": h.difficulty + 1}, "difficulty"),
    ("longer", Fork.FRONTIER, lambda h: {"field_count": _other(h.field_count, 1)}, "field_count"),
    ("shorter", Fork.LONDON, lambda h: {"field_count": _other(h.field_count, -1)}, "field_count"),
    ("base fee", Fork.LONDON, lambda h: {"base_fee_per_gas": h.base_fee_per_gas + 1}, "base_fee"),
    ("nonce", Fork.PARIS, lambda h: {"nonce": b"\1" * 8}, "nonce"),
    ("ommers", Fork.PARIS, lambda h: {"ommers_hash": b"o" * 32}, "ommers_hash"),
    ("excess", Fork.CANCUN, lambda h: {"excess_blob_gas": h.excess_blob_gas + 1}, "excess_blob"),
    ("part", Fork.CANCUN, lambda h: {"blob_gas_used": GAS_PER_BLOB - 1}, "blob_gas_used"),
    ("many", Fork.CANCUN, lambda h: {"blob_gas_used": GAS_PER_BLOB * 22}, "blob_gas_used"),
]


def _other(count: int, step: int) -> int:
    counts = (15, 16, 17, 20, 21, 15)
    return counts[counts.index(count) + step]


@pytest.mark.parametrize(
    ("number", "fields", "text"),
    [
        pytest.param(number, fields, text, id=f"{name}-{number}")
        for name, first, fields, text in CHANGES
        for number, fork in FORKS_OF_BLOCKS.items()
        if fork >= first
    ],
)
def test_every_broken_field_is_named(
    number: int, fields: Callable[[Header], dict[str, Any]], text: str
) -> None:
    spec, blocks = fixture_chain()
    header = blocks[number].header
    with pytest.raises(InvalidBlock, match=text):
        check_header(spec, blocks[number - 1].header, replace(header, **fields(header)))


def ethereum(fork: Fork) -> GenesisSpec:
    return GenesisSpec(chain_id=1, assay=None, schedule=schedule_of(fork))


def follow(parent: Header, fork: Fork, **fields: Any) -> Header:
    """A header of ``fork`` after ``parent``."""
    child = {"parent_hash": parent.hash, "number": parent.number + 1, "timestamp": 12}
    shape = {"extra_data": b"", "field_count": field_count(fork)}
    return records.header(**{**child, **shape, **fields})


@pytest.mark.parametrize(
    ("limit", "is_valid"),
    [
        (20_000_000, True),
        (20_019_530, True),
        (19_980_470, True),
        (20_019_531, False),
        (19_980_469, False),
        (10_000_000, False),
    ],
)
def test_london_doubles_the_gas_limit(limit: int, is_valid: bool) -> None:
    schedule = ForkSchedule(((0, Fork.BERLIN), (1, Fork.PARIS)))
    spec = GenesisSpec(chain_id=1, assay=None, schedule=schedule)
    parent = records.header(gas_limit=10_000_000, field_count=15, base_fee_per_gas=0, timestamp=0)
    header = follow(parent, Fork.PARIS, gas_limit=limit)
    if is_valid:
        check_header(spec, parent, header)
    else:
        with pytest.raises(InvalidBlock, match="gas_limit"):
            check_header(spec, parent, header)


def test_gas_limit_has_a_floor() -> None:
    parent = records.header(gas_limit=5_003, timestamp=0, field_count=16)
    check = ethereum(Fork.PARIS)
    base_fee = 875_000_000
    check_header(
        check, parent, follow(parent, Fork.PARIS, gas_limit=5_000, base_fee_per_gas=base_fee)
    )
    with pytest.raises(InvalidBlock, match="gas_limit 4999, want 5000 to"):
        check_header(check, parent, follow(parent, Fork.PARIS, gas_limit=4_999))


def test_gas_limit_has_a_ceiling() -> None:
    most = (1 << 63) - 1
    parent = records.header(gas_limit=most, timestamp=0, field_count=16)
    check, base_fee = ethereum(Fork.PARIS), 875_000_000
    highest = follow(parent, Fork.PARIS, gas_limit=most, base_fee_per_gas=base_fee)
    check_header(check, parent, highest)
    above = follow(parent, Fork.PARIS, gas_limit=most + 1, base_fee_per_gas=base_fee)
    with pytest.raises(InvalidBlock, match=f"gas_limit {most + 1}, want .* to {most}"):
        check_header(check, parent, above)


def test_parameters_of_the_schedule_bound_blobs() -> None:
    parent = records.header(timestamp=0, field_count=20, base_fee_per_gas=7, gas_used=30_000_000)
    for fork, most in ((Fork.CANCUN, 6), (Fork.PRAGUE, 9)):
        start = replace(parent, field_count=field_count(fork))
        for blobs in (most, most + 1):
            header = follow(start, fork, base_fee_per_gas=7, blob_gas_used=blobs * GAS_PER_BLOB)
            if blobs == most:
                check_header(ethereum(fork), start, header)
            else:
                with pytest.raises(InvalidBlock, match="blob_gas_used"):
                    check_header(ethereum(fork), start, header)


def body(fork: Fork, **fields: Any) -> Block:
    """A block of ``fork`` whose header fits its body."""
    block = Block(records.header(field_count=field_count(fork)), **{"transactions": (), **fields})
    header = replace(
        block.header,
        transactions_root=transactions_root([tx.raw for tx in block.transactions]),
        withdrawals_root=withdrawals_root([entry.rlp for entry in block.withdrawals]),
        ommers_hash=keccak256(join_list([ommer.rlp for ommer in block.ommers])),
    )
    return replace(block, header=header)


WITHDRAWALS = (Withdrawal(1, 2, b"a" * 20, 3),)


def test_bodies() -> None:
    transactions = (records.transaction(), records.transaction(1, type=0))
    good = body(Fork.OSAKA, transactions=transactions, withdrawals=WITHDRAWALS)
    check_body(ethereum(Fork.OSAKA), good)
    with pytest.raises(ExecutionMismatch, match="transactions_root"):
        check_body(ethereum(Fork.OSAKA), replace(good, transactions=()))
    with pytest.raises(ExecutionMismatch, match="withdrawals_root"):
        check_body(ethereum(Fork.OSAKA), replace(good, withdrawals=()))
    for root in ("transactions_root", "withdrawals_root", "ommers_hash"):
        change: dict[str, Any] = {root: b"w" * 32}
        wrong = replace(good.header, **change)
        with pytest.raises(ExecutionMismatch, match=root):
            check_body(ethereum(Fork.OSAKA), replace(good, header=wrong))
    with pytest.raises(InvalidBlock, match="1 withdrawals, want none"):
        check_body(records.spec(), good)


def test_ommers_must_be_those_of_the_header() -> None:
    ommer = records.header(field_count=15, base_fee_per_gas=0)
    good = body(Fork.BERLIN, ommers=(ommer,))
    check_body(ethereum(Fork.BERLIN), good)
    for ommers in ((), (ommer, ommer), (replace(ommer, gas_used=1),)):
        with pytest.raises(ExecutionMismatch, match="ommers_hash"):
            check_body(ethereum(Fork.BERLIN), replace(good, ommers=ommers))
    assert good.header.ommers_hash != EMPTY_LIST_HASH


def test_blobs_must_be_those_of_the_header() -> None:
    blob = records.transaction(type=3, extra=[b"\x01", [b"\x01" + bytes(31)] * 2])
    block = body(Fork.CANCUN, transactions=(blob,))
    with pytest.raises(ExecutionMismatch, match="blob_gas_used: declared 0, computed 262144"):
        check_body(ethereum(Fork.CANCUN), block)
    header = replace(block.header, blob_gas_used=2 * GAS_PER_BLOB)
    check_body(ethereum(Fork.CANCUN), replace(block, header=header))
    with pytest.raises(InvalidBlock, match="transaction 0 carries blobs"):
        check_body(records.spec(), block)


@pytest.mark.parametrize("fork", [Fork.PRAGUE, Fork.OSAKA])
@pytest.mark.parametrize("excess", [0, 1])
def test_block_size_from_osaka_on(fork: Fork, excess: int) -> None:
    """EIP-7934: 8,388,608 bytes at most."""
    size = 8_388_608 + excess
    filler = len(body(fork, transactions=(records.transaction(data=bytes(1 << 23)),)).rlp)
    data = bytes((1 << 23) + size - filler)
    block = body(fork, transactions=(records.transaction(data=data),))
    assert len(block.rlp) == size
    if excess and fork is Fork.OSAKA:
        with pytest.raises(InvalidBlock, match="block of 8388609 bytes, at most 8388608"):
            check_body(ethereum(fork), block)
    else:
        check_body(ethereum(fork), block)


def test_an_assay_chain_keeps_its_own_rules() -> None:
    spec = records.spec()
    parent = records.header(number=0, base_fee_per_gas=8)
    good = follow(
        parent,
        Fork.OSAKA,
        extra_data=parent.extra_data,
        timestamp=parent.timestamp + 1,
        mix_hash=keccak256(parent.mix_hash + (1).to_bytes(32, "big")),
        base_fee_per_gas=7,
    )
    check_header(spec, parent, good)
    changes: tuple[tuple[dict[str, Any], str], ...] = (
        ({"gas_limit": good.gas_limit + 1}, "gas_limit"),
        ({"mix_hash": bytes(32)}, "mix_hash"),
        ({"field_count": 20}, "field_count 20, want 21"),
        ({"parent_beacon_block_root": b"r" * 32}, "parent_beacon_block_root"),
        ({"extra_data": b""}, "extra_data"),
        ({"blob_gas_used": GAS_PER_BLOB}, "blob_gas_used"),
    )
    for change, text in changes:
        with pytest.raises(InvalidBlock, match=text):
            check_header(spec, parent, replace(good, **change))
    with pytest.raises(UnknownParent):
        check_header(spec, good, good)


class Ommers:
    """Ten blocks of Gray Glacier, and stale ones beside them."""

    def __init__(self) -> None:
        self.spec = ethereum(Fork.GRAY_GLACIER)
        genesis = records.header(
            field_count=16, difficulty=1 << 17, timestamp=0, extra_data=b"", base_fee_per_gas=7,
            gas_used=30_000_000,
        )  # fmt: skip
        self.blocks = [Block(genesis, ())]
        for _ in range(9):
            self.blocks.append(Block(self.stale(len(self.blocks) - 1, b""), ()))

    def stale(self, parent_number: int, extra_data: bytes) -> Header:
        parent = self.blocks[parent_number].header
        return replace(
            parent,
            parent_hash=parent.hash,
            number=parent.number + 1,
            timestamp=parent.timestamp + 10,
            extra_data=extra_data,
        )

    def check(self, *ommers: Header) -> None:
        block = Block(self.stale(9, b""), (), ommers=ommers)
        known = {block.hash: block for block in self.blocks}
        check_ommers(self.spec, block, known.get)


@pytest.mark.parametrize("parent", range(3, 9))
def test_ommers_of_the_last_six_heights(parent: int) -> None:
    chain = Ommers()
    chain.check(chain.stale(parent, b"one"))
    chain.check(chain.stale(parent, b"one"), chain.stale(8, b"two"))


def test_ommers_that_no_block_may_have() -> None:
    chain = Ommers()
    fine = [chain.stale(8, name) for name in (b"one", b"two", b"three")]
    for ommers, text in (
        (fine, "3 ommers, at most 2"),
        ([fine[0], fine[0]], "ommer 1: .* is in the chain already"),
        ([chain.blocks[9].header], "is in the chain already"),
        ([chain.stale(9, b"sibling")], "is no ancestor 2 to 7"),
        ([chain.stale(2, b"old")], "is no ancestor 2 to 7"),
        ([replace(fine[0], parent_hash=b"x" * 32)], "is no ancestor 2 to 7"),
        ([replace(fine[0], difficulty=1)], "ommer 0: difficulty 1, want 131072"),
        ([replace(fine[0], number=3)], "ommer 0: number 3, want 9"),
    ):
        with pytest.raises(InvalidBlock, match=text):
            chain.check(*ommers)
    chain.blocks[7] = replace(chain.blocks[7], ommers=(fine[1],))
    chain.check(fine[0])
    with pytest.raises(InvalidBlock, match="is in the chain already"):
        chain.check(fine[1])
