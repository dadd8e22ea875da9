"""Symbolic words: what the transpiler knows about a stack item before the code runs."""

from dataclasses import dataclass
from typing import Final

MASK: Final = (1 << 256) - 1
SIGN: Final = 1 << 255
MEMORY_BOUND: Final = 1 << 42
"""Above every offset that memory was ever paid for: 2**64 gas buy less than 2**37 words."""

_MAX_SUMMANDS: Final = 8


@dataclass(frozen=True, eq=False, slots=True)
class Word:
    """A word as a Python expression over the block's local variables; compared by identity.

    The variables are assigned once per turn of the block's loop, so that the expression may be
    written down later, or never.

    Attributes:
        text: the expression. Its value is the word (``excess`` 0), or congruent to it modulo 2**256
            (``excess`` > 0), or true exactly when the word is 1 (``is_condition``).
        high, low: inclusive bounds of the word.
        kind: the operation that made it, for the rules that look at operands; "number" and "name"
            need no parentheses.
        operands: of that operation.
        excess: 0, or bits that the expression's magnitude may have.
        is_signed: the expression may be negative.
        is_condition: the expression is a truth value.
        number: the value of a constant, else None.
    """

    text: str
    high: int = MASK
    low: int = 0
    kind: str = "name"
    operands: tuple["Word", ...] = ()
    excess: int = 0
    is_signed: bool = False
    is_condition: bool = False
    number: int | None = None

    @property
    def is_atom(self) -> bool:
        """A variable or a constant."""
        return self.kind in ("name", "number")


def constant(number: int) -> Word:
    """A word known now."""
    text = str(number) if number < 1 << 20 else hex(number)
    return Word(text, number, number, "number", number=number)


ZERO: Final = constant(0)
ONE: Final = constant(1)


def base_of(word: Word) -> tuple[Word | None, int]:
    """The word as a base (None: zero) and a distance from it, modulo 2**256."""
    distance = 0
    for _ in range(_MAX_SUMMANDS):
        if word.kind not in ("add", "sub"):
            break
        a, b = word.operands
        if b.number is not None:
            word, distance = a, distance + (b.number if word.kind == "add" else -b.number)
        elif a.number is not None and word.kind == "add":
            word, distance = b, distance + a.number
        else:
            break
    return (word, distance) if word.number is None else (None, distance + word.number)


def condition(text: str, kind: str, *operands: Word) -> Word:
    """A word that is 1 when ``text`` is true, else 0."""
    return Word(text, 1, 0, kind, operands, is_condition=True)
