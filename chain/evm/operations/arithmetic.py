"""Opcodes that are functions of words: arithmetic, comparison, bits. Yellow Paper H.2, 0x and 1x.

Words are ints from 0 to 2**256 - 1; the first argument is the top of the stack.
"""

import operator
from collections.abc import Callable
from typing import Final, TypeAlias

WORD: Final = (1 << 256) - 1
SIGN: Final = 1 << 255
_CEILING: Final = 1 << 256

Unary: TypeAlias = Callable[[int], int]
Binary: TypeAlias = Callable[[int, int], int]
Ternary: TypeAlias = Callable[[int, int, int], int]


def signed(word: int) -> int:
    """The word as two's complement."""
    return word - _CEILING if word & SIGN else word


def add(a: int, b: int) -> int:
    """ADD."""
    return a + b & WORD


def mul(a: int, b: int) -> int:
    """MUL."""
    return a * b & WORD


def sub(a: int, b: int) -> int:
    """SUB."""
    return a - b & WORD


def div(a: int, b: int) -> int:
    """DIV; 0 by zero."""
    return a // b if b else 0


def sdiv(a: int, b: int) -> int:
    """SDIV: towards zero; 0 by zero; -2**255 / -1 is -2**255."""
    if not b:
        return 0
    if a & SIGN:
        a = _CEILING - a
        return a // (_CEILING - b) & WORD if b & SIGN else -(a // b) & WORD
    return -(a // (_CEILING - b)) & WORD if b & SIGN else a // b


def mod(a: int, b: int) -> int:
    """MOD; 0 by zero."""
    return a % b if b else 0


def smod(a: int, b: int) -> int:
    """SMOD: the sign of the dividend; 0 by zero."""
    if not b:
        return 0
    if b & SIGN:
        b = _CEILING - b
    return -((_CEILING - a) % b) & WORD if a & SIGN else a % b


def addmod(a: int, b: int, n: int) -> int:
    """ADDMOD: without overflow; 0 modulo zero."""
    return (a + b) % n if n else 0


def mulmod(a: int, b: int, n: int) -> int:
    """MULMOD: without overflow; 0 modulo zero."""
    return a * b % n if n else 0


def exp(a: int, b: int) -> int:
    """EXP, modulo 2**256."""
    return pow(a, b, _CEILING)


def signextend(k: int, a: int) -> int:
    """SIGNEXTEND: the sign is bit 7 of byte ``k``, counted from the lowest."""
    if k > 30:
        return a
    sign = 0x80 << 8 * k
    low = (sign << 1) - 1
    return a | WORD ^ low if a & sign else a & low


def lt(a: int, b: int) -> int:
    """LT."""
    return 1 if a < b else 0


def gt(a: int, b: int) -> int:
    """GT."""
    return 1 if a > b else 0


def slt(a: int, b: int) -> int:
    """SLT."""
    return 1 if a ^ SIGN < b ^ SIGN else 0


def sgt(a: int, b: int) -> int:
    """SGT."""
    return 1 if a ^ SIGN > b ^ SIGN else 0


def eq(a: int, b: int) -> int:
    """EQ."""
    return 1 if a == b else 0


def iszero(a: int) -> int:
    """ISZERO."""
    return 0 if a else 1


def not_(a: int) -> int:
    """NOT."""
    return a ^ WORD


def byte(i: int, a: int) -> int:
    """BYTE: number ``i`` from the highest."""
    return a >> 248 - 8 * i & 0xFF if i < 32 else 0


def shl(shift: int, a: int) -> int:
    """SHL (EIP-145)."""
    return a << shift & WORD if shift < 256 else 0


def shr(shift: int, a: int) -> int:
    """SHR (EIP-145)."""
    return a >> shift if shift < 256 else 0


def sar(shift: int, a: int) -> int:
    """SAR: fills with the sign (EIP-145)."""
    if a & SIGN:
        return a - _CEILING >> shift & WORD if shift < 256 else WORD
    return a >> shift if shift < 256 else 0


def clz(a: int) -> int:
    """CLZ: leading zero bits, 256 for zero (EIP-7939)."""
    return 256 - a.bit_length()


UNARY: Final[dict[int, Unary]] = {0x15: iszero, 0x19: not_, 0x1E: clz}
"""Functions of one word by opcode."""

BINARY: Final[dict[int, Binary]] = {
    0x01: add,
    0x02: mul,
    0x03: sub,
    0x04: div,
    0x05: sdiv,
    0x06: mod,
    0x07: smod,
    0x0B: signextend,
    0x10: lt,
    0x11: gt,
    0x12: slt,
    0x13: sgt,
    0x14: eq,
    0x16: operator.and_,
    0x17: operator.or_,
    0x18: operator.xor,
    0x1A: byte,
    0x1B: shl,
    0x1C: shr,
    0x1D: sar,
}
"""Functions of two words by opcode; EXP is not here, because its gas depends on its exponent."""

TERNARY: Final[dict[int, Ternary]] = {0x08: addmod, 0x09: mulmod}
"""Functions of three words by opcode."""
