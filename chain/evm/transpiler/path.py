"""The symbolic machine along one way through the code."""

from chain.evm.transpiler.word import MASK, ZERO, Word, condition
from chain.evm.transpiler.writer import Writer

MAX_TEXT = 160
"""Longer expressions get a variable: Python's parser limits nesting."""


class Path:
    """State of the symbolic machine at one point of a trace.

    Attributes:
        writer: where statements go.
        indent: depth of the ``if`` that this way runs in.
        stack: symbolic words, top last; they lie on what is left of the stack at entry.
        pulled: words of the stack at entry that became part of ``stack``.
        names: variables that hold a word exactly.
        raw_names: variables that hold a word modulo 2**256.
        bounds: (low, high) that branches taken have proved.
        gas: static gas not charged yet.
        memory_size: bytes that memory is known to have.
        memo: words that cannot change while the frame runs, by the expression that reads them.
        loads: (offset, word) of what memory is known to hold, by the offset's text.
        reached: bytes known to lie in memory from a variable offset on, by its text.
        seen: (pc, height, return addresses) of the jump targets on this way.
    """

    __slots__ = (
        "bounds", "gas", "indent", "loads", "memo", "memory_size", "names", "pulled", "raw_names",
        "reached", "seen", "stack", "writer",
    )  # fmt: skip

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.indent = 0
        self.stack: list[Word] = []
        self.pulled = 0
        self.names: dict[Word, str] = {}
        self.raw_names: dict[Word, str] = {}
        self.bounds: dict[Word, tuple[int, int]] = {}
        self.gas = 0
        self.memory_size = 0
        self.memo: dict[str, Word] = {}
        self.loads: dict[str, tuple[Word, Word]] = {}
        self.reached: dict[str, int] = {}
        self.seen: set[tuple[int, ...]] = set()

    def fork(self) -> "Path":
        """The same state, to go another way from here."""
        other = Path(self.writer)
        other.indent, other.pulled, other.gas = self.indent, self.pulled, self.gas
        other.memory_size = self.memory_size
        other.stack = self.stack.copy()
        other.names, other.raw_names = self.names.copy(), self.raw_names.copy()
        other.bounds, other.memo = self.bounds.copy(), self.memo.copy()
        other.loads, other.reached = self.loads.copy(), self.reached.copy()
        other.seen = self.seen.copy()
        return other

    def write(self, line: str) -> None:
        """Add a statement."""
        self.writer.write(self.indent, line)

    # Stack

    def require(self, count: int) -> None:
        """Have at least ``count`` words in ``stack``."""
        while len(self.stack) < count:
            self.stack.insert(0, self.writer.entry(self.pulled))
            self.pulled += 1

    def pop(self) -> Word:
        """Take the top word."""
        if not self.stack:
            self.require(1)
        return self.stack.pop()

    def push(self, word: Word) -> None:
        """Add a word; remember how far the stack ever grew."""
        self.stack.append(word)
        self.writer.grow(len(self.stack) - self.pulled)

    # What is known

    def high(self, word: Word) -> int:
        """Upper bound, inclusive."""
        bounds = self.bounds.get(word)
        return word.high if bounds is None else bounds[1]

    def low(self, word: Word) -> int:
        """Lower bound, inclusive."""
        bounds = self.bounds.get(word)
        return word.low if bounds is None else bounds[0]

    def bound(self, word: Word, low: int, high: int) -> None:
        """Note that a word lies between two values."""
        if word.number is None:
            self.bounds[word] = max(low, self.low(word)), min(high, self.high(word))

    # Text

    def exact(self, word: Word) -> str:
        """An operand whose value is the word."""
        name = self.names.get(word)
        if name is not None:
            return name
        if word.is_atom:
            return word.text
        if word.excess:
            return f"({self.raw_names.get(word) or f'({word.text})'} & MASK)"
        return f"(+({word.text}))" if word.is_condition else f"({word.text})"

    def loose(self, word: Word) -> str:
        """An operand that is congruent to the word modulo 2**256."""
        name = self.names.get(word) or self.raw_names.get(word)
        return name if name is not None else f"({word.text})" if word.excess else self.exact(word)

    def value(self, word: Word) -> str:
        """The word as a whole right-hand side."""
        text = self.exact(word)
        return text[1:-1] if text.startswith("(") else text

    def truth(self, word: Word) -> str:
        """A condition that holds when the word is not zero."""
        if word in self.names:
            return self.names[word]
        if word.kind in ("sub", "xor"):
            a, b = word.operands
            return self.truth(b) if a.number == 0 else f"{self.exact(a)} != {self.exact(b)}"
        return word.text if word.is_condition else self.exact(word)

    def falsity(self, word: Word) -> str:
        """A condition that holds when the word is zero."""
        if word.kind == "zero" and word not in self.names:
            return self.truth(word.operands[0])
        text = self.truth(word)
        return f"not {text}" if text.isidentifier() else f"not ({text})"

    def name(self, text: str, high: int = MASK) -> Word:
        """Assign ``text`` to a new variable now."""
        name = self.writer.new_name()
        self.write(f"{name} = {text}")
        return Word(name, high)

    def local(self, word: Word) -> str:
        """A variable or constant whose value is the word."""
        text = self.exact(word)
        if word.is_atom or word in self.names:
            return text
        name = self.writer.new_name()
        self.write(f"{name} = {text[1:-1]}")
        self.names[word] = name
        return name

    def raw_local(self, word: Word) -> str:
        """A variable that holds the word's expression, not reduced."""
        if not word.excess:
            return self.local(word)
        name = self.raw_names.get(word)
        if name is None:
            name = self.raw_names[word] = self.writer.new_name()
            self.write(f"{name} = {word.text}")
        return name

    def keep(self, *operands: Word) -> None:
        """Give a variable to operands that are used again, so that nothing is computed twice."""
        for position, word in enumerate(operands):
            again = word in self.stack or word in operands[:position]
            if again and not word.is_atom and not word.is_condition:
                self.local(word)

    def shorten(self, word: Word) -> Word:
        """The word, in a variable if its expression got long."""
        if len(word.text) > MAX_TEXT:
            self.raw_local(word)
        return word

    def leave(self, target: int | str) -> None:
        """Go on at ``target`` outside of the block; -1 ends the frame."""
        values = tuple(self.value(word) for word in self.stack)
        gas = f"gas - {self.gas}" if self.gas else "gas"
        statement = f"return leave(frame, {gas}, {target})"
        self.writer.leave(self.indent, self.pulled, values, statement)

    # Branches

    def decide(self, word: Word) -> bool | None:
        """Whether a word is zero (False) or not (True), if that is known."""
        if self.low(word):
            return True
        if not self.high(word):
            return False
        if word.kind in ("zero", "nonzero"):
            known = self.decide(word.operands[0])
            return known if known is None or word.kind == "nonzero" else not known
        if word.kind == "less":
            small, large = word.operands
            if self.low(small) >= self.high(large):
                return False
            return True if self.high(small) < self.low(large) else None
        return None

    def assume(self, word: Word, truth: bool, depth: int = 4) -> None:
        """Note what follows from a branch: ``word`` is not zero (``truth``), or zero."""
        if not depth:
            return
        kind, operands = word.kind, word.operands
        self.bound(word, *((1, MASK) if truth else (0, 0)))
        if kind == "zero":
            self.assume(operands[0], not truth, depth - 1)
        elif kind == "less":
            small, large = operands if truth else operands[::-1]
            gap = int(truth)
            self.bound(small, 0, self.high(large) - gap)
            self.bound(large, self.low(small) + gap, MASK)
        elif kind == "nonzero":
            self.assume(operands[0], truth, depth - 1)
        elif kind == "equal" and truth:
            low = max(self.low(word) for word in operands)
            high = min(self.high(word) for word in operands)
            for operand in operands:
                self.bound(operand, low, high)
        elif kind == "wraps":
            self._assume_wraps(operands[0], truth)
        elif (kind, truth) in (("or", False), ("and", True)):
            for operand in operands:
                self.assume(operand, truth, depth - 1)

    def _assume_wraps(self, word: Word, truth: bool) -> None:
        if not truth and word in self.raw_names:
            self.names[word] = self.raw_names[word]


def wraps(path: Path, word: Word) -> Word:
    """Whether the sum, difference or product ``word`` left the range of words."""
    if not word.excess:
        return ZERO
    raw = path.raw_local(word)
    return condition(f"{raw} < 0" if word.is_signed else f"{raw} > MASK", "wraps", word)
