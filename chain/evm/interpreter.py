"""The opcode loop: stack, arithmetic, jump and warm memory opcodes here, py-evm's for the rest.

py-evm spends about ten Python calls on an ADD. This loop keeps gas and program counter in local
variables and does the opcodes that programs consist of with at most one call; gas costs come from
py-evm's own table. ``tests/chain/test_evm_interpreter.py`` holds it to py-evm opcode by opcode.

Words on the stack are ints; py-evm's opcodes also push bytes, which are converted when popped.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, TypeAlias

from eth.exceptions import (
    FullStack,
    Halt,
    InsufficientStack,
    InvalidJumpDestination,
    OutOfGas,
)
from eth.vm import mnemonics
from eth.vm.forks.byzantium.opcodes import ensure_no_static
from eth.vm.forks.cancun.logic import selfdestruct_eip6780
from eth.vm.forks.prague.opcodes import PRAGUE_OPCODES
from eth.vm.forks.tangerine_whistle.constants import GAS_SELFDESTRUCT_EIP150
from eth.vm.logic.invalid import InvalidOpcode
from eth.vm.opcode import as_opcode

_Values: TypeAlias = list[Any]  # int or bytes, top last

_SELFDESTRUCT: Final = 0xFF
_ANALYSED_CODES: Final = 1024
_MAX_DEPTH: Final = 1024
_PADDING: Final = bytes(32)
_WORD: Final = (1 << 256) - 1
_SIGN: Final = 1 << 255
_POP, _MLOAD, _MSTORE, _JUMP, _JUMPI = 0x50, 0x51, 0x52, 0x56, 0x57
_JUMPDEST, _PUSH0, _PUSH1, _PUSH32 = 0x5B, 0x5F, 0x60, 0x7F
_DUP1, _DUP16, _SWAP1, _SWAP16 = 0x80, 0x8F, 0x90, 0x9F

STOCK: Final = [PRAGUE_OPCODES.get(value) or InvalidOpcode(value) for value in range(256)]
"""py-evm's opcodes by value; each takes a computation."""

# py-evm's entry calls warnings.warn, an exception under ``python -W error``
STOCK[_SELFDESTRUCT] = as_opcode(
    ensure_no_static(selfdestruct_eip6780), mnemonics.SELFDESTRUCT, GAS_SELFDESTRUCT_EIP150
)


@lru_cache(maxsize=_ANALYSED_CODES)
def jump_destinations(code: bytes) -> bytes:
    """One byte per byte of ``code``: 1 where a JUMP may land, that is JUMPDEST, not push data.

    One scan of about 50 ns per byte; the result is as large as the code.
    """
    mask = bytearray(len(code))
    position, end = 0, len(code)
    while position < end:
        value = code[position]
        if value == _JUMPDEST:
            mask[position] = 1
        elif _PUSH1 <= value <= _PUSH32:
            position += value - _PUSH1 + 1
        position += 1
    return bytes(mask)


def run_code(computation: Any) -> None:  # noqa: C901 - a call per opcode is what it saves
    """Step through a computation's code until it halts; the end of the code is a STOP.

    Raises:
        VMError: as py-evm; all but Revert burn the gas left, so its amount does not matter then.
    """
    code: bytes = computation.msg.code
    padded = code + _PADDING  # push data may be cut off by the end of the code
    values: _Values = computation._stack.values
    meter, stream, memory = computation._gas_meter, computation.code, computation._memory
    end = len(code)
    pc, gas = 0, meter.gas_remaining
    while pc < end:
        opcode = code[pc]
        cost = _COSTS[opcode]
        if cost is None:
            if opcode in _MEMORY and gas >= _MEMORY_GAS and _fits(values, memory._bytes):
                _MEMORY[opcode](values, memory._bytes)
                gas -= _MEMORY_GAS
                pc += 1
                continue
            stream.program_counter, meter.gas_remaining = pc + 1, gas
            try:
                STOCK[opcode](computation)
            except Halt:
                return
            pc, gas = stream.program_counter, meter.gas_remaining
            continue
        gas -= cost
        if gas < 0:
            raise OutOfGas(f"out of gas: need {cost}, have {gas + cost}")
        pc += 1
        plain = _PLAIN[opcode]
        try:
            if plain is not None:
                plain(values)
            elif _PUSH0 <= opcode <= _DUP16:
                if len(values) >= _MAX_DEPTH:
                    raise FullStack("stack limit reached")
                if opcode >= _DUP1:
                    values.append(values[_PUSH32 - opcode])
                else:
                    size = opcode - _PUSH0
                    values.append(int.from_bytes(padded[pc : pc + size], "big"))
                    pc += size
            elif _SWAP1 <= opcode <= _SWAP16:
                other = _DUP16 - 1 - opcode
                values[-1], values[other] = values[other], values[-1]
            elif opcode == _JUMPI:
                target, condition = values.pop(), values.pop()
                if _int(condition):
                    pc = _land(code, _int(target))
            else:
                pc = _land(code, _int(values.pop()))
        except IndexError:
            raise InsufficientStack("stack underflow") from None
    meter.gas_remaining = gas


def _int(word: int | bytes) -> int:
    return word if isinstance(word, int) else int.from_bytes(word, "big")


def _signed(word: int) -> int:
    return word - (1 << 256) if word & _SIGN else word


def _land(code: bytes, target: int) -> int:
    if target >= len(code) or not jump_destinations(code)[target]:
        raise InvalidJumpDestination(f"jump to {target}")
    return target


def _fits(values: _Values, memory: bytearray) -> bool:
    """Whether two words are there and the offset on top lies in memory that is paid for."""
    return len(values) > 1 and _int(values[-1]) + 32 <= len(memory)


def _mload(values: _Values, memory: bytearray) -> None:
    offset = _int(values[-1])
    values[-1] = int.from_bytes(memory[offset : offset + 32], "big")


def _mstore(values: _Values, memory: bytearray) -> None:
    offset, word = _int(values.pop()), _int(values.pop())
    memory[offset : offset + 32] = word.to_bytes(32, "big")


def _add(values: _Values) -> None:
    first, second = values.pop(), values[-1]
    if first.__class__ is bytes or second.__class__ is bytes:
        first, second = _int(first), _int(second)
    values[-1] = first + second & _WORD


def _sub(values: _Values) -> None:
    first, second = values.pop(), values[-1]
    if first.__class__ is bytes or second.__class__ is bytes:
        first, second = _int(first), _int(second)
    values[-1] = first - second & _WORD


def _and(values: _Values) -> None:
    first, second = values.pop(), values[-1]
    if first.__class__ is bytes or second.__class__ is bytes:
        first, second = _int(first), _int(second)
    values[-1] = first & second


def _iszero(values: _Values) -> None:
    values[-1] = 0 if _int(values[-1]) else 1


def _pop(values: _Values) -> None:
    values.pop()


def _jumpdest(values: _Values) -> None:
    """Nothing to do; its gas is charged."""


def _unary(operate: Callable[[int], int]) -> Callable[[_Values], None]:
    def run(values: _Values) -> None:
        values[-1] = operate(_int(values[-1]))

    return run


def _binary(operate: Callable[[int, int], int]) -> Callable[[_Values], None]:
    """Opcode of two words, the one on top first."""

    def run(values: _Values) -> None:
        first, second = values.pop(), values[-1]
        if first.__class__ is bytes or second.__class__ is bytes:
            first, second = _int(first), _int(second)
        values[-1] = operate(first, second)

    return run


def _ternary(operate: Callable[[int, int, int], int]) -> Callable[[_Values], None]:
    """Opcode of three words, the one on top first."""

    def run(values: _Values) -> None:
        first, second = _int(values.pop()), _int(values.pop())
        values[-1] = operate(first, second, _int(values[-1]))

    return run


def _sdiv(first: int, second: int) -> int:
    dividend, divisor = _signed(first), _signed(second)
    if divisor == 0:
        return 0
    quotient = abs(dividend) // abs(divisor)  # towards zero
    return (quotient if (dividend < 0) == (divisor < 0) else -quotient) & _WORD


def _smod(first: int, second: int) -> int:
    dividend, divisor = _signed(first), _signed(second)
    if divisor == 0:
        return 0
    rest = abs(dividend) % abs(divisor)  # has the sign of the dividend
    return (-rest if dividend < 0 else rest) & _WORD


def _byte(position: int, word: int) -> int:
    return word >> 8 * (31 - position) & 0xFF if position < 32 else 0


def _sar(shift: int, word: int) -> int:
    return _signed(word) >> min(shift, 255) & _WORD


_MEMORY: Final = {_MLOAD: _mload, _MSTORE: _mstore}
_MEMORY_GAS: Final = 3
_BY_VALUE: Final[dict[int, Callable[[_Values], None]]] = {
    0x01: _add,
    0x02: _binary(lambda a, b: a * b & _WORD),
    0x03: _sub,
    0x04: _binary(lambda a, b: a // b if b else 0),
    0x05: _binary(_sdiv),
    0x06: _binary(lambda a, b: a % b if b else 0),
    0x07: _binary(_smod),
    0x08: _ternary(lambda a, b, n: (a + b) % n if n else 0),
    0x09: _ternary(lambda a, b, n: a * b % n if n else 0),
    0x10: _binary(lambda a, b: int(a < b)),
    0x11: _binary(lambda a, b: int(a > b)),
    0x12: _binary(lambda a, b: int(_signed(a) < _signed(b))),
    0x13: _binary(lambda a, b: int(_signed(a) > _signed(b))),
    0x14: _binary(lambda a, b: int(a == b)),
    0x15: _iszero,
    0x16: _and,
    0x17: _binary(lambda a, b: a | b),
    0x18: _binary(lambda a, b: a ^ b),
    0x19: _unary(lambda a: a ^ _WORD),
    0x1A: _binary(_byte),
    0x1B: _binary(lambda shift, word: word << shift & _WORD if shift < 256 else 0),
    0x1C: _binary(lambda shift, word: word >> shift if shift < 256 else 0),
    0x1D: _binary(_sar),
    _POP: _pop,
    _JUMPDEST: _jumpdest,
}
_PLAIN: Final = [_BY_VALUE.get(value) for value in range(256)]
_HERE: Final = {
    *_BY_VALUE,
    _JUMP,
    _JUMPI,
    *range(_PUSH0, _DUP16 + 1),
    *range(_SWAP1, _SWAP16 + 1),
}
_COSTS: Final[list[int | None]] = [
    STOCK[value].gas_cost if value in _HERE else None for value in range(256)
]
