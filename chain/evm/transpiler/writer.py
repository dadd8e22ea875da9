"""The source of one block: statements, and the ways out of it."""

from dataclasses import dataclass

from chain.evm.frame import MAX_STACK
from chain.evm.transpiler.word import Word


@dataclass(frozen=True, slots=True)
class Leave:
    """End of a way: stack written back, then ``statement``.

    Attributes:
        indent: of the statements.
        pulled: words of the stack at entry that ``words`` replaces.
        words: expressions, top last.
        statement: the last line; empty for a turn of the loop.
    """

    indent: int
    pulled: int
    words: tuple[str, ...]
    statement: str


class Writer:
    """Statements of one block, in order; what is known only at the end is filled in then.

    Attributes:
        size: characters so far.
    """

    def __init__(self) -> None:
        self._lines: list[tuple[int, str] | Leave] = []
        self._entries: list[Word] = []
        self._growth = 0
        self.size = 0
        self._names = 0
        self._repeats = False
        self._changed: set[int] = set()

    def write(self, indent: int, line: str) -> None:
        """Add a statement."""
        self._lines.append((indent, line))
        self.size += len(line)

    def leave(self, indent: int, pulled: int, words: tuple[str, ...], statement: str) -> None:
        """Add a way out."""
        self._lines.append(Leave(indent, pulled, words, statement))
        self.size += sum(map(len, words)) + len(statement)

    def repeat(self, indent: int, words: tuple[str, ...]) -> None:
        """Add a jump to the start; ``words`` replace as many at entry."""
        self._repeats = True
        pairs = [
            (f"s{depth}", word) for depth, word in enumerate(reversed(words)) if word != f"s{depth}"
        ]
        self._changed.update(int(name[1:]) for name, _ in pairs)
        if pairs:
            targets, values = zip(*pairs, strict=True)
            self.write(indent, f"{', '.join(targets)} = {', '.join(values)}")
        self.write(indent, "continue")

    def entry(self, depth: int) -> Word:
        """The word at ``depth`` below the top of the stack at entry."""
        while len(self._entries) <= depth:
            self._entries.append(Word(f"s{len(self._entries)}"))
        return self._entries[depth]

    def grow(self, height: int) -> None:
        """Note a height of the stack above that at entry."""
        self._growth = max(self._growth, height)

    def new_name(self) -> str:
        """A variable not used yet."""
        self._names += 1
        return f"v{self._names}"

    def source(self, pc: int, reads_data: bool) -> str:
        """The whole function, for the block that starts at ``pc``."""
        lines = [f"def block_{pc}(frame, stack, memory, gas):"]
        lines += [f"    {line}" for line in self._guard(pc)]
        if reads_data:
            lines.append("    data = frame.data")
        body = self._body()
        if any("end" in line for line in body):
            lines.append("    end = len(memory) - 32")
        if self._repeats:
            lines.append("    while gas >= 0:")
            lines += [f"        {line}" for line in body]
            lines.append("    raise OutOfGas")
        else:
            lines += [f"    {line}" for line in body]
        return "\n".join(lines) + "\n"

    def _guard(self, pc: int) -> list[str]:
        pulled, limit = len(self._entries), MAX_STACK - self._growth
        lines = []
        if pulled or self._growth > 0:
            lines.append(f"if not {pulled} <= len(stack) <= {limit}:")
            lines.append(f"    return {-2 - pc}")
        if pulled == 1:
            lines.append("s0 = stack[-1]")
        elif pulled:
            names = ", ".join(f"s{depth}" for depth in reversed(range(pulled)))
            lines.append(f"{names} = stack[-{pulled}:]")
        return lines

    def _body(self) -> list[str]:
        body = []
        for line in self._lines:
            if isinstance(line, Leave):
                stack = self._write_back(line)
                statements = [stack, line.statement] if stack else [line.statement]
                body += [" " * line.indent + statement for statement in statements]
            else:
                body.append(" " * line[0] + line[1])
        return body

    def _write_back(self, leave: Leave) -> str:
        """The statement that brings the stack up to date; empty if it is."""
        pulled = len(self._entries) if self._changed else leave.pulled
        words = [f"s{depth}" for depth in reversed(range(leave.pulled, pulled))]
        words += leave.words
        kept = 0
        for depth, word in zip(reversed(range(pulled)), words, strict=False):
            if word != f"s{depth}" or depth in self._changed:
                break
            kept += 1
        replaced, words = pulled - kept, words[kept:]
        if not words:
            return f"del stack[-{replaced}:]" if replaced else ""
        if len(words) == 1 and replaced <= 1:
            return f"stack[-1] = {words[0]}" if replaced else f"stack.append({words[0]})"
        values = "".join(f"{word}, " for word in words).rstrip()
        return f"stack[-{replaced}:] = ({values})" if replaced else f"stack += ({values})"
