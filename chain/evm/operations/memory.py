"""Opcodes that work on memory: loads, stores, copies, Keccak, logs, and the two that return it."""

from collections.abc import Callable

from chain.evm.errors import ReturnDataOutOfBounds, Revert, WriteProtection
from chain.evm.frame import Frame, expand
from chain.evm.operations.environment import address_of
from chain.evm.operations.gas import COPY_WORD, KECCAK256_WORD, LOG_BYTE, GasSchedule
from precompiles.hashing import keccak256


def read(frame: Frame, offset: int, size: int) -> bytes:
    """Charge for and copy ``size`` bytes of memory."""
    if not size:
        return b""
    end = offset + size
    if end > len(frame.memory):
        expand(frame, end)
    return bytes(frame.memory[offset:end])


def mload(frame: Frame) -> None:
    """MLOAD."""
    stack, memory = frame.stack, frame.memory
    offset = stack[-1]
    if offset + 32 > len(memory):
        expand(frame, offset + 32)
    stack[-1] = int.from_bytes(memory[offset : offset + 32], "big")


def mstore(frame: Frame) -> None:
    """MSTORE."""
    stack, memory = frame.stack, frame.memory
    offset = stack.pop()
    if offset + 32 > len(memory):
        expand(frame, offset + 32)
    memory[offset : offset + 32] = stack.pop().to_bytes(32, "big")


def mstore8(frame: Frame) -> None:
    """MSTORE8."""
    stack, memory = frame.stack, frame.memory
    offset = stack.pop()
    if offset >= len(memory):
        expand(frame, offset + 1)
    memory[offset] = stack.pop() & 0xFF


def mcopy(frame: Frame) -> None:
    """MCOPY: areas may overlap (EIP-5656)."""
    stack, memory = frame.stack, frame.memory
    target, source, size = stack.pop(), stack.pop(), stack.pop()
    if size:
        frame.charge(COPY_WORD * (size + 31 >> 5))
        end = max(target, source) + size
        if end > len(memory):
            expand(frame, end)
        memory[target : target + size] = memory[source : source + size]


def _copy(frame: Frame, data: bytes) -> None:
    """Copy from ``data`` to memory, zeros beyond its end."""
    stack, memory = frame.stack, frame.memory
    target, source, size = stack.pop(), stack.pop(), stack.pop()
    if size:
        frame.charge(COPY_WORD * (size + 31 >> 5))
        end = target + size
        if end > len(memory):
            expand(frame, end)
        part = data[source : source + size]
        memory[target:end] = part if len(part) == size else bytes(part).ljust(size, b"\0")


def calldatacopy(frame: Frame) -> None:
    """CALLDATACOPY."""
    _copy(frame, frame.data)


def codecopy(frame: Frame) -> None:
    """CODECOPY."""
    _copy(frame, frame.code)


def returndatacopy(frame: Frame) -> None:
    """RETURNDATACOPY: beyond the end is a halt, even for no bytes (EIP-211)."""
    stack = frame.stack
    if stack[-2] + stack[-3] > len(frame.return_data):
        raise ReturnDataOutOfBounds
    _copy(frame, frame.return_data)


def make_extcodecopy(gas: GasSchedule) -> Callable[[Frame], None]:
    """EXTCODECOPY."""
    cold = gas.cold_account

    def extcodecopy(frame: Frame) -> None:
        state = frame.evm.state
        address = address_of(frame.stack.pop())
        if cold and state.access_address(address):
            frame.charge(cold)
        _copy(frame, state.get_code(address))

    return extcodecopy


def keccak(frame: Frame) -> None:
    """KECCAK256."""
    stack, memory = frame.stack, frame.memory
    offset = stack.pop()
    size = stack[-1]
    if size:
        frame.charge(KECCAK256_WORD * (size + 31 >> 5))
        end = offset + size
        if end > len(memory):
            expand(frame, end)
        stack[-1] = int.from_bytes(keccak256(bytes(memory[offset:end])), "big")
    else:
        stack[-1] = _EMPTY_HASH


def make_log(topics: int) -> Callable[[Frame], None]:
    """LOG0 to LOG4."""

    def log(frame: Frame) -> None:
        if frame.is_static:
            raise WriteProtection
        stack = frame.stack
        offset, size = stack.pop(), stack.pop()
        words = tuple([stack.pop().to_bytes(32, "big") for _ in range(topics)])
        frame.charge(LOG_BYTE * size)
        frame.evm.state.add_log(frame.address, words, read(frame, offset, size))

    return log


def return_(frame: Frame) -> None:
    """RETURN."""
    stack = frame.stack
    frame.output = read(frame, stack.pop(), stack.pop())


def revert(frame: Frame) -> None:
    """REVERT (EIP-140)."""
    stack = frame.stack
    frame.output = read(frame, stack.pop(), stack.pop())
    raise Revert


_EMPTY_HASH = int.from_bytes(keccak256(b""), "big")
