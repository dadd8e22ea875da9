"""CALL, CALLCODE, DELEGATECALL and STATICCALL. Yellow Paper H.2.

EIP-7, 150, 161, 214, 2929, 7702.

Each builder returns the opcode of one fork. The caller of an opcode has charged ``gas.call``.
"""

from collections.abc import Callable
from typing import Final, cast

from chain.evm.delegation import is_delegation
from chain.evm.errors import WriteProtection
from chain.evm.frame import MAX_CALL_DEPTH, Frame, expand
from chain.evm.messages import run_message
from chain.evm.operations.environment import address_of
from chain.evm.operations.gas import CALL_STIPEND, CALL_VALUE, NEW_ACCOUNT, GasSchedule
from chain.evm.state import WorldState
from genesis.forks import Fork

_MAX_COPIED: Final = 4_096

Run = Callable[[Frame], None]
_Codes = Callable[[Frame, bytes], tuple[bytes, bytes, bool]]


def make_call(gas: GasSchedule) -> Run:
    """CALL."""
    code_of, child_gas, expand_both = _make_code_of(gas), _make_child_gas(gas), _expand_both
    clears_empty = gas.clears_empty

    def call(frame: Frame) -> None:
        stack, state = frame.stack, frame.evm.state
        asked, address, value = stack.pop(), address_of(stack.pop()), stack.pop()
        data_at, data_size, output_at, output_size = _areas(stack)
        if value and frame.is_static:
            raise WriteProtection
        expand_both(frame, data_at, data_size, output_at, output_size)
        code, code_address, is_delegated = code_of(frame, address)
        if value:
            frame.charge(CALL_VALUE)
        if (value or not clears_empty) and _is_new(state, address, clears_empty):
            frame.charge(NEW_ACCOUNT)
        given = child_gas(frame, asked)
        if value:
            given += CALL_STIPEND
            if state.get_balance(frame.address) < value:
                frame.return_data = b""
                frame.gas += given
                stack.append(0)
                return
        _run_child(
            frame,
            Frame(
                frame.evm,
                frame.address,
                address,
                code_address,
                value,
                _calldata(frame.memory, data_at, data_size),
                code,
                given,
                frame.depth + 1,
                frame.is_static,
                True,
                is_delegated,
            ),
            output_at,
            output_size,
        )

    return call


def make_callcode(gas: GasSchedule) -> Run:
    """CALLCODE: the other account's code works on this account."""
    code_of, child_gas = _make_code_of(gas), _make_child_gas(gas)

    def callcode(frame: Frame) -> None:
        stack, address = frame.stack, frame.address
        asked, target, value = stack.pop(), address_of(stack.pop()), stack.pop()
        data_at, data_size, output_at, output_size = _areas(stack)
        _expand_both(frame, data_at, data_size, output_at, output_size)
        code, code_address, is_delegated = code_of(frame, target)
        if value:
            frame.charge(CALL_VALUE)
        given = child_gas(frame, asked)
        if value:
            given += CALL_STIPEND
            if frame.evm.state.get_balance(address) < value:
                frame.return_data = b""
                frame.gas += given
                stack.append(0)
                return
        _run_child(
            frame,
            Frame(
                frame.evm,
                address,
                address,
                code_address,
                value,
                _calldata(frame.memory, data_at, data_size),
                code,
                given,
                frame.depth + 1,
                frame.is_static,
                True,
                is_delegated,
            ),
            output_at,
            output_size,
        )

    return callcode


def make_delegatecall(gas: GasSchedule) -> Run:
    """DELEGATECALL: as CALLCODE with this message's caller and value (EIP-7)."""
    code_of, child_gas = _make_code_of(gas), _make_child_gas(gas)

    def delegatecall(frame: Frame) -> None:
        stack = frame.stack
        asked, target = stack.pop(), address_of(stack.pop())
        data_at, data_size, output_at, output_size = _areas(stack)
        _expand_both(frame, data_at, data_size, output_at, output_size)
        code, code_address, is_delegated = code_of(frame, target)
        _run_child(
            frame,
            Frame(
                frame.evm,
                frame.caller,
                frame.address,
                code_address,
                frame.value,
                _calldata(frame.memory, data_at, data_size),
                code,
                child_gas(frame, asked),
                frame.depth + 1,
                frame.is_static,
                False,
                is_delegated,
            ),
            output_at,
            output_size,
        )

    return delegatecall


def make_staticcall(gas: GasSchedule) -> Run:
    """STATICCALL: nothing below may change state (EIP-214)."""
    code_of, child_gas = _make_code_of(gas), _make_child_gas(gas)

    def staticcall(frame: Frame) -> None:
        stack = frame.stack
        asked, address = stack.pop(), address_of(stack.pop())
        data_at, data_size, output_at, output_size = _areas(stack)
        _expand_both(frame, data_at, data_size, output_at, output_size)
        code, code_address, is_delegated = code_of(frame, address)
        _run_child(
            frame,
            Frame(
                frame.evm,
                frame.address,
                address,
                code_address,
                0,
                _calldata(frame.memory, data_at, data_size),
                code,
                child_gas(frame, asked),
                frame.depth + 1,
                True,
                True,
                is_delegated,
            ),
            output_at,
            output_size,
        )

    return staticcall


def _areas(stack: list[int]) -> tuple[int, int, int, int]:
    """Offsets and sizes of calldata and output; an empty area lies nowhere."""
    data_at, data_size, output_at, output_size = stack.pop(), stack.pop(), stack.pop(), stack.pop()
    return data_at, data_size, output_at, output_size


def _calldata(memory: bytearray, offset: int, size: int) -> bytes:
    """Bytes, or a view of many of them: a call of 100 gas must not copy megabytes."""
    if size > _MAX_COPIED:
        return cast("bytes", memoryview(memory)[offset : offset + size])
    return bytes(memory[offset : offset + size])


def _expand_both(
    frame: Frame, data_at: int, data_size: int, output_at: int, output_size: int
) -> None:
    end = data_at + data_size if data_size else 0
    if output_size and output_at + output_size > end:
        end = output_at + output_size
    if end > len(frame.memory):
        expand(frame, end)


def _make_code_of(gas: GasSchedule) -> _Codes:
    """Code to run for an account, where it is from, if by delegation; charges for access."""
    cold, access = gas.cold_account, gas.call

    def code_of(frame: Frame, address: bytes) -> tuple[bytes, bytes, bool]:
        return frame.evm.state.get_code(address), address, False

    def code_of_cold(frame: Frame, address: bytes) -> tuple[bytes, bytes, bool]:
        state = frame.evm.state
        if state.access_address(address):
            frame.charge(cold)
        return state.get_code(address), address, False

    def code_of_delegated(frame: Frame, address: bytes) -> tuple[bytes, bytes, bool]:
        state = frame.evm.state
        if state.access_address(address):
            frame.charge(cold)
        code = state.get_code(address)
        if not is_delegation(code):
            return code, address, False
        delegate = code[3:]
        frame.charge(access + cold if state.access_address(delegate) else access)
        return state.get_code(delegate), delegate, True

    if gas.fork >= Fork.PRAGUE:
        return code_of_delegated
    return code_of_cold if cold else code_of


def _make_child_gas(gas: GasSchedule) -> Callable[[Frame, int], int]:
    """Take a child's gas from the frame: what it asks for, at most 63/64 of the rest (EIP-150)."""

    def all_asked(frame: Frame, asked: int) -> int:
        frame.charge(asked)
        return asked

    def all_but_64th(frame: Frame, asked: int) -> int:
        left = frame.gas
        given = left - left // 64
        if asked < given:
            given = asked
        frame.gas = left - given
        return given

    return all_but_64th if gas.keeps_64th else all_asked


def _is_new(state: WorldState, address: bytes, clears_empty: bool) -> bool:
    return state.account_is_empty(address) if clears_empty else not state.account_exists(address)


def _run_child(frame: Frame, child: Frame, output_at: int, output_size: int) -> None:
    """Run a call of which the gas is taken, and put its result where the opcode says."""
    if child.depth > MAX_CALL_DEPTH:
        frame.return_data = b""
        frame.gas += child.gas
        frame.stack.append(0)
        return
    data: object = child.data
    run_message(child)
    if isinstance(data, memoryview):
        data.release()  # the memory can grow again; fails loudly if somebody kept a part
    output = frame.return_data = child.output
    frame.gas += child.gas
    frame.stack.append(1 if child.error is None else 0)
    if output_size and output:
        size = min(output_size, len(output))
        frame.memory[output_at : output_at + size] = output[:size]
