"""Which transactions a block of each fork may contain."""

from dataclasses import replace
from typing import Any

import pytest

from chain.blobs import GAS_PER_BLOB
from chain.errors import (
    FeeCapTooLow,
    GasCapExceeded,
    GasLimitExceeded,
    InitcodeTooLarge,
    InsufficientFunds,
    IntrinsicGasTooLow,
    InvalidSignature,
    InvalidTransaction,
    NonceTooHigh,
    NonceTooLow,
    SenderNotEoa,
    TypeNotSupported,
    WrongChainId,
)
from chain.evm.environment import BlockEnvironment
from chain.evm.rules import GasAvailable, check_transaction
from chain.evm.state import WorldState
from chain.fees import floor_gas, intrinsic_gas, transaction_gas_cap
from chain.header import EMPTY_TRIE_ROOT
from chain.signatures import ORDER
from chain.transactions import Transaction
from genesis.forks import Fork
from genesis.spec import GenesisSpec
from tests.chain import records
from tests.chain.records import CHAIN_ID, ETHER, GWEI, account

ROOM = GasAvailable(gas=30_000_000, transaction_cap=None, blob_gas=9 * GAS_PER_BLOB)
FORKS = list(Fork)
BLOBS: list[Any] = [records.rlp.uint(GWEI), [b"\x01" + bytes(31)] * 7]


def environment(fork: Fork, **changes: int) -> BlockEnvironment:
    block = BlockEnvironment(
        chain_id=CHAIN_ID,
        fork=fork,
        number=1,
        timestamp=1,
        gas_limit=30_000_000,
        coinbase=bytes(20),
        prev_randao=0,
        base_fee_per_gas=7 if fork >= Fork.LONDON else 0,
        blob_base_fee=1 if fork >= Fork.CANCUN else 0,
        ancestor_hash=lambda number: bytes(32),
    )
    return replace(block, **changes)  # type: ignore[arg-type]


def world(**fields: int | bytes) -> WorldState:
    state = WorldState({}.__getitem__, EMPTY_TRIE_ROOT)
    state.set_balance(account(0), int(fields.get("balance", ETHER)))
    state.set_nonce(account(0), int(fields.get("nonce", 0)))
    if code := fields.get("code"):
        assert isinstance(code, bytes)
        state.set_code(account(0), code)
    return state


def check(
    transaction: Transaction, fork: Fork, room: GasAvailable = ROOM, **fields: int | bytes
) -> None:
    check_transaction(transaction, world(**fields), environment(fork), room)


def forks_that_accept(transaction: Transaction, error: type[InvalidTransaction]) -> list[Fork]:
    accepting = []
    for fork in FORKS:
        try:
            check(transaction, fork)
        except error:
            continue
        accepting.append(fork)
    return accepting


@pytest.mark.parametrize(
    ("kind", "first"),
    [(0, Fork.FRONTIER), (1, Fork.BERLIN), (2, Fork.LONDON), (3, Fork.CANCUN), (4, Fork.PRAGUE)],
)
def test_each_type_begins_with_its_fork(kind: int, first: Fork) -> None:
    extra: list[object] = []
    if kind == 3:
        extra = [records.rlp.uint(GWEI), [b"\x01" + bytes(31)]]
    if kind == 4:
        extra = [[records.authorization(1)]]
    chain_id = None if kind == 0 else CHAIN_ID
    transaction = records.transaction(type=kind, chain_id=chain_id, gas=100_000, extra=extra)
    accepting = forks_that_accept(transaction, TypeNotSupported)
    assert accepting == [fork for fork in FORKS if fork >= first]


def test_replay_protection_begins_with_spurious_dragon() -> None:
    accepting = forks_that_accept(records.transaction(type=0), InvalidSignature)
    assert accepting == [fork for fork in FORKS if fork >= Fork.SPURIOUS_DRAGON]


@pytest.mark.parametrize("kind", [0, 2])
def test_another_chains_transaction_is_refused(kind: int) -> None:
    with pytest.raises(WrongChainId):
        check(records.transaction(type=kind, chain_id=CHAIN_ID + 1), Fork.OSAKA)


def test_high_s_ends_with_homestead() -> None:
    transaction = records.transaction(type=0, chain_id=None)
    high = replace(transaction, s=ORDER - transaction.s)
    assert forks_that_accept(high, InvalidSignature) == [Fork.FRONTIER]


def test_initcode_is_bounded_from_shanghai_on() -> None:
    big = records.transaction(
        type=0, chain_id=None, to=b"", data=bytes(49_153), gas=5_000_000, max_fee=GWEI
    )
    accepting = forks_that_accept(big, InitcodeTooLarge)
    assert accepting == [fork for fork in FORKS if fork < Fork.SHANGHAI]


@pytest.mark.parametrize(
    ("fork", "call", "creation"),
    [
        (Fork.FRONTIER, 21_000 + 4 + 68, 21_000 + 4 + 68),
        (Fork.HOMESTEAD, 21_000 + 4 + 68, 53_000 + 4 + 68),
        (Fork.PETERSBURG, 21_000 + 4 + 68, 53_000 + 4 + 68),
        (Fork.ISTANBUL, 21_000 + 4 + 16, 53_000 + 4 + 16),
        (Fork.PARIS, 21_000 + 4 + 16, 53_000 + 4 + 16),
        (Fork.SHANGHAI, 21_000 + 4 + 16, 53_002 + 4 + 16),
        (Fork.OSAKA, 21_000 + 4 + 16, 53_002 + 4 + 16),
    ],
)
def test_intrinsic_gas_of_each_fork(fork: Fork, call: int, creation: int) -> None:
    for to, want in ((records.RECIPIENT, call), (b"", creation)):
        fields = {"type": 0, "chain_id": None, "to": to, "data": b"\x00\x01"}
        assert intrinsic_gas(records.transaction(**fields), fork) == want
        floor = floor_gas(records.transaction(**fields), fork)
        enough = max(want, floor)
        check(records.transaction(**fields, gas=enough), fork)
        with pytest.raises(IntrinsicGasTooLow):
            check(records.transaction(**fields, gas=enough - 1), fork)


def test_calldata_floor_begins_with_prague() -> None:
    data = b"\x01" * 1000
    transaction = records.transaction(type=0, chain_id=None, data=data, gas=60_999, max_fee=GWEI)
    accepting = forks_that_accept(transaction, IntrinsicGasTooLow)
    assert accepting == [
        fork for fork in FORKS if Fork.ISTANBUL <= fork < Fork.PRAGUE
    ]  # 68 gas per byte before
    assert floor_gas(transaction, Fork.PRAGUE) == 61_000
    assert floor_gas(transaction, Fork.CANCUN) == 0


def test_gas_cap_of_one_transaction() -> None:
    ethereum = GenesisSpec(chain_id=1, assay=None)
    assert transaction_gas_cap(ethereum, Fork.PRAGUE) is None
    assert transaction_gas_cap(ethereum, Fork.OSAKA) == 1 << 24
    assert transaction_gas_cap(records.spec(transaction_gas_cap=1 << 22), Fork.OSAKA) == 1 << 22
    room = replace(ROOM, transaction_cap=1 << 24)
    check(records.transaction(gas=1 << 24), Fork.OSAKA, room)
    with pytest.raises(GasCapExceeded):
        check(records.transaction(gas=(1 << 24) + 1), Fork.OSAKA, room)


def test_fee_cap_must_reach_the_base_fee() -> None:
    check(records.transaction(max_fee=7), Fork.LONDON)
    with pytest.raises(FeeCapTooLow):
        check(records.transaction(max_fee=6), Fork.LONDON)
    with pytest.raises(FeeCapTooLow):
        check(records.transaction(type=0, max_fee=6), Fork.OSAKA)
    check(records.transaction(type=0, max_fee=6), Fork.BERLIN)


def test_sender_must_own_the_most_that_it_may_cost() -> None:
    cost = 21_000 * 10 + 5
    for kind in (0, 2):
        transaction = records.transaction(type=kind, max_fee=10, value=5)
        check(transaction, Fork.OSAKA, balance=cost)
        with pytest.raises(InsufficientFunds):
            check(transaction, Fork.OSAKA, balance=cost - 1)


def test_blob_fee_counts_at_its_cap() -> None:
    extra = [records.rlp.uint(3), [b"\x01" + bytes(31)] * 2]
    transaction = records.transaction(type=3, max_fee=10, value=5, extra=extra)
    cost = 21_000 * 10 + 5 + 3 * 2 * GAS_PER_BLOB
    check(transaction, Fork.OSAKA, balance=cost)
    with pytest.raises(InsufficientFunds):
        check(transaction, Fork.OSAKA, balance=cost - 1)


def test_blob_fee_cap_must_reach_the_blob_base_fee() -> None:
    extra = [records.rlp.uint(3), [b"\x01" + bytes(31)]]
    transaction = records.transaction(type=3, extra=extra)
    check_transaction(transaction, world(), environment(Fork.CANCUN, blob_base_fee=3), ROOM)
    with pytest.raises(InvalidTransaction, match="blob gas fee"):
        check_transaction(transaction, world(), environment(Fork.CANCUN, blob_base_fee=4), ROOM)


def test_blobs_of_a_block_and_of_a_transaction_are_bounded() -> None:
    seven = records.transaction(type=3, extra=BLOBS)
    check(seven, Fork.PRAGUE, balance=10**30)
    with pytest.raises(InvalidTransaction, match="too many blobs"):
        check(seven, Fork.OSAKA, balance=10**30)
    six = records.transaction(type=3, extra=[BLOBS[0], BLOBS[1][:6]])
    check(six, Fork.OSAKA, balance=10**30)
    room = replace(ROOM, blob_gas=7 * GAS_PER_BLOB - 1)
    with pytest.raises(InvalidTransaction, match="blob gas limit"):
        check(seven, Fork.PRAGUE, room, balance=10**30)
    with pytest.raises(TypeNotSupported):
        check(seven, Fork.PRAGUE, replace(ROOM, blob_gas=None))


def test_nonce_must_be_the_next_one() -> None:
    check(records.transaction(nonce=3), Fork.OSAKA, nonce=3)
    with pytest.raises(NonceTooLow):
        check(records.transaction(nonce=2), Fork.OSAKA, nonce=3)
    with pytest.raises(NonceTooHigh):
        check(records.transaction(nonce=4), Fork.OSAKA, nonce=3)


def test_sender_has_no_code_but_a_delegation() -> None:
    check(records.transaction(), Fork.OSAKA, code=b"\xef\x01\x00" + bytes(20))
    for code in (b"\x00", b"\xef\x01\x00" + bytes(19), b"\xef\x01\x01" + bytes(20)):
        with pytest.raises(SenderNotEoa):
            check(records.transaction(), Fork.OSAKA, code=code)


def test_gas_left_in_the_block_bounds_the_gas_limit() -> None:
    check(records.transaction(gas=50_000), Fork.OSAKA, replace(ROOM, gas=50_000))
    with pytest.raises(GasLimitExceeded):
        check(records.transaction(gas=50_000), Fork.OSAKA, replace(ROOM, gas=49_999))
