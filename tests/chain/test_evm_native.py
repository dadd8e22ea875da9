"""Native accounts inside the EVM: gas, journal, static calls, delegate calls, faults."""

from collections.abc import Callable

import pytest

from chain.errors import ExecutorFault
from chain.receipts import Receipt
from chain.requests import CallRequest
from chain.simulation import call
from chain.state_reader import StateReader
from genesis.addresses import NATIVE
from precompiles.abi import encode_revert
from precompiles.context import Call
from precompiles.errors import PrecompileFault, PrecompileRevert
from tests.chain import records
from tests.chain.evm_world import CONTRACT, MemoryChain, contract, forward, op, push
from tests.chain.records import account

COUNTER = NATIVE[1]
BASE_GAS = 5_000
NEW_ACCOUNT = bytes.fromhex("ee" * 20)
TOPIC = b"\x07" * 32
REVERTED = encode_revert(PrecompileRevert("Refused(uint256)", [5]))


def counter(request: Call) -> bytes:
    """Counts in slot 0, logs, and obeys the first byte of its calldata."""
    request.charge(BASE_GAS)
    command = request.calldata[:1]
    if command == b"r":  # read only
        return request.state.storage(request.address, 0).to_bytes(32, "big")
    if command == b"g":
        return request.gas_left().to_bytes(32, "big")
    if command == b"s":
        request.state.set_code(NEW_ACCOUNT, b"\0" + bytes(40_000))
        return request.state.code(NEW_ACCOUNT)[:1]
    if command == b"c":
        request.charge(int.from_bytes(request.calldata[1:], "big"))
        return b""
    count = request.state.storage(request.address, 0) + 1
    request.state.set_storage(request.address, 0, count)
    request.emit([TOPIC, request.caller.rjust(32, b"\0")], request.calldata)
    if command == b"x":
        raise PrecompileRevert("Refused(uint256)", [5])
    if command == b"f":
        raise PrecompileFault("corrupt chunk")
    if command == b"v":
        raise ValueError("a bug")
    return count.to_bytes(32, "big")


def world(code: bytes = b"") -> MemoryChain:
    accounts = {CONTRACT: contract(code)} if code else {}
    return MemoryChain(accounts, natives={COUNTER: counter})


def count(chain: MemoryChain) -> int:
    return chain.state().storage(COUNTER, 0)


def intrinsic(data: bytes) -> int:
    return 21_000 + sum(16 if byte else 4 for byte in data)


def send(chain: MemoryChain, to: bytes, data: bytes, gas: int = 200_000, nonce: int = 0) -> Receipt:
    return chain.mine(records.transaction(to=to, data=data, gas=gas, value=0, nonce=nonce))[0]


def test_transaction_runs_the_native_account() -> None:
    chain = world()
    receipt = send(chain, COUNTER, b"n")
    assert receipt.status == 1
    assert receipt.cumulative_gas_used == intrinsic(b"n") + BASE_GAS
    assert [(log.address, log.topics[0], log.data) for log in receipt.logs] == [
        (COUNTER, TOPIC, b"n")
    ]
    assert receipt.logs[0].topics[1] == account(0).rjust(32, b"\0")
    assert count(chain) == 1


def test_storage_survives_blocks_and_the_end_of_the_transaction() -> None:
    chain = world()
    for nonce in range(3):
        send(chain, COUNTER, b"n", nonce=nonce)
    assert count(chain) == 3
    assert chain.state().account(COUNTER).nonce == 1


def test_one_unit_short_of_gas_charges_all_and_computes_nothing() -> None:
    need = intrinsic(b"n") + BASE_GAS
    chain = world()
    receipt = send(chain, COUNTER, b"n", gas=need - 1)
    assert (receipt.status, receipt.cumulative_gas_used, receipt.logs) == (0, need - 1, ())
    assert count(chain) == 0
    exact = send(chain, COUNTER, b"n", gas=need, nonce=1)
    assert (exact.status, exact.cumulative_gas_used) == (1, need)


def test_revert_keeps_unused_gas_and_undoes_storage_and_logs() -> None:
    chain = world()
    receipt = send(chain, COUNTER, b"x")
    assert (receipt.status, receipt.logs) == (0, ())
    assert receipt.cumulative_gas_used == intrinsic(b"x") + BASE_GAS
    assert count(chain) == 0


def test_revert_data_reaches_the_caller() -> None:
    chain = world(forward(0xF1, COUNTER))
    request = CallRequest(chain.head.hash, to=CONTRACT, data=b"x")
    result = call(chain.spec, chain.head.header, chain, request, chain.natives)
    assert result.output == bytes(32) + REVERTED
    direct = CallRequest(chain.head.hash, to=COUNTER, data=b"x")
    failed = call(chain.spec, chain.head.header, chain, direct, chain.natives)
    assert (failed.error, failed.output) == ("revert", REVERTED)


def test_revert_of_the_caller_undoes_what_the_native_account_did() -> None:
    chain = world(forward(0xF1, COUNTER)[:-1] + b"\xfd")  # REVERT instead of RETURN
    receipt = send(chain, CONTRACT, b"n")
    assert (receipt.status, receipt.logs, count(chain)) == (0, (), 0)


def test_caller_of_a_native_account_is_the_contract() -> None:
    chain = world(forward(0xF1, COUNTER))
    receipt = send(chain, CONTRACT, b"n")
    assert receipt.logs[0].topics[1] == CONTRACT.rjust(32, b"\0")


@pytest.mark.parametrize(("data", "succeeds"), [(b"r", True), (b"n", False), (b"s", False)])
def test_static_call_may_read_but_not_write(data: bytes, succeeds: bool) -> None:
    chain = world(forward(0xFA, COUNTER, gas=60_000) + b"")
    send(chain, COUNTER, b"n")
    request = CallRequest(chain.head.hash, to=CONTRACT, data=data, gas=300_000)
    result = call(chain.spec, chain.head.header, chain, request, chain.natives)
    assert result.error is None
    assert int.from_bytes(result.output[:32], "big") == int(succeeds)
    if succeeds:
        assert int.from_bytes(result.output[32:], "big") == 1
    else:  # a halt burns what was forwarded
        assert result.output[32:] == b""
        assert result.gas_used > 60_000


@pytest.mark.parametrize("opcode", [0xF2, 0xF4], ids=["CALLCODE", "DELEGATECALL"])
def test_call_on_the_callers_storage_reverts(opcode: int) -> None:
    chain = world(forward(opcode, COUNTER))
    request = CallRequest(chain.head.hash, to=CONTRACT, data=b"n")
    result = call(chain.spec, chain.head.header, chain, request, chain.natives)
    want = encode_revert(PrecompileRevert("DelegateCallNotSupported()"))
    assert result.output == bytes(32) + want
    assert send(chain, CONTRACT, b"n").logs == ()
    assert chain.state().storage(CONTRACT, 0) == 0 == count(chain)


def test_delegation_to_a_native_account_runs_its_stub() -> None:
    """EIP-7702 runs the code of the target, and that is the stub, which reverts."""
    for opcode in (None, 0xF1):
        delegated = contract(b"\xef\x01\x00" + COUNTER)
        caller = contract(forward(0xF1, account(20)))
        chain = MemoryChain({account(20): delegated, CONTRACT: caller}, natives={COUNTER: counter})
        to = CONTRACT if opcode else account(20)
        request = CallRequest(chain.head.hash, to=to, data=b"n")
        result = call(chain.spec, chain.head.header, chain, request, chain.natives)
        stub_output = result.output[32:] if opcode else result.output
        assert stub_output[:4] == bytes.fromhex("08c379a0")  # Error(string)
        assert send(chain, to, b"n").logs == ()
        assert count(chain) == 0


def test_large_code_written_by_a_native_account_is_in_the_state() -> None:
    chain = world()
    assert send(chain, COUNTER, b"s").status == 1
    assert chain.state().code(NEW_ACCOUNT) == b"\0" + bytes(40_000)
    assert chain.state().account(NEW_ACCOUNT).nonce == 1
    reader = StateReader(chain.node, chain.head.header.state_root)
    assert reader.code(NEW_ACCOUNT)[:1] == b"\0"


def test_gas_left_is_what_charge_can_take() -> None:
    chain = world()
    request = CallRequest(chain.head.hash, to=COUNTER, data=b"g", gas=100_000)
    result = call(chain.spec, chain.head.header, chain, request, chain.natives)
    assert int.from_bytes(result.output, "big") == 100_000 - intrinsic(b"g") - BASE_GAS


def test_charge_of_exactly_the_gas_left_succeeds_and_one_more_halts() -> None:
    left = 50_000
    for amount, status in ((left, 1), (left + 1, 0)):
        data = b"c" + amount.to_bytes(8, "big")
        gas = intrinsic(data) + BASE_GAS + left
        receipt = send(world(), COUNTER, data, gas=gas)
        assert (receipt.status, receipt.cumulative_gas_used) == (status, gas)


@pytest.mark.parametrize("data", [b"f", b"v"], ids=["PrecompileFault", "ValueError"])
@pytest.mark.parametrize("target", [COUNTER, CONTRACT], ids=["direct", "nested"])
def test_fault_stops_the_block_and_is_never_a_receipt(data: bytes, target: bytes) -> None:
    chain = world(forward(0xF1, COUNTER))
    transaction = records.transaction(to=target, data=data, gas=200_000, value=0)
    with pytest.raises(ExecutorFault, match=COUNTER.hex()):
        chain.build([transaction])


def bad_views() -> list[Callable[[Call], bytes]]:
    def negative(request: Call) -> bytes:
        request.charge(-1)
        return b""

    def wide(request: Call) -> bytes:
        request.state.set_storage(request.address, 0, 1 << 256)
        return b""

    def topics(request: Call) -> bytes:
        request.emit([b"short"], b"")
        return b""

    return [negative, wide, topics]


@pytest.mark.parametrize("function", bad_views(), ids=lambda function: function.__name__)
def test_native_code_that_breaks_its_contract_is_a_fault(function: Callable[[Call], bytes]) -> None:
    chain = MemoryChain(natives={COUNTER: function})
    with pytest.raises(ExecutorFault):
        chain.build([records.transaction(to=COUNTER, data=b"", gas=100_000, value=0)])


def test_native_accounts_are_warm_from_the_start() -> None:
    gas_of = {}
    for target in (COUNTER, bytes.fromhex("0e" * 20)):
        before = b"\x5a" + op(0x31, target) + b"\x50\x5a\x90\x03"  # gas used by BALANCE
        chain = world(before + push(0) + b"\x52" + op(0xF3, 0, 32))
        request = CallRequest(chain.head.hash, to=CONTRACT)
        result = call(chain.spec, chain.head.header, chain, request, chain.natives)
        gas_of[target] = int.from_bytes(result.output, "big")
    cold = gas_of.pop(bytes.fromhex("0e" * 20))
    assert gas_of[COUNTER] == cold - 2_500


def test_this_chains_own_accounts_answer_in_typed_errors() -> None:
    chain = MemoryChain()
    for address in NATIVE:
        request = CallRequest(chain.head.hash, to=address, data=b"\xde\xad\xbe\xef", gas=200_000)
        result = call(chain.spec, chain.head.header, chain, request)
        assert result.error == "revert"
        assert len(result.output) >= 4
        assert result.gas_used < 200_000
