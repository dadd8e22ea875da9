"""Opcodes that are functions of words, on symbolic words.

What is known of the operands saves reductions modulo 2**256, zero checks and whole divisions;
``chain.evm.operations.arithmetic`` defines every result.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

from chain.evm.operations.arithmetic import BINARY, TERNARY, UNARY
from chain.evm.transpiler.path import Path, wraps
from chain.evm.transpiler.word import MASK, ONE, SIGN, ZERO, Word, base_of, condition, constant

MAX_EXCESS: Final = 640
"""Bits that an expression may grow to before it is reduced modulo 2**256."""

Rule: TypeAlias = Callable[..., Word]


def apply(path: Path, opcode: int, *operands: Word) -> Word:
    """The word that a function opcode makes of its operands, the first from the stack's top."""
    numbers = [word.number for word in operands if word.number is not None]
    if len(numbers) == len(operands):
        return constant(_FUNCTIONS[opcode](*numbers))
    if opcode not in _LOOK_FIRST:
        path.keep(*operands)
    return path.shorten(_RULES[opcode](path, *operands))


def _is_exact(path: Path, word: Word) -> bool:
    return not word.excess or word in path.names


def _excess(path: Path, word: Word) -> int:
    """Bits of ``path.loose(word)``."""
    return path.high(word).bit_length() if _is_exact(path, word) else word.excess


def _modular(path: Path, symbol: str, kind: str, a: Word, b: Word) -> Word:
    """``a symbol b``, to be reduced modulo 2**256 where it is used."""
    exact = _is_exact(path, a) and _is_exact(path, b)
    left, right = _excess(path, a), _excess(path, b)
    excess = left + right if symbol == "*" else max(left, right) + 1
    if excess > MAX_EXCESS:
        path.local(a)
        path.local(b)
        return _modular(path, symbol, kind, a, b)
    signed = symbol == "-" or (not exact and (a.is_signed or b.is_signed))
    text = f"{path.loose(a)} {symbol} {path.loose(b)}"
    return Word(text, kind=kind if exact else "", operands=(a, b), excess=excess, is_signed=signed)


def _exactly(
    path: Path, symbol: str, a: Word, b: Word, high: int, low: int = 0, kind: str = "exact"
) -> Word:
    return Word(f"{path.exact(a)} {symbol} {path.exact(b)}", high, low, kind, (a, b))


def _add(path: Path, a: Word, b: Word) -> Word:
    for word, other in ((a, b), (b, a)):
        if word.number == 0:
            return other
        if word.number is not None and word.number > SIGN:  # a small negative number
            return _sub(path, other, constant(MASK + 1 - word.number))
    high = path.high(a) + path.high(b)
    if high <= MASK:
        a, b = _reassociated(path, a, b)
        return _exactly(path, "+", a, b, high, path.low(a) + path.low(b), "add")
    return _modular(path, "+", "add", a, b)


def _reassociated(path: Path, a: Word, b: Word) -> tuple[Word, Word]:
    """Summands of ``a + b``, which does not wrap: a constant in one joins the other, a constant."""
    for word, other in ((a, b), (b, a)):
        if word.number is not None and other.kind == "add" and not other.excess:
            for inner, outer in (other.operands, other.operands[::-1]):
                if inner.number is not None:
                    return outer, constant(inner.number + word.number)
    return a, b


def _sub(path: Path, a: Word, b: Word) -> Word:
    if b.number == 0:
        return a
    (base, distance), (other_base, other_distance) = base_of(a), base_of(b)
    if base is other_base:
        return constant(distance - other_distance & MASK)
    if a.kind == "add" and b in a.operands:
        return a.operands[a.operands[0] is b]
    if path.low(a) >= path.high(b):
        high, low = path.high(a) - path.low(b), path.low(a) - path.high(b)
        return _exactly(path, "-", a, b, high, low, "sub")
    return _modular(path, "-", "sub", a, b)


def _mul(path: Path, a: Word, b: Word) -> Word:
    for word, other in ((a, b), (b, a)):
        if word.number == 0:
            return ZERO
        if word.number == 1:
            return other
    high = path.high(a) * path.high(b)
    if high <= MASK:
        return _exactly(path, "*", a, b, high, path.low(a) * path.low(b), "mul")
    return _modular(path, "*", "mul", a, b)


def _div(path: Path, a: Word, b: Word) -> Word:
    if b.number == 0:
        return ZERO
    if a.kind == "mul" and any(_same(b, word) for word in a.operands):
        path.raw_local(a)  # probably a check of the product, which needs no division
        path.keep(b)
    else:
        path.keep(a, b)
    low = path.low(b)
    if low:
        high = path.high(a) // low
        return Word(f"{path.exact(a)} // {path.exact(b)}", high, 0, "div", (a, b))
    divisor = path.local(b)
    text = f"{path.exact(a)} // {divisor} if {divisor} else 0"
    return Word(text, path.high(a), 0, "div", (a, b))


def _mod(path: Path, a: Word, b: Word) -> Word:
    if b.number == 0:
        return ZERO
    high = min(path.high(a), max(path.high(b) - 1, 0))
    if path.low(b):
        return _exactly(path, "%", a, b, high)
    divisor = path.local(b)
    return Word(f"{path.exact(a)} % {divisor} if {divisor} else 0", high, 0, "exact")


def _unsigned_alike(name: str, unsigned: Rule) -> Rule:
    """A signed operation: the unsigned one where both operands are known not to be negative."""

    def rule(path: Path, a: Word, b: Word) -> Word:
        if path.high(a) < SIGN and path.high(b) < SIGN:
            return unsigned(path, a, b)
        return Word(f"{name}({path.exact(a)}, {path.exact(b)})", kind="exact")

    return rule


def _modular_ternary(symbol: str) -> Rule:
    def rule(path: Path, a: Word, b: Word, n: Word) -> Word:
        modulus = path.local(n)
        text = f"({path.exact(a)} {symbol} {path.exact(b)}) % {modulus} if {modulus} else 0"
        return Word(text, max(path.high(n) - 1, 0), 0, "exact")

    return rule


def _signextend(path: Path, k: Word, a: Word) -> Word:
    if k.number is not None and (k.number > 30 or path.high(a) < 1 << 8 * k.number + 7):
        return a
    return Word(f"signextend({path.exact(k)}, {path.exact(a)})", kind="exact")


def _less(path: Path, a: Word, b: Word) -> Word:
    if a.kind == "add" and any(_same(b, word) for word in a.operands):
        return wraps(path, a)  # a sum below an addend
    if b.kind == "sub" and _same(a, b.operands[0]):
        return wraps(path, b)  # a difference above its minuend
    path.keep(a, b)
    if path.high(a) < path.low(b):
        return ONE
    if path.low(a) >= path.high(b):
        return ZERO
    return condition(f"{path.exact(a)} < {path.exact(b)}", "less", a, b)


def _greater(path: Path, a: Word, b: Word) -> Word:
    return _less(path, b, a)


def _signed_less(path: Path, a: Word, b: Word) -> Word:
    if path.high(a) < SIGN and path.high(b) < SIGN:
        return _less(path, a, b)
    path.keep(a, b)
    return condition(f"{path.exact(a)} ^ SIGN < {path.exact(b)} ^ SIGN", "")


def _signed_greater(path: Path, a: Word, b: Word) -> Word:
    return _signed_less(path, b, a)


def _same(a: Word, b: Word) -> bool:
    return a is b or (a.number is not None and a.number == b.number)


def _product_check(path: Path, a: Word, b: Word) -> Word | None:
    """``x * y`` of ``x * y / x`` and ``y``, which differ when it wrapped (unless x is 0)."""
    if a.kind != "div" or a.operands[0].kind != "mul":
        return None
    product, divisor = a.operands
    x, y = product.operands
    if (_same(divisor, x) and _same(b, y)) or (_same(divisor, y) and _same(b, x)):
        return product
    return None


def _equal(path: Path, a: Word, b: Word) -> Word:
    for word, other in ((a, b), (b, a)):
        product = _product_check(path, word, other)
        if product is not None and path.low(word.operands[1]):
            return _is_zero(path, wraps(path, product))
        if word.number == 0:
            return _is_zero(path, other)
    if any(_product_check(path, *pair) for pair in ((a, b), (b, a))):
        return condition(f"{path.exact(a)} == {path.exact(b)}", "equal", a, b)
    path.keep(a, b)
    return condition(f"{path.exact(a)} == {path.exact(b)}", "equal", a, b)


def _is_zero(path: Path, a: Word) -> Word:
    if path.low(a):
        return ZERO
    if a.kind == "zero":
        word = a.operands[0]
        if word.is_condition:
            return word
        return condition(f"{path.exact(word)} != 0", "nonzero", word)
    if not a.is_condition:
        path.keep(a)
    return condition(path.falsity(a), "zero", a)


def _and(path: Path, a: Word, b: Word) -> Word:
    for word, other in ((a, b), (b, a)):
        mask = word.number
        if mask is not None and not mask & mask + 1 and path.high(other) <= mask:
            return other
    if a.is_condition and b.is_condition:
        return condition(f"({path.truth(a)}) and ({path.truth(b)})", "and", a, b)
    high = min(path.high(a), path.high(b))
    if _is_exact(path, b):  # one of them reduces the other
        return Word(f"{path.loose(a)} & {path.exact(b)}", high, 0, "exact")
    return Word(f"{path.exact(a)} & {path.loose(b)}", high, 0, "exact")


def _bits(path: Path, a: Word, b: Word) -> int:
    return (1 << max(path.high(a).bit_length(), path.high(b).bit_length())) - 1


def _or(path: Path, a: Word, b: Word) -> Word:
    if a.number == 0 or b.number == 0:
        return b if a.number == 0 else a
    if a.is_condition and b.is_condition:
        for word, other in ((a, b), (b, a)):
            product = _guarded_product(path, word, other)
            if product is not None:
                return _is_zero(path, wraps(path, product))
        return condition(f"({path.truth(a)}) or ({path.truth(b)})", "or", a, b)
    return _exactly(path, "|", a, b, _bits(path, a, b), max(path.low(a), path.low(b)))


def _guarded_product(path: Path, zero: Word, equal: Word) -> Word | None:
    """``x * y``, if the words are ``x == 0`` and ``x * y / x == y``: solc's check of a product."""
    if zero.kind != "zero" or equal.kind != "equal":
        return None
    for word, other in (equal.operands, equal.operands[::-1]):
        product = _product_check(path, word, other)
        if product is not None and _same(word.operands[1], zero.operands[0]):
            return product
    return None


def _xor(path: Path, a: Word, b: Word) -> Word:
    return _exactly(path, "^", a, b, _bits(path, a, b), kind="xor")


def _not(path: Path, a: Word) -> Word:
    return Word(f"{path.exact(a)} ^ MASK", MASK - path.low(a), MASK - path.high(a), "exact")


def _clz(path: Path, a: Word) -> Word:
    return Word(f"256 - {path.local(a)}.bit_length()", 256, 0, "exact")


def _byte(path: Path, i: Word, a: Word) -> Word:
    if i.number is None:
        return Word(f"byte({path.exact(i)}, {path.exact(a)})", 255, 0, "exact")
    if i.number > 31:
        return ZERO
    return Word(f"{path.exact(a)} >> {248 - 8 * i.number} & 255", 255, 0, "exact")


def _shl(path: Path, shift: Word, a: Word) -> Word:
    count = shift.number
    if count is None:
        return Word(f"shl({path.exact(shift)}, {path.exact(a)})", kind="exact")
    if count == 0 or count > 255:
        return ZERO if count else a
    if path.high(a) << count <= MASK:
        high, low = path.high(a) << count, path.low(a) << count
        return Word(f"{path.exact(a)} << {count}", high, low, "exact")
    if _excess(path, a) + count > MAX_EXCESS:
        path.local(a)
    excess = _excess(path, a) + count
    signed = a.is_signed and not _is_exact(path, a)
    return Word(f"{path.loose(a)} << {count}", kind="shl", excess=excess, is_signed=signed)


def _shr(path: Path, shift: Word, a: Word) -> Word:
    if shift.number is None:  # Python shifts by any number
        return Word(f"{path.exact(a)} >> {path.exact(shift)}", path.high(a), 0, "exact")
    if shift.number > 255:
        return ZERO
    high, low = path.high(a) >> shift.number, path.low(a) >> shift.number
    return Word(f"{path.exact(a)} >> {shift.number}", high, low, "exact")


def _sar(path: Path, shift: Word, a: Word) -> Word:
    if path.high(a) < SIGN:
        return _shr(path, shift, a)
    return Word(f"sar({path.exact(shift)}, {path.exact(a)})", kind="exact")


_LOOK_FIRST: Final = frozenset((0x04, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15))
"""Rules that look at how their operands were made before these get variables."""
_FUNCTIONS: Final[dict[int, Callable[..., int]]] = {**UNARY, **BINARY, **TERNARY}
_RULES: Final[dict[int, Rule]] = {
    0x01: _add,
    0x02: _mul,
    0x03: _sub,
    0x04: _div,
    0x05: _unsigned_alike("sdiv", _div),
    0x06: _mod,
    0x07: _unsigned_alike("smod", _mod),
    0x08: _modular_ternary("+"),
    0x09: _modular_ternary("*"),
    0x0B: _signextend,
    0x10: _less,
    0x11: _greater,
    0x12: _signed_less,
    0x13: _signed_greater,
    0x14: _equal,
    0x15: _is_zero,
    0x16: _and,
    0x17: _or,
    0x18: _xor,
    0x19: _not,
    0x1A: _byte,
    0x1B: _shl,
    0x1C: _shr,
    0x1D: _sar,
    0x1E: _clz,
}
FUNCTIONS: Final = frozenset(_RULES)
"""Opcodes that ``apply`` knows; a fork may have fewer."""
