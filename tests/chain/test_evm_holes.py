"""Consensus holes of stock py-evm 0.12.1b1: each is shown open there and closed here.

| hole of py-evm | rule | test |
|---|---|---|
| chain id never checked | EIP-155, 2930, 1559 | transaction_that_stock_mines: another chain |
| gas limit below the calldata floor | EIP-7623 | transaction_that_stock_mines: floor |
| balance below value + gas * fee cap | EIP-1559 | transaction_that_stock_mines: balance |
| ... + blobs * blob fee cap | EIP-4844 | holes_blobs: sender_must_own_the_blob_fee |
| sender with code | EIP-3607, 7702 | transaction_that_stock_mines: code; delegated_sender |
| tip above fee cap | EIP-1559 | transaction_that_stock_mines: tip |
| type 3 without recipient | EIP-4844 | transaction_that_stock_mines: blob |
| creation below intrinsic gas with initcode words | EIP-3860 | transaction_that_stock_mines |
| oversized initcode halts late | EIP-3860 | initcode_above_the_limit |
| creation on an account with storage only | EIP-7610 | creation_on, create_opcode_on |
| missing or failing system contract | EIP-7002, 7251 | broken_system_contract |
| deposit log layout | EIP-6110 | deposit_log_of_another_layout |
| MODEXP 0 ** 0 | EIP-198 | modexp_of_zero_to_the_zero |
| y_parity 2, r = 0, s = 0, gas >= 2**64 | EIP-2718, Yellow Paper | field_that_stock_lets_pass |
| high s | EIP-2 | high_s_is_refused |
| nonce 2**64 - 1 | EIP-2681 | nonce_without_successor |
| gas below intrinsic ends in a Python error | Yellow Paper | gas_below_intrinsic |
| type 3 with blobs and proofs is not decoded | EIP-4844, 7594 | holes_blobs: refused_by_name |
| blob target and limit are constants | EIP-7691, 7840, 7892 | holes_blobs: follow_the_schedule |
| initcode charged twice to a delegated sender | EIP-7702 | delegated_sender_pays_initcode_once |

What these refuse in blocks of every fork: ``test_evm_rules``.
"""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from eth.precompiles.modexp import _modexp as stock_modexp
from eth.vm.forks.prague.constants import DEPOSIT_CONTRACT_ADDRESS, DEPOSIT_EVENT_SIGNATURE_HASH

from chain import rlp
from chain.errors import (
    GasCapExceeded,
    InitcodeTooLarge,
    InsufficientFunds,
    IntrinsicGasTooLow,
    InvalidBlock,
    InvalidSignature,
    InvalidTransaction,
    MalformedTransaction,
    SenderNotEoa,
    TipAboveFeeCap,
    WrongChainId,
)
from chain.evm.requests import deposit_request
from chain.evm.transition import contract_address
from chain.requests import CallRequest
from chain.signatures import ORDER
from chain.simulation import call
from chain.transactions import decode_transaction
from genesis.addresses import CONSOLIDATION_REQUESTS, WITHDRAWAL_REQUESTS
from genesis.spec import Allocation
from tests.chain import records
from tests.chain.evm_world import CONTRACT, MemoryChain, contract, initcode, op, push
from tests.chain.records import GWEI, account, signed
from tests.chain.stock_evm import stock_apply, stock_chain, stock_transaction

POOR = account(50)
BLOB_FIELDS = [rlp.uint(GWEI), [b"\x01" + bytes(31)]]

REFUSED: dict[str, tuple[type[InvalidTransaction], Callable[[], bytes]]] = {
    "legacy for another chain": (WrongChainId, lambda: signed(type=0, chain_id=1)),
    "typed for another chain": (WrongChainId, lambda: signed(type=2, chain_id=1)),
    "gas below the calldata floor": (
        IntrinsicGasTooLow,
        lambda: signed(data=b"\x01" * 1000, gas=21_000 + 16_010),
    ),
    "balance below value + gas * max fee": (
        InsufficientFunds,
        lambda: signed(50, max_fee=10 * GWEI, value=100_000),
    ),
    "sender with code": (SenderNotEoa, lambda: signed(51)),
    "tip above fee cap": (TipAboveFeeCap, lambda: signed(tip=3 * GWEI)),
    "blob transaction without recipient": (
        MalformedTransaction,
        lambda: signed(type=3, to=b"", gas=100_000, extra=BLOB_FIELDS),
    ),
    "creation below intrinsic gas with initcode words": (
        IntrinsicGasTooLow,
        lambda: signed(to=b"", data=bytes(32), gas=53_000 + 4 * 32 + 1),
    ),
}


def world() -> MemoryChain:
    return MemoryChain(
        {
            POOR: Allocation(balance=21_000 * 10 * GWEI + 5),
            account(51): Allocation(balance=records.ETHER, code=b"\x60\0"),
        }
    )


@pytest.mark.parametrize("name", REFUSED)
def test_transaction_that_stock_mines_is_refused(name: str) -> None:
    kind, make = REFUSED[name]
    assert stock_apply(world(), make()) is not None
    with pytest.raises(kind):
        raise world().refuse(decode_transaction(make()))


def test_control_is_accepted_by_both() -> None:
    assert stock_apply(world(), signed()).is_success
    assert world().mine(records.transaction())[0].status == 1


def test_delegated_sender_may_send() -> None:
    chain = MemoryChain(
        {account(1): Allocation(balance=records.ETHER, code=b"\xef\x01\x00" + CONTRACT)}
    )
    assert chain.mine(records.transaction(1))[0].status == 1


def test_initcode_above_the_limit_is_refused_before_any_change() -> None:
    raw = signed(to=b"", data=bytes(49_153), gas=5_000_000)
    with pytest.raises(Exception, match="EIP-3860") as stock:
        stock_apply(world(), raw)
    assert type(stock.value).__name__ == "OutOfGas"  # raised after nonce and balance changed
    assert isinstance(world().refuse(decode_transaction(raw)), InitcodeTooLarge)
    fits = signed(to=b"", data=bytes(49_152), gas=5_000_000)
    assert world().mine(decode_transaction(fits))[0].status == 1


@pytest.mark.parametrize("gas", [0, 1, 20_999])
def test_gas_below_intrinsic_is_refused_by_name(gas: int) -> None:
    raw = signed(gas=gas)
    stock_transaction(raw).validate()
    assert isinstance(world().refuse(decode_transaction(raw)), IntrinsicGasTooLow)


def resigned(raw: bytes, **changes: int) -> bytes:
    """Typed transaction with other signature values, or another nonce or gas (not signed again)."""
    positions = {"nonce": 1, "gas": 4, "y_parity": -3, "r": -2, "s": -1}
    items = rlp.decode_list(raw[1:])
    for name, value in changes.items():
        items[positions[name]] = rlp.uint(value)
    return raw[:1] + rlp.encode(items)


def high_s(raw: bytes) -> bytes:
    items = rlp.decode_list(raw[1:])
    s = rlp.as_uint(items[-1])
    return resigned(raw, s=ORDER - s, y_parity=1 - rlp.as_uint(items[-3]))


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"y_parity": 2}, InvalidSignature),
        ({"r": 0}, InvalidSignature),
        ({"s": 0}, InvalidSignature),
        ({"gas": 1 << 64}, MalformedTransaction),
    ],
)
def test_field_that_stock_lets_pass_is_refused_when_decoding(
    change: dict[str, int], kind: type[InvalidTransaction]
) -> None:
    raw = resigned(signed(), **change)
    stock_transaction(raw).validate()
    with pytest.raises(kind):
        decode_transaction(raw)


def test_nonce_without_successor_is_refused() -> None:
    for nonce in ((1 << 64) - 1, 1 << 64):
        with pytest.raises(InvalidTransaction):
            decode_transaction(resigned(signed(), nonce=nonce))


def test_high_s_is_refused_when_decoding() -> None:
    raw = high_s(signed())
    with pytest.raises(InvalidSignature):
        decode_transaction(raw)


def test_gas_above_the_cap_of_one_transaction_is_refused() -> None:
    cap = records.spec().qbft.transaction_gas_cap
    assert isinstance(world().refuse(records.transaction(gas=cap + 1)), GasCapExceeded)
    assert world().mine(records.transaction(gas=cap))[0].status == 1


def occupied(address: bytes) -> MemoryChain:
    """``address`` has storage, but neither code nor nonce."""
    return MemoryChain({address: Allocation(balance=1, storage={1: 1})})


def test_creation_on_an_address_with_storage_fails() -> None:
    address = contract_address(account(0), 0)
    raw = signed(to=b"", data=initcode(b"\0"), gas=200_000, value=0)
    assert stock_apply(occupied(address), raw).is_success
    chain = occupied(address)
    receipt = chain.mine(decode_transaction(raw))[0]
    assert (receipt.status, receipt.cumulative_gas_used) == (0, 200_000)
    assert chain.state().storage(address, 1) == 1
    assert chain.state().account(account(0)).nonce == 1


def test_create_opcode_on_an_address_with_storage_gives_zero() -> None:
    # CREATE of empty initcode; its result goes to slot 0
    creator = op(0xF0, 0, 0, 0) + push(0) + b"\x55"
    address = contract_address(CONTRACT, 1)
    accounts = {
        CONTRACT: contract(creator, storage={0: 7}),
        address: Allocation(balance=1, storage={1: 1}),
    }
    raw = signed(to=CONTRACT, gas=1_000_000, value=0)
    assert stock_apply(MemoryChain(accounts), raw).state.get_storage(CONTRACT, 0) != 0
    chain = MemoryChain(accounts)
    chain.mine(decode_transaction(raw))
    assert chain.state().storage(CONTRACT, 0) == 0


@pytest.mark.parametrize("address", [WITHDRAWAL_REQUESTS, CONSOLIDATION_REQUESTS])
@pytest.mark.parametrize("code", [b"", b"\xfe"], ids=["missing", "failing"])
def test_broken_system_contract_makes_the_block_invalid(address: bytes, code: bytes) -> None:
    def broken() -> MemoryChain:
        if not code:
            return MemoryChain(without=[address])
        return MemoryChain({address: contract(code)})

    stock = SimpleNamespace(block_requests=[])
    vm = stock_chain(broken()).get_vm()
    vm.process_withdrawal_request_data(stock)
    vm.process_consolidation_request_data(stock)
    with pytest.raises(InvalidBlock, match=address.hex()):
        broken().build()


def deposit_data() -> bytes:
    """What the deposit contract logs; every field filled with its own byte."""
    sizes = (48, 32, 8, 96, 8)
    heads, tails, offset = b"", b"", 160
    for index, size in enumerate(sizes):
        heads += offset.to_bytes(32, "big")
        padded = bytes([index + 1]) * size + bytes(-size % 32)
        tails += size.to_bytes(32, "big") + padded
        offset += 32 + len(padded)
    return heads + tails


def stock_deposit(data: bytes) -> bytes:
    log = SimpleNamespace(
        address=DEPOSIT_CONTRACT_ADDRESS,
        topics=[int.from_bytes(DEPOSIT_EVENT_SIGNATURE_HASH, "big")],
        data=data,
    )
    receipts = [SimpleNamespace(logs=[log])]
    block = SimpleNamespace(block_requests=[], get_receipts=lambda database: receipts)
    stock_chain(world()).get_vm().process_deposit_request_data(block)
    return bytes(block.block_requests[0][1:])


def test_deposit_log_of_another_layout_makes_the_block_invalid() -> None:
    good = deposit_data()
    assert deposit_request(good) == stock_deposit(good)
    assert len(deposit_request(good)) == 192
    for position in (31, 63, 95, 127, 159, 191, 287, 351, 415, 543):
        bad = bytearray(good)
        bad[position] ^= 1
        stock_deposit(bytes(bad))
        with pytest.raises(InvalidBlock, match="deposit log"):
            deposit_request(bytes(bad))
    for bad_size in (good[:-32], good + bytes(32)):
        stock_deposit(bad_size)
        with pytest.raises(InvalidBlock, match="deposit log"):
            deposit_request(bad_size)


def precompiled(number: int, data: bytes) -> Any:
    chain = world()
    request = CallRequest(chain.head.hash, to=number.to_bytes(20, "big"), data=data, gas=1_000_000)
    return call(chain.spec, chain.head.header, chain, request, {})


def test_modexp_of_zero_to_the_zero_is_one() -> None:
    sizes = [(0, 0, 1), (0, 1, 1), (1, 0, 1), (1, 1, 1)]
    for base, exponent, modulus in sizes:
        data = b"".join(size.to_bytes(32, "big") for size in (base, exponent, modulus))
        data += bytes(base + exponent) + b"\x05"
        assert stock_modexp(data) == (0 if base == 0 else 1)
        assert precompiled(5, data).output == b"\x01"


@pytest.mark.parametrize("modulus", [b"\x00", b"\x01"])
def test_modexp_modulo_zero_and_one_is_zero(modulus: bytes) -> None:
    data = bytes(64) + (1).to_bytes(32, "big") + modulus
    assert precompiled(5, data).output == b"\x00"


def test_delegated_sender_pays_initcode_once() -> None:
    """Stock charges a CREATE whose creator is the transaction's origin twice."""
    creator = op(0xF0, 0, 0, 3200) + b"\x00"
    delegated = Allocation(balance=records.ETHER, code=b"\xef\x01\x00" + CONTRACT)
    accounts = {CONTRACT: contract(creator), account(1): delegated}
    own = signed(1, to=account(1), gas=300_000, value=0)
    foreign = signed(0, to=account(1), gas=300_000, value=0)
    chain = MemoryChain(accounts)
    own_gas = chain.mine(decode_transaction(own))[0].cumulative_gas_used
    foreign_gas = MemoryChain(accounts).mine(decode_transaction(foreign))[0].cumulative_gas_used
    assert own_gas == foreign_gas
    stock = [stock_apply(MemoryChain(accounts), raw).get_gas_used() for raw in (own, foreign)]
    assert stock[0] == stock[1] + 2 * 100


def test_unprotected_legacy_transaction_is_valid_in_a_block() -> None:
    assert world().mine(records.transaction(type=0, chain_id=None))[0].status == 1


def test_blob_transaction_is_refused_in_a_block() -> None:
    raw = signed(type=3, gas=100_000, extra=BLOB_FIELDS)
    assert "blob" in str(world().refuse(decode_transaction(raw)))
    chain = world()
    built, _ = chain.build()
    with_blob = replace(built.block, transactions=(decode_transaction(raw),))
    with pytest.raises(InvalidBlock, match="blob"):
        chain.execute(with_blob)
