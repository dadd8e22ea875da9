"""``eth_call`` and ``eth_estimateGas`` on the state after a block."""

from collections.abc import Mapping
from typing import Any

import pytest

from chain.errors import (
    CallFailed,
    FeeCapTooLow,
    InitcodeTooLarge,
    InsufficientFunds,
    IntrinsicGasTooLow,
    InvalidTransaction,
    TipAboveFeeCap,
)
from chain.requests import BlockOverride, CallRequest, CallResult, StateOverride
from chain.simulation import call, estimate_gas
from genesis.addresses import NATIVE
from precompiles.context import Call
from precompiles.errors import PrecompileRevert
from tests.chain import records
from tests.chain.evm_world import (
    COINBASE,
    CONTRACT,
    OTHER,
    MemoryChain,
    contract,
    in_deep_thread,
    initcode,
    op,
    push,
)
from tests.chain.records import ETHER, GWEI, account

NATIVE_ACCOUNT = NATIVE[0]
ECHO = b"\x36\x5f\x5f\x37\x36\x5f\xf3"  # returns its calldata
REVERT_ECHO = ECHO[:-1] + b"\xfd"


def priced(request: Call) -> bytes:
    """Costs 100 gas per byte; reverts on the byte 0."""
    request.charge(100 * len(request.calldata))
    if b"\0" in request.calldata:
        raise PrecompileRevert("Refused()")
    return request.calldata[::-1]


def world(accounts: Mapping[bytes, bytes] | None = None) -> MemoryChain:
    codes = {address: contract(code) for address, code in (accounts or {}).items()}
    return MemoryChain(codes, natives={NATIVE_ACCOUNT: priced})


def ask(chain: MemoryChain, **fields: Any) -> CallResult:
    request = CallRequest(chain.head.hash, **fields)
    return call(chain.spec, chain.head.header, chain, request, chain.natives)


def estimate(chain: MemoryChain, **fields: Any) -> int:
    request = CallRequest(chain.head.hash, **fields)
    return estimate_gas(chain.spec, chain.head.header, chain, request, chain.natives)


def word(value: int | bytes) -> bytes:
    return value.to_bytes(32, "big") if isinstance(value, int) else value.rjust(32, b"\0")


def returning(*opcodes: bytes) -> bytes:
    """Code that returns one word per snippet."""
    stores = [each + push(32 * index) + b"\x52" for index, each in enumerate(opcodes)]
    return b"".join(stores) + op(0xF3, 0, 32 * len(opcodes))


def test_call_returns_output_gas_and_logs() -> None:
    chain = world({CONTRACT: op(0xA1, 0, 0, 9) + ECHO})
    result = ask(chain, to=CONTRACT, data=b"hello")
    assert (result.output, result.error) == (b"hello", None)
    assert [log.address for log in result.logs] == [CONTRACT]
    assert result.gas_used > 21_000 + 5 * 16


def test_call_writes_nothing() -> None:
    chain = world({CONTRACT: op(0x54, 0) + push(1) + b"\x01\x80" + push(0) + b"\x55" + ECHO})
    nodes = dict(chain.nodes)
    assert ask(chain, to=CONTRACT) == ask(chain, to=CONTRACT)
    assert chain.nodes == nodes


def test_revert_gives_its_data() -> None:
    result = ask(world({CONTRACT: REVERT_ECHO}), to=CONTRACT, data=b"\x01\x02")
    assert (result.error, result.output, result.logs) == ("revert", b"\x01\x02", ())


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (b"\xfe", "invalid opcode: INVALID"),
        (b"\x50", "stack underflow"),
        (b"\x5f" * 1025, "stack limit reached 1024"),
        (push(7) + b"\x56", "invalid jump destination"),
        (push(4) + b"\x56" + push(0x5B), "invalid jump destination"),
        (b"\x5b" + push(0) + b"\x56", "out of gas"),
        (op(0x3E, 0, 0, 1), "return data out of bounds"),
    ],
)
def test_halt_gives_its_reason(code: bytes, text: str) -> None:
    result = ask(world({CONTRACT: code}), to=CONTRACT, gas=100_000)
    assert result.error is not None
    assert text in result.error
    assert (result.output, result.gas_used) == (b"", 100_000)


def test_creation_returns_the_code() -> None:
    assert ask(world(), data=initcode(b"\x60\x01")).output == b"\x60\x01"


def test_call_needs_no_funds_without_fees_but_pays_with_them() -> None:
    chain = world({CONTRACT: returning(b"\x3a", b"\x48", b"\x32", b"\x33")})
    nobody = account(77)
    free = ask(chain, sender=nobody, to=CONTRACT)
    assert free.output == word(0) + word(0) + word(nobody) * 2
    with pytest.raises(InsufficientFunds):
        ask(chain, sender=nobody, to=CONTRACT, gas_price=2 * GWEI)
    with pytest.raises(InsufficientFunds):
        ask(chain, sender=nobody, to=CONTRACT, value=1)
    paid = ask(chain, sender=account(0), to=CONTRACT, gas_price=2 * GWEI, gas=100_000)
    assert paid.output[:64] == word(2 * GWEI) + word(chain.head.header.base_fee_per_gas)
    tip = ask(
        chain,
        sender=account(0),
        to=CONTRACT,
        max_fee_per_gas=5 * GWEI,
        max_priority_fee_per_gas=3,
        gas=100_000,
    )
    assert tip.output[:32] == word(chain.head.header.base_fee_per_gas + 3)


def test_fees_that_no_transaction_could_have() -> None:
    chain = world()
    with pytest.raises(FeeCapTooLow):
        ask(chain, sender=account(0), to=OTHER, gas_price=1, gas=30_000)
    with pytest.raises(TipAboveFeeCap):
        ask(chain, to=OTHER, max_fee_per_gas=1, max_priority_fee_per_gas=2)
    with pytest.raises(InvalidTransaction, match="both gasPrice"):
        ask(chain, to=OTHER, gas_price=1, max_fee_per_gas=2)
    with pytest.raises(IntrinsicGasTooLow):
        ask(chain, to=OTHER, gas=20_999)
    with pytest.raises(InitcodeTooLarge):
        ask(chain, data=bytes(49_153))


def test_nonce_and_code_of_the_sender_do_not_matter() -> None:
    chain = world({CONTRACT: ECHO, OTHER: b"\xfe"})
    assert ask(chain, sender=OTHER, to=CONTRACT, data=b"x", nonce=99).output == b"x"


def test_state_overrides() -> None:
    code = returning(op(0x54, 0), op(0x54, 1), b"\x47", op(0x31, OTHER))
    chain = MemoryChain({CONTRACT: contract(code, storage={0: 5, 1: 6})})
    plain = ask(chain, to=CONTRACT)
    assert plain.output == word(5) + word(6) + word(0) * 2
    overrides = {
        CONTRACT: StateOverride(balance=9, state=((1, 8),)),
        OTHER: StateOverride(balance=3),
    }
    whole = ask(chain, to=CONTRACT, state_overrides=overrides)
    assert whole.output == word(0) + word(8) + word(9) + word(3)
    single = ask(
        chain, to=CONTRACT, state_overrides={CONTRACT: StateOverride(state_diff=((1, 8),))}
    )
    assert single.output == word(5) + word(8) + word(0) * 2
    replaced = ask(chain, to=CONTRACT, state_overrides={CONTRACT: StateOverride(code=ECHO)})
    assert replaced.output == b""
    both = {CONTRACT: StateOverride(state=(), state_diff=())}
    with pytest.raises(InvalidTransaction, match="both 'state' and 'stateDiff'"):
        ask(chain, to=CONTRACT, state_overrides=both)
    rich = {account(77): StateOverride(balance=ETHER, nonce=5)}
    assert ask(chain, sender=account(77), to=OTHER, value=ETHER, state_overrides=rich).error is None


def test_overridden_storage_is_the_original_value_of_sstore() -> None:
    chain = MemoryChain({CONTRACT: contract(op(0x55, 0, 0))})
    overrides = {CONTRACT: StateOverride(state_diff=((0, 1),))}
    real = MemoryChain({CONTRACT: contract(op(0x55, 0, 0), storage={0: 1})})
    assert ask(chain, to=CONTRACT, state_overrides=overrides) == ask(real, to=CONTRACT)


def test_block_overrides() -> None:
    code = returning(b"\x43", b"\x42", b"\x41", b"\x44", b"\x45", b"\x48", op(0x40, 1), op(0x40, 5))
    chain = world({CONTRACT: code})
    for _ in range(3):
        chain.mine()
    header = chain.head.header
    plain = ask(chain, to=CONTRACT)
    assert plain.output[:96] == word(3) + word(header.timestamp) + word(COINBASE)
    assert plain.output[192:] == chain.blocks[1].hash + word(0)
    changed = BlockOverride(
        number=7,
        timestamp=1,
        gas_limit=99_000,
        coinbase=OTHER,
        prev_randao=b"\x09" * 32,
        base_fee_per_gas=0,
    )
    result = ask(chain, to=CONTRACT, block_overrides=changed)
    words = [word(7), word(1), word(OTHER), b"\x09" * 32, word(99_000), word(0)]
    assert result.output == b"".join(words) + chain.blocks[1].hash + word(0)


def test_old_state_can_be_called() -> None:
    writer = MemoryChain({CONTRACT: contract(op(0x54, 0) + push(1) + b"\x01" + push(0) + b"\x55")})
    for nonce in range(3):
        writer.mine(records.transaction(to=CONTRACT, gas=100_000, value=0, nonce=nonce))
    reader = StateOverride(code=returning(op(0x54, 0)))
    for number, block in enumerate(writer.blocks):
        request = CallRequest(block.hash, to=CONTRACT, state_overrides={CONTRACT: reader})
        assert call(writer.spec, block.header, writer, request, {}).output == word(number)


def test_depth_1024() -> None:
    """The deepest nesting there is, in the thread that workers use."""
    count = op(0x5C, 0) + push(1) + b"\x01" + push(0) + b"\x5d"
    call_self = b"\x5f\x5f\x5f\x5f\x5f\x30\x5a\xf1\x50"
    code = count + call_self + returning(op(0x5C, 0))
    chain = world({CONTRACT: code})
    results: list[CallResult] = []

    def run() -> None:
        override = BlockOverride(gas_limit=1 << 60)
        results.append(ask(chain, to=CONTRACT, gas=1 << 50, block_overrides=override))

    in_deep_thread(run)
    assert results[0].error is None
    assert int.from_bytes(results[0].output, "big") == 1025


# Estimates


def demanding(target: bytes, gas: int = 1 << 40) -> bytes:
    """Code that calls ``target`` with its own calldata and reverts when that fails."""
    code = b"\x36\x5f\x5f\x37\x5f\x5f\x36\x5f\x5f" + push(target) + push(gas) + b"\xf1\x15"
    return code + push(len(code) + 4) + b"\x57\x00\x5b" + op(0xFD, 0, 0)


def check_exact(chain: MemoryChain, **fields: Any) -> int:
    """The estimate succeeds in a block as it is, and one unit less does not."""
    limit = estimate(chain, sender=account(0), **fields)
    to, data, value = fields.get("to") or b"", fields.get("data", b""), fields.get("value", 0)
    enough = records.transaction(to=to, data=data, value=value, gas=limit)
    built, rejected = chain.build([enough])
    assert not rejected
    assert built.receipts[0].status == 1
    less = records.transaction(to=to, data=data, value=value, gas=limit - 1)
    built, rejected = chain.build([less])
    assert rejected or built.receipts[0].status == 0
    return limit


def test_estimate_of_a_transfer_is_its_intrinsic_gas() -> None:
    assert check_exact(world(), to=OTHER, value=1) == 21_000
    assert check_exact(world(), to=OTHER, data=b"\1" * 9) == 21_000 + 40 * 9  # floor


@pytest.mark.parametrize(
    "code",
    [
        op(0x55, 0, 1),
        op(0x55, 1, 0),
        demanding(OTHER),
        demanding(OTHER, 40_000),
        op(0x5A) + push(100_000) + b"\x11" + push(17) + b"\x57\0" + bytes(6) + b"\x5b\0",
    ],
    ids=["set", "clear with refund", "nested", "63/64", "asks for its gas"],
)
def test_estimate_is_exact(code: bytes) -> None:
    inner = contract(b"\x5a\x50" + op(0x55, 0, 7))
    chain = MemoryChain({CONTRACT: contract(code, storage={1: 1}), OTHER: inner})
    check_exact(chain, to=CONTRACT)


def test_estimate_is_exact_where_less_gas_makes_the_call_revert() -> None:
    """Reverts unless the inner call got 50,000 gas: what is used is less than what is needed."""
    ask_gas = push(50_000) + b"\x5a\x10" + push(9) + b"\x57\x00\x5b"  # GAS < 50,000: revert
    inner = ask_gas + op(0xFD, 0, 0)
    assert inner[9] == 0x5B
    code = demanding(OTHER)
    chain = MemoryChain({CONTRACT: contract(code), OTHER: contract(inner)})
    limit = check_exact(chain, to=CONTRACT)
    assert limit > ask(chain, to=CONTRACT).gas_used + 40_000


@pytest.mark.parametrize("target", [NATIVE_ACCOUNT, CONTRACT], ids=["direct", "through"])
def test_estimate_is_exact_with_native_accounts(target: bytes) -> None:
    chain = world({CONTRACT: demanding(NATIVE_ACCOUNT)})
    check_exact(chain, to=target, data=b"\x05" * 300)


def test_estimate_of_a_creation_is_exact() -> None:
    check_exact(world(), data=initcode(op(0x55, 0, 1) * 20))


def test_estimate_that_cannot_succeed() -> None:
    chain = world({CONTRACT: REVERT_ECHO, OTHER: b"\xfe"})
    with pytest.raises(CallFailed, match="revert") as failure:
        estimate(chain, to=CONTRACT, data=b"\x07")
    assert failure.value.output == b"\x07"
    with pytest.raises(CallFailed, match="invalid opcode"):
        estimate(chain, to=OTHER)
    with pytest.raises(CallFailed, match=r"gas required exceeds allowance \(20000\)"):
        estimate(chain, to=account(5), gas=20_000)
    with pytest.raises(CallFailed, match="gas required exceeds allowance"):
        estimate(chain, to=NATIVE_ACCOUNT, data=b"\x01" * 400, gas=60_000)
    with pytest.raises(InsufficientFunds):
        estimate(chain, sender=account(77), to=account(5), value=1)
    with pytest.raises(CallFailed, match=r"allowance \(0\)"):
        estimate(chain, sender=account(77), to=account(5), gas_price=2 * GWEI)


def test_estimate_never_exceeds_the_cap_of_one_transaction() -> None:
    chain = world({CONTRACT: b"\x5b" + push(0) + b"\x56"})
    cap = 1_000_000
    spec = records.spec(transaction_gas_cap=cap)
    request = CallRequest(chain.head.hash, to=CONTRACT)
    with pytest.raises(CallFailed, match=rf"allowance \({cap}\)"):
        estimate_gas(spec, chain.head.header, chain, request, {})
