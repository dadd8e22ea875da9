"""Calls and creations: depth, memory, static calls, long calldata, code deposit, collisions."""

import gc
import sys

import pytest

from chain.deep_stack import run_deep
from chain.evm.errors import (
    AddressCollision,
    CodeTooLarge,
    Halt,
    InvalidCode,
    OutOfGas,
    Revert,
    WriteProtection,
)
from chain.evm.frame import Frame
from chain.evm.messages import run_creation, run_message
from chain.evm.operations import operations_of
from chain.evm.operations.creation import created2_address, created_address
from genesis.forks import Fork
from tests.chain.evm_message_twin import (
    CONTRACT,
    SENDER,
    STOCK_FORKS,
    Account,
    make_evm,
    run_ours,
    run_stock,
)
from tests.chain.evm_programs import DELEGATED, NOBODY, RETURNS, REVERTS, call, code, push, world

BYZANTIUM_ON = [fork for fork in STOCK_FORKS if fork >= Fork.BYZANTIUM]
DEADBEEF = bytes.fromhex("deadbeef")
RETURN_TOP = code(push(0), 0x52, push(32), push(0), 0xF3)
ITSELF_WITH_ALL_GAS = code(
    push(0), push(0), push(0), push(0), push(0), 0x30, 0x5A, 0xF1, push(1), 0x01, RETURN_TOP
)


def frame_of(fork: Fork, program: bytes, gas: int, **accounts: Account) -> Frame:
    """A call of CONTRACT, not run."""
    others = {bytes.fromhex(name[1:]): account for name, account in accounts.items()}
    known = {SENDER: Account(10**18), CONTRACT: Account(9, 1, program, {0: 1}), **others}
    return Frame(make_evm(fork, known), SENDER, CONTRACT, CONTRACT, 0, b"", program, gas)


# depth and memory


@pytest.mark.parametrize("fork", [Fork.FRONTIER, Fork.BYZANTIUM, Fork.OSAKA], ids=lambda f: f.name)
def test_calls_nest_1024_deep_and_no_deeper(fork: Fork) -> None:
    sees_depth = code(  # slot 0 = slot 0 + 1, then the same again below, success or not
        push(0), 0x54, push(1), 0x01, push(0), 0x55,
        push(0), push(0), push(0), push(0), push(0), 0x30, push(60_000), 0x5A, 0x03, 0xF1, 0x00,
    )  # fmt: skip
    frame = frame_of(fork, sees_depth, 10**15)
    run_deep(run_message, frame)
    assert frame.error is None
    assert frame.evm.state.get_storage(CONTRACT, 0) == 1 + 1025


def test_the_deepest_call_gets_its_gas_back() -> None:
    accounts = {SENDER: Account(1), CONTRACT: Account(0, 1, ITSELF_WITH_ALL_GAS)}
    ours = run_deep(run_ours, Fork.PRAGUE, accounts, b"", 0, 10**15)
    assert ours == run_deep(run_stock, Fork.PRAGUE, accounts, b"", 0, 10**15)
    assert not ours.failed


@pytest.mark.parametrize("fork", [Fork.FRONTIER, Fork.OSAKA], ids=lambda fork: fork.name)
@pytest.mark.parametrize("opcode", [0xF0, 0xF1])
def test_the_last_level_calls_and_creates_nothing(fork: Fork, opcode: int) -> None:
    operands = push(0) * 3 if opcode == 0xF0 else push(0) * 5 + code(0x30, push(500))
    for depth, succeeds in ((1023, True), (1024, False)):
        frame = frame_of(fork, b"", 10**6)
        frame.code, frame.depth = code(operands, opcode), depth
        run_message(frame)
        assert frame.error is None
        assert bool(frame.stack[0]) == succeeds
        nonce = frame.evm.state.get_nonce(CONTRACT)
        assert nonce == (2 if succeeds and opcode == 0xF0 else 1)
        assert succeeds or frame.gas > 10**6 - 33_000


def test_deep_recursion_needs_no_deep_stack_in_the_interpreter() -> None:
    """No C frames between two calls, so even this thread's stack is enough."""
    frame = frame_of(Fork.OSAKA, ITSELF_WITH_ALL_GAS, 10**15)
    run_message(frame)
    assert frame.error is None
    assert sys.getrecursionlimit() > 10_000


def many_calls(target: bytes, turns: int) -> bytes:
    """Calls ``target`` so often, and drops what it says."""
    body = code(call(0xF1, 3_000, target), 0x50, push(1), 0x90, 0x03, 0x80, push(3), 0x57, 0x00)
    return code(0x61, turns.to_bytes(2, "big"), 0x5B, body)


@pytest.mark.parametrize("target", [REVERTS, RETURNS, b"\xe4" * 20], ids=["revert", "ok", "burn"])
def test_frames_of_finished_calls_are_gone(target: bytes) -> None:
    program = many_calls(target, 40_000)
    evm = make_evm(Fork.OSAKA, world(program, Fork.OSAKA))
    frame = Frame(evm, SENDER, CONTRACT, CONTRACT, 0, b"", program, 10**9)
    gc.collect()
    gc.disable()  # reference counts alone must do it
    try:
        run_message(frame)
        alive = [item for item in gc.get_objects() if isinstance(item, Frame | Halt)]
    finally:
        gc.enable()
    assert frame.error is None
    assert len(alive) <= 2


def test_an_error_keeps_no_traceback() -> None:
    frame = frame_of(Fork.OSAKA, code(0x50), 10_000)
    run_message(frame)
    assert isinstance(frame.error, Halt)
    assert frame.error.__traceback__ is None
    assert frame.error.__context__ is None
    assert (frame.gas, frame.output) == (0, b"")


# long calldata is a view of the caller's memory


@pytest.mark.parametrize("fork", STOCK_FORKS, ids=lambda fork: fork.name)
def test_long_calldata_as_py_evm(fork: Fork) -> None:
    size, last = 9_000, push(8_999)
    fill = code(
        push(0xAB), last, 0x53, push(0xCD), push(4_095), 0x53, push(1 << 255), push(0), 0x52
    )
    looks = code(  # sizes, loads over the end, copies over the end, hands it on, and returns a part
        0x36, push(0), 0x52, push(8_970), 0x35, push(32), 0x52, push(8_999), 0x35, push(64), 0x52,
        push(9_000), 0x35, push(96), 0x52, push(5_000), push(4_090), push(128), 0x37,
        push(64), push(0), push(9_000), push(0), push(0), push(4), push(50_000), 0xF1,
        0x36, 0x90, push(0), 0x90, push(0), 0x37, push(5_200), push(0), 0xF3,
    )  # fmt: skip
    callee = b"\xe9" * 20
    parts = [fill]
    for opcode in (0xF1, 0xF2, 0xF4, 0xFA):
        if operations_of(fork)[opcode] is not None:
            parts.append(call(opcode, 400_000, callee, 0, size, 6_000))
    parts += [call(0xF1, 300_000, bytes(19) + bytes([n]), 0, size, 6_000) for n in range(1, 0x12)]
    parts += [call(0xF1, 2_000, bytes(19) + bytes([n]), 0, size, 64) for n in range(1, 0x12)]
    parts += [push(1), push(20_000), b"\x52"]  # the memory grows again
    hashes = code(push(20_032), push(0), 0x20)
    program = code(*parts, hashes, RETURN_TOP)
    accounts = {
        SENDER: Account(1), CONTRACT: Account(9, 1, program), callee: Account(0, 1, looks)
    }  # fmt: skip
    ours = run_ours(fork, accounts, gas=10**8)
    assert not ours.failed
    assert ours == run_stock(fork, accounts, gas=10**8)


# static calls


@pytest.mark.parametrize("fork", BYZANTIUM_ON, ids=lambda fork: fork.name)
def test_static_calls_change_nothing(fork: Fork) -> None:
    callee = b"\xe9" * 20
    for value, operation in enumerate(operations_of(fork)):
        if operation is None:
            continue
        for argument in (0, 1):
            looks = push(argument) * operation.pops + bytes([value])
            program = code(call(0xFA, 500_000, callee), 0x3D, 0x01, RETURN_TOP)
            accounts = {
                SENDER: Account(1), CONTRACT: Account(9, 1, program),
                callee: Account(9, 1, looks, {0: 1, 1: 1}),
            }  # fmt: skip
            ours = run_ours(fork, accounts)
            if argument:
                assert ours == run_stock(fork, accounts), operation.name
            writes = operation.name.startswith(("LOG", "CREATE", "SSTORE", "TSTORE", "SELF"))
            if writes and operation.name != "SELFBALANCE":
                assert ours.output == bytes(32), operation.name


def test_the_error_of_a_write_in_a_static_call() -> None:
    frame = frame_of(Fork.OSAKA, code(push(1), push(0), 0x55), 100_000)
    frame.is_static = True
    run_message(frame)
    assert isinstance(frame.error, WriteProtection)
    assert frame.evm.state.get_storage(CONTRACT, 0) == 1


# delegated accounts (EIP-7702)


def test_calls_follow_one_designator_and_pay_for_both_accounts() -> None:
    designator = b"\xef\x01\x00" + RETURNS
    twice = b"\xef\x01\x00" + DELEGATED
    for opcode in (0xF1, 0xF2, 0xF4, 0xFA):
        program = code(
            push(11), push(0), 0x52, call(opcode, 60_000, DELEGATED), 0x50, push(64), 0x51
        )
        accounts = world(code(program, RETURN_TOP), Fork.PRAGUE)
        accounts[DELEGATED] = Account(0, 0, designator)
        ours = run_ours(Fork.PRAGUE, accounts)
        assert ours == run_stock(Fork.PRAGUE, accounts)
        assert ours.output == (33).to_bytes(32, "big")
        accounts[NOBODY] = Account(0, 0, twice)  # a designator as code: 0xEF is no opcode
        program = code(call(opcode, 60_000, NOBODY), RETURN_TOP)
        accounts[CONTRACT] = Account(0, 1, program)
        ours = run_ours(Fork.PRAGUE, accounts)
        assert ours == run_stock(Fork.PRAGUE, accounts)
        assert ours.output == bytes(32)


def test_a_precompiled_contract_does_not_run_for_a_delegated_account() -> None:
    accounts = world(code(call(0xF1, 60_000, DELEGATED), 0x3D, RETURN_TOP), Fork.PRAGUE)
    accounts[DELEGATED] = Account(0, 0, b"\xef\x01\x00" + bytes(19) + b"\x04")
    ours = run_ours(Fork.PRAGUE, accounts)
    assert ours == run_stock(Fork.PRAGUE, accounts)
    assert ours.output == bytes(32)


def test_code_of_a_delegated_account_is_its_designator() -> None:
    word = int.from_bytes(DELEGATED, "big")
    for opcode in (0x3B, 0x3F):
        accounts = world(code(push(word), opcode, RETURN_TOP), Fork.PRAGUE)
        ours = run_ours(Fork.PRAGUE, accounts)
        assert ours == run_stock(Fork.PRAGUE, accounts)
    assert (
        run_ours(Fork.PRAGUE, world(code(push(word), 0x3B, RETURN_TOP), Fork.PRAGUE)).output[-1]
        == 23
    )


# creation


def deposit(fork: Fork, returned: int, gas: int, first: int = 0) -> Frame:
    """Run initcode that returns so many bytes."""
    initcode = code(push(first), push(0), 0x53, push(returned), push(0), 0xF3)
    evm = make_evm(fork, {SENDER: Account(10**18)})
    frame = Frame(evm, SENDER, CONTRACT, CONTRACT, 0, b"", initcode, gas)
    run_creation(frame)
    return frame


@pytest.mark.parametrize("fork", list(Fork), ids=lambda fork: fork.name)
def test_deposit_of_code(fork: Fork) -> None:
    frame = deposit(fork, 10, 100_000)
    assert frame.error is None
    assert frame.evm.state.get_code(CONTRACT) == frame.output == bytes(10)
    assert frame.evm.state.get_nonce(CONTRACT) == (1 if fork >= Fork.SPURIOUS_DRAGON else 0)
    assert frame.gas == 100_000 - 6 * 3 - 200 * 10
    poor = deposit(fork, 100, 10_000)
    if fork == Fork.FRONTIER:  # the account stays, without code
        assert (poor.error, poor.output) == (None, b"")
        assert poor.gas > 9_000
        assert poor.evm.state.account_exists(CONTRACT)
    else:
        assert isinstance(poor.error, OutOfGas)
        assert (poor.gas, poor.output) == (0, b"")
        assert not poor.evm.state.account_exists(CONTRACT)
    large = deposit(fork, 24_577, 10**8)
    limited = fork >= Fork.SPURIOUS_DRAGON
    assert isinstance(large.error, CodeTooLarge if limited else type(None))
    assert deposit(fork, 24_576, 10**8).error is None
    odd = deposit(fork, 1, 10**6, 0xEF)
    assert isinstance(odd.error, InvalidCode if fork >= Fork.LONDON else type(None))


def test_revert_in_a_creation_keeps_gas_and_output() -> None:
    evm = make_evm(Fork.OSAKA, {SENDER: Account(5)})
    frame = Frame(
        evm, SENDER, CONTRACT, CONTRACT, 5, b"", code(push(7), push(0), 0xFD), 10_000
    )  # fmt: skip
    run_creation(frame)
    assert isinstance(frame.error, Revert)
    assert frame.output == bytes(7)
    assert frame.gas == 10_000 - 9
    assert evm.state.get_balance(SENDER) == 5
    assert not evm.state.account_exists(CONTRACT)


@pytest.mark.parametrize("fork", list(Fork), ids=lambda fork: fork.name)
def test_creation_collides_with_code_nonce_or_storage(fork: Fork) -> None:
    """EIP-684 and EIP-7610; the creator's nonce counts, and the gas is gone."""
    program = code(push(0), push(0), push(0), 0xF0)
    address = created_address(CONTRACT, 1)
    for there in (Account(0, 1), Account(0, 0, b"\0"), Account(0, 0, b"", {1: 1})):
        accounts = {SENDER: Account(1), CONTRACT: Account(9, 1, code(program, RETURN_TOP))}
        accounts[address] = there
        evm = make_evm(fork, accounts)
        frame = Frame(
            evm, SENDER, CONTRACT, CONTRACT, 0, b"", accounts[CONTRACT].code, 640_000
        )  # fmt: skip
        run_message(frame)
        if fork < Fork.TANGERINE_WHISTLE:  # all gas went to the creation
            assert isinstance(frame.error, OutOfGas)
            continue
        assert frame.output == bytes(32)
        assert evm.state.get_nonce(CONTRACT) == 2
        assert frame.gas < 640_000 // 64
    assert AddressCollision.text == "contract address collision"


def test_addresses_of_created_accounts() -> None:
    """EIP-1014, examples 1 to 3, 5 and 7; a well-known CREATE address."""
    examples = (
        (bytes(20), 0, "00", "4D1A2e2bB4F88F0250f26Ffff098B0b30B26BF38"),
        (DEADBEEF + bytes(16), 0, "00", "B928f69Bb1D91Cd65274e3c79d8986362984fDA3"),
        (bytes(20), 0, "deadbeef", "70f2b2914A2a4b783FaEFb75f459A580616Fcb5e"),
        (bytes(16) + DEADBEEF, 0xCAFEBABE, "deadbeef",
         "60f3f640a8508fC6a86d45DF051962668E1e8AC7"),
        (bytes(20), 0, "", "E33C0C7F7df4809055C3ebA6c09CFe4BaF1BD9e0"),
    )  # fmt: skip
    for creator, salt, initcode, address in examples:
        assert created2_address(creator, salt, bytes.fromhex(initcode)).hex() == address.lower()
    creator = bytes.fromhex("6ac7ea33f8831ea9dcc53393aaa88b25a785dbf0")
    assert created_address(creator, 0).hex() == "cd234a471b72ba2f1ccf0a70fcaba648a5eecd8d"
    assert created_address(creator, 1).hex() == "343c43a37d37dff08ae8c4a11544c718abb4fcf8"


# destruction


@pytest.mark.parametrize("fork", STOCK_FORKS, ids=lambda fork: fork.name)
def test_selfdestruct_in_favour_of_anybody(fork: Fork) -> None:
    """EIP-150, 161, 3529, 6780: itself, nobody, somebody; old and newly created; twice."""
    callee = b"\xe9" * 20
    for heir in (callee, NOBODY, SENDER, CONTRACT):
        for balance in (0, 5):
            dies = code(push(int.from_bytes(heir, "big")), 0xFF)
            program = code(call(0xF1, 90_000, callee), call(0xF1, 90_000, callee, 1), RETURN_TOP)
            accounts = {
                SENDER: Account(1), CONTRACT: Account(9, 1, program),
                callee: Account(balance, 1, dies, {0: 1}),
            }  # fmt: skip
            assert run_ours(fork, accounts) == run_stock(fork, accounts)
            for value in (0, 3):
                created = run_ours(fork, {SENDER: Account(9)}, b"", value, 90_000, dies)
                assert created == run_stock(fork, {SENDER: Account(9)}, b"", value, 90_000, dies)
    to_itself = code(0x30, 0xFF)
    for value in (0, 3):
        created = run_ours(fork, {SENDER: Account(9)}, b"", value, 90_000, to_itself)
        assert created == run_stock(fork, {SENDER: Account(9)}, b"", value, 90_000, to_itself)
