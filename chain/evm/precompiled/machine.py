"""Formulas over a 256-bit prime field, recorded once and run by ``precompiles.kernels.field``.

Formulas are ordinary Python on ``Element``: each operation appends a row to the program instead of
computing. What was recorded together is a segment; a computation is a list of segments.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Protocol, Self, TypeAlias

import numpy as np

from precompiles.kernels import field
from precompiles.kernels.arrays import S64, U8

Segment: TypeAlias = tuple[int, int]
"""First row and the row behind the last."""

_ZERO: Final = 2
_FIRST_FREE: Final = 3
_TEMPORARY: Final = 1 << 24
"""Numbers from here on are temporary registers of a segment."""


class Elements(Protocol):
    """Anything made of elements: of an extension field, a point, a pair of these."""

    def elements(self) -> list["Element"]:
        """In a fixed order."""


@dataclass(frozen=True, slots=True)
class Element:
    """A field element that the program will hold in a register."""

    program: "Program"
    register: int

    def __add__(self, other: Self) -> "Element":
        if _ZERO in (self.register, other.register):
            return other if self.register == _ZERO else self
        return self.program.emit(field.ADD, self, other)

    def __sub__(self, other: Self) -> "Element":
        if other.register == _ZERO:
            return self
        return self.program.emit(field.SUBTRACT, self, other)

    def __mul__(self, other: Self) -> "Element":
        if _ZERO in (self.register, other.register):
            return self.program.zero
        return self.program.emit(field.MULTIPLY, self, other)

    def __neg__(self) -> "Element":
        return self.program.zero - self

    def elements(self) -> list["Element"]:
        """Itself."""
        return [self]


class Program:
    """Records segments; then runs them.

    Args:
        modulus: p, odd, below 2**254.
    """

    def __init__(self, modulus: int) -> None:
        self.modulus = modulus
        self._rows: list[tuple[int, int, int, int]] = []
        self._contents = {
            field.MODULUS: modulus,
            field.INVERSE: -pow(modulus, -1, 1 << 64) % (1 << 64),
        }
        self._constants: dict[int, int] = {0: _ZERO}
        self._free = _FIRST_FREE
        self._temporaries = self._most_temporaries = 0

    @property
    def zero(self) -> Element:
        """0, known to be 0 while recording."""
        return Element(self, _ZERO)

    def constant(self, value: int) -> Element:
        """A field element that never changes."""
        return self.raw((value << 8 * field.WIDTH) % self.modulus)

    def raw(self, word: int) -> Element:
        """A register that holds ``word`` itself, not its Montgomery form."""
        if word not in self._constants:
            self._constants[word] = self._free
            self._contents[self._free] = word
            self._free += 1
        return Element(self, self._constants[word])

    def variable(self) -> Element:
        """A register that keeps its value from segment to segment; 0 at first."""
        self._free += 1
        return Element(self, self._free - 1)

    def entered(self, element: Element) -> Element:
        """A written integer in Montgomery form."""
        return element * self.constant(1 << 8 * field.WIDTH)

    def left(self, element: Element) -> Element:
        """An element as the integer to be read."""
        return element * self.raw(1)

    def emit(self, operation: int, a: Element, b: Element) -> Element:
        """Append a row whose result is a new temporary."""
        out = _TEMPORARY + self._temporaries
        self._temporaries += 1
        self._most_temporaries = max(self._most_temporaries, self._temporaries)
        self._rows.append((operation, out, a.register, b.register))
        return Element(self, out)

    def record(self, target: Elements, compute: Callable[[], Elements]) -> Segment:
        """Record ``target = compute()``; all of it is read before any of it is written."""
        first = len(self._rows)
        self._temporaries = 0
        results = [self._settled(result) for result in compute().elements()]
        for element, result in zip(target.elements(), results, strict=True):
            self._rows.append((field.ADD, element.register, result.register, _ZERO))
        return first, len(self._rows)

    def _settled(self, result: Element) -> Element:
        if result.register >= _TEMPORARY:
            return result
        return self.emit(field.ADD, result, self.zero)

    def memory(self) -> "Memory":
        """Registers for one computation, constants set, variables 0."""
        return Memory(self, self._template.copy())

    @cached_property
    def code(self) -> U8:
        """The rows as the kernel takes them; nothing can be recorded afterwards."""
        rows = [
            (operation, *(self._placed(register) for register in registers))
            for operation, *registers in self._rows
        ]
        return np.array(rows, np.int32).reshape(-1).view(np.uint8)

    def _placed(self, register: int) -> int:
        return register if register < _TEMPORARY else register - _TEMPORARY + self._free

    @cached_property
    def _template(self) -> U8:
        memory = np.zeros((self._free + self._most_temporaries) * field.WIDTH, np.uint8)
        for register, word in self._contents.items():
            _write(memory, register, word)
        return memory


@dataclass(frozen=True, slots=True)
class Memory:
    """The registers of one computation; belongs to one thread."""

    program: Program
    words: U8

    def write(self, target: Elements, words: Iterable[int]) -> None:
        """Put integers below p into registers as they are, not in Montgomery form."""
        for element, word in zip(target.elements(), words, strict=True):
            _write(self.words, element.register, word)

    def read(self, source: Elements) -> list[int]:
        """What registers hold, as it is."""
        return [_read(self.words, element.register) for element in source.elements()]

    def run(self, script: S64) -> None:
        """Run segments (``script_of``) in order."""
        field.run_script(self.words, self.program.code, script, 1)


def script_of(segments: Sequence[Segment]) -> S64:
    """Segments as the kernel takes them."""
    return np.array(segments, np.int64).reshape(-1)


def _write(memory: U8, register: int, word: int) -> None:
    start = field.WIDTH * register
    data = word.to_bytes(field.WIDTH, "little")
    memory[start : start + field.WIDTH] = np.frombuffer(data, np.uint8)


def _read(memory: U8, register: int) -> int:
    start = field.WIDTH * register
    return int.from_bytes(memory[start : start + field.WIDTH].tobytes(), "little")
