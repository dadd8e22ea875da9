"""Random programs that mostly run: stacks that hold, loops that end, calls that find somebody.

A program is a list of statements, each a tuple of assembly items that leaves the stack as it found
it or a little higher; ``flat`` makes the item list. Statements are what ``shrink`` takes away.
"""

import random
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from genesis.forks import Fork
from tests.differential.assembly import (
    CALCULATIONS,
    NEWER,
    READINGS,
    Item,
    Label,
    Opcode,
    Target,
    push,
)
from tests.differential.precompile_inputs import precompile_call

Statement: TypeAlias = tuple[Item, ...]
Statements: TypeAlias = list[Statement]

WORDS: Final = (
    0, 1, 2, 3, 5, 7, 8, 31, 32, 33, 64, 96, 255, 256, 1 << 32, (1 << 63) - 1, 1 << 64,
    1 << 128, (1 << 160) - 1, 1 << 255, (1 << 255) - 1, (1 << 256) - 1, (1 << 256) - 2,
    (1 << 256) - 32,
)  # fmt: skip
_CALL, _CALLCODE, _DELEGATECALL, _STATICCALL = 0xF1, 0xF2, 0xF4, 0xFA


def flat(statements: Sequence[Statement]) -> list[Item]:
    """All items in order."""
    return [item for statement in statements for item in statement]


class Writer:
    """Writes one program for one fork.

    Args:
        rnd: source of every choice.
        fork: rules that it is meant for; opcodes of later forks appear, rarely.
        others: addresses that are worth calling.
    """

    def __init__(self, rnd: random.Random, fork: Fork, others: Sequence[bytes]) -> None:
        self.rnd, self.fork, self.others = rnd, fork, others
        self.statements: Statements = []
        self.height = 0  # words that earlier statements left
        self.is_inner = False  # inside loops, branches and functions no word may be left
        self._labels = 0
        self._calculations = [op for op in CALCULATIONS if self.knows(op.code)]
        self._readings = [op for op in READINGS if self.knows(op.code)]

    def knows(self, code: int) -> bool:
        """Whether the fork has an opcode, or it shall be tried all the same."""
        return self.fork >= NEWER.get(code, Fork.FRONTIER) or self.rnd.random() < 0.004

    def write(self, count: int, nesting: int = 0) -> None:
        """Add about ``count`` statements."""
        for _ in range(count):
            kinds, weights = zip(*_WEIGHTS.items(), strict=True)
            kind = self.rnd.choices(kinds, weights)[0]
            if kind in (_branch, _loop, _function) and nesting > 1:
                kind = _calculate
            if kind in (_branch, _loop, _function):
                before = self.height, self.is_inner
                self.height, self.is_inner = 0, True
                kind(self, nesting)
                self.height, self.is_inner = before
            else:
                kind(self, nesting)

    def add(self, *items: Item) -> None:
        """Add one statement."""
        self.statements.append(items)

    def label(self) -> int:
        """A new label's number."""
        self._labels += 1
        return self._labels

    def word(self) -> int:
        """A word worth trying."""
        rnd = self.rnd
        choices: list[Callable[[], int]] = [
            lambda: rnd.choice(WORDS),
            lambda: rnd.randrange(16),
            lambda: rnd.getrandbits(rnd.choice([8, 16, 64, 160, 256])),
            lambda: (1 << rnd.randrange(256)) - rnd.randrange(2),
            lambda: int.from_bytes(self.address(), "big"),
        ]
        return rnd.choices(choices, [4, 4, 2, 2, 1])[0]()

    def address(self) -> bytes:
        """An account worth looking at."""
        if self.rnd.random() < 0.04:
            return self.rnd.randbytes(20)
        return self.rnd.choice(self.others)

    def offset(self) -> int:
        """A place in memory, hardly ever far away."""
        if self.rnd.random() < 0.01:
            return self.rnd.choice([1 << 16, 1 << 32, 1 << 64, (1 << 256) - 1])
        return self.rnd.choice([0, 0, 1, 31, 32, 64, self.rnd.randrange(200)])

    def size(self) -> int:
        """A length in bytes, hardly ever large."""
        draw = self.rnd.random()
        if draw < 0.01:
            return self.rnd.choice([1 << 16, 1 << 32, 1 << 64, (1 << 256) - 1])
        if draw < 0.04:
            return self.rnd.choice([1_024, 1_025, 4_096, 4_128, 6_000, self.rnd.randrange(20_000)])
        return self.rnd.choice([0, 1, 4, 32, 33, 64, self.rnd.randrange(130)])

    def slot(self) -> int:
        """A storage slot; few, so that they meet."""
        return self.rnd.choice([0, 0, 1, 1, 2, 3, (1 << 256) - 1])

    def operand(self) -> bytes:
        """Code that pushes one word."""
        if self.rnd.random() < 0.2:
            return bytes((self.rnd.choice(self._readings).code,))
        return push(self.word())

    def call_gas(self) -> bytes:
        """Code that pushes gas for a call."""
        choices = [push(0), push(700), push(2_300), push(9_000), push(60_000), b"\x5a"]
        if self.fork >= Fork.TANGERINE_WHISTLE:
            choices += [push(1 << 40), push((1 << 256) - 1), b"\x5a", b"\x5a"]
        return self.rnd.choice(choices)


def _calculate(writer: Writer, _: int) -> None:
    opcode: Opcode = writer.rnd.choice(writer._calculations)
    own = writer.rnd.randrange(opcode.pops + 1) if writer.height >= opcode.pops else opcode.pops
    code = b"".join(writer.operand() for _ in range(own)) + bytes((opcode.code,))
    _keep(writer, code, 1 - (opcode.pops - own))


def _keep(writer: Writer, code: bytes, gained: int) -> None:
    """Use the word on top: leave it, drop it, or write it down; ``gained`` words were added."""
    draw = writer.rnd.random()
    if draw < 0.25 and writer.height < 1_000 and not writer.is_inner:
        writer.height += gained
        writer.add(code)
        return
    uses = [b"\x50", push(writer.slot()) + b"\x55", push(writer.offset()) + b"\x52"]
    writer.add(code, writer.rnd.choices(uses, [1, 2, 2])[0])
    writer.height = max(writer.height + gained - 1, 0)


def _shuffle(writer: Writer, _: int) -> None:
    if writer.is_inner:
        writer.add(writer.operand(), writer.operand(), b"\x80\x91\x50\x50\x50")
        return
    if writer.height < 2:
        writer.add(writer.operand(), writer.operand())
        writer.height += 2
        return
    deepest = min(writer.height, 17)
    at = writer.rnd.randrange(deepest) if writer.rnd.random() < 0.98 else 15
    if writer.rnd.random() < 0.5 and at < 16:
        writer.add(bytes((0x80 + at,)))
        writer.height += 1
    else:
        writer.add(bytes((0x8F + max(at, 1),)))


def _deep(writer: Writer, _: int) -> None:
    """DUPn and SWAPn far down, on words of their own."""
    depth = writer.rnd.randrange(2, 18)
    words = [writer.operand() for _ in range(depth)]
    moves = []
    for _ in range(writer.rnd.randrange(1, 4)):
        moves.append(bytes((0x80 + writer.rnd.randrange(min(depth, 16)),)))
        moves.append(bytes((0x90 + writer.rnd.randrange(min(depth, 16)),)))
    left = depth + len(moves) // 2
    uses = push(writer.slot()) + b"\x55" + push(writer.slot()) + b"\x55"
    writer.add(*words, *moves, uses, b"\x50" * (left - 2))


def _read(writer: Writer, _: int) -> None:
    address = push(writer.address())
    choices = [
        bytes((writer.rnd.choice(writer._readings).code,)),
        address + b"\x31",
        push(writer.offset()) + b"\x35",
        address + b"\x3b",
        push(writer.rnd.choice([0, 1, 2, 3, 300, 1 << 64])) + b"\x40",
        push(writer.offset()) + b"\x51",
        push(writer.slot()) + b"\x54",
        push(writer.size()) + push(writer.offset()) + b"\x20",
    ]
    if writer.knows(0x3F):
        choices.append(address + b"\x3f")
    if writer.knows(0x49):
        choices.append(push(writer.rnd.choice([0, 1, 2, 7, 1 << 64])) + b"\x49")
    if writer.knows(0x5C):
        choices.append(push(writer.slot()) + b"\x5c")
    _keep(writer, writer.rnd.choice(choices), 1)


def _store(writer: Writer, _: int) -> None:
    choices = [writer.operand() + push(writer.slot()) + b"\x55"] * 3
    choices += [push(writer.rnd.choice([0, 0, 1, 5])) + push(writer.slot()) + b"\x55"] * 3
    choices += [
        writer.operand() + push(writer.offset()) + bytes((writer.rnd.choice([0x52, 0x53]),))
    ]
    if writer.knows(0x5D):
        choices += [writer.operand() + push(writer.slot()) + b"\x5d"] * 2
    writer.add(writer.rnd.choice(choices))


def _copy(writer: Writer, _: int) -> None:
    arguments = push(writer.size()) + push(writer.offset()) + push(writer.offset())
    choices = [arguments + b"\x37", arguments + b"\x39"]
    choices += [arguments + push(writer.address()) + b"\x3c"]
    if writer.knows(0x3E):
        fitting = b"\x3d" + push(0) + push(writer.offset()) + b"\x3e"
        choices += [fitting, fitting, fitting, arguments + b"\x3e"]
    if writer.knows(0x5E):
        choices.append(arguments + b"\x5e")
    writer.add(writer.rnd.choice(choices))


def _log(writer: Writer, _: int) -> None:
    topics = writer.rnd.randrange(5)
    code = b"".join(writer.operand() for _ in range(topics))
    writer.add(code + push(writer.size()) + push(writer.offset()) + bytes((0xA0 + topics,)))


def _call(writer: Writer, _: int) -> None:
    kinds = [_CALL, _CALL, _CALL, _CALLCODE]
    kinds += [code for code in (_DELEGATECALL, _DELEGATECALL, _STATICCALL) if writer.knows(code)]
    code = writer.rnd.choice(kinds)
    buffers = b"".join(
        push(number) for number in (writer.size(), writer.offset(), writer.size(), writer.offset())
    )
    value = b""
    if code in (_CALL, _CALLCODE):
        value = push(writer.rnd.choice([0, 0, 0, 1, 2, 1 << 100]))
    called = buffers + value + push(writer.address()) + writer.call_gas() + bytes((code,))
    _keep(writer, called, 1)
    _keep_return_data(writer)
    if writer.rnd.random() < 0.3:
        writer.add(push(0) + b"\x51" + push(writer.slot()) + b"\x55")


def _call_precompile(writer: Writer, _: int) -> None:
    code = writer.rnd.choice([_CALL, _CALL, _STATICCALL if writer.knows(_STATICCALL) else _CALL])
    address, data = precompile_call(writer.rnd, writer.fork)
    stores = []
    for at in range(0, len(data), 32):
        stores.append(push(data[at : at + 32].ljust(32, b"\0")) + push(at) + b"\x52")
    value = push(writer.rnd.choice([0, 0, 0, 1])) if code == _CALL else b""
    where = push(writer.rnd.choice([32, 64, 128])) + push(0) + push(len(data)) + push(0)
    gas = writer.rnd.choice([push(5_000), push(40_000), push(200_000), b"\x5a"])
    called = where + value + push(address) + gas + bytes((code,))
    _keep(writer, b"".join(stores) + called, 1)


def _create(writer: Writer, nesting: int) -> None:
    rnd = writer.rnd
    child = Writer(rnd, writer.fork, writer.others)
    child.write(rnd.randrange(3), nesting=2)
    runtime = b"".join([item for item in flat(child.statements) if isinstance(item, bytes)])
    body = runtime if rnd.random() < 0.5 else b""
    ends = [b"", push(0) + push(0) + b"\xf3", push(rnd.randrange(40)) + push(0) + b"\xf3"]
    ends += [push(7) + push(0) + b"\xfd", b"\xfe", push(writer.address()) + b"\xff"]
    ends += [push(0xEF) + push(0) + b"\x53" + push(1) + push(0) + b"\xf3"]
    ends += [push(rnd.choice([600, 24_576, 24_577])) + push(0) + b"\xf3"]  # dear to store
    init = (body + rnd.choice(ends))[:96]
    stores = []
    for at in range(0, len(init), 32):
        stores.append(push(init[at : at + 32].ljust(32, b"\0")) + push(at) + b"\x52")
    size, value = push(len(init)), push(rnd.choice([0, 0, 1, 1 << 100]))
    if rnd.random() < 0.03:
        size = push(rnd.choice([49_152, 49_153, 1 << 64]))
    called = size + push(0) + value + b"\xf0"
    if writer.knows(0xF5) and rnd.random() < 0.5:
        called = push(rnd.randrange(2)) + size + push(0) + value + b"\xf5"
    _keep(writer, b"".join(stores) + called, 1)
    _keep_return_data(writer)


def _keep_return_data(writer: Writer) -> None:
    """Write down how long the return data is, sometimes."""
    if writer.knows(0x3D) and writer.rnd.random() < 0.5:
        writer.add(b"\x3d" + push(writer.slot()) + b"\x55")


def _call_created(writer: Writer, _: int) -> None:
    """Create and call what was created, in one transaction."""
    destroy = push(writer.address()) + b"\xff"
    runtime = writer.rnd.choice([b"\x33\xff", destroy, push(1) + push(0) + b"\x55", b"\x30\xff"])
    returned = push(len(runtime)) + push(32 - len(runtime)) + b"\xf3"
    init = push(runtime) + push(0) + b"\x52" + returned
    store = push(init.ljust(32, b"\0")[:32]) + push(0) + b"\x52" if len(init) <= 32 else b""
    made = store + push(len(init)) + push(0) + push(writer.rnd.choice([0, 1])) + b"\xf0"
    buffers = push(0) + push(0) + push(0) + push(0) + push(writer.rnd.choice([0, 1]))
    # the created address lies below the five words: DUP6
    _keep(writer, made + buffers + b"\x85" + writer.call_gas() + b"\xf1", 2)


def _branch(writer: Writer, nesting: int) -> None:
    end = writer.label()
    condition = writer.operand()
    if writer.rnd.random() < 0.3:
        condition = push(writer.slot()) + b"\x54"
    writer.add(condition, Target(end), b"\x57")
    writer.write(writer.rnd.randrange(1, 4), nesting + 1)
    writer.add(Label(end))


def _loop(writer: Writer, nesting: int) -> None:
    start = writer.label()
    writer.add(push(writer.rnd.choice([2, 3, 5, 12])), Label(start))
    writer.write(writer.rnd.randrange(1, 3), nesting + 2)
    writer.add(b"\x60\x01\x90\x03\x80", Target(start), b"\x57\x50")


def _function(writer: Writer, nesting: int) -> None:
    """A subroutine in the manner of solc: the way back lies on the stack."""
    back, entry, end = writer.label(), writer.label(), writer.label()
    writer.add(Target(back), Target(entry), b"\x56")
    writer.add(Label(entry))
    writer.write(writer.rnd.randrange(1, 3), nesting + 2)
    writer.add(b"\x56")
    writer.add(Label(back))
    writer.add(Target(end), b"\x56", Label(end))


def _end(writer: Writer, _: int) -> None:
    size, offset = push(writer.size()), push(writer.offset())
    whole = b"\x59" + push(0)  # all of the memory, so that every byte of it is compared
    ends = [b"\x00", size + offset + b"\xf3", whole + b"\xf3", whole + b"\xf3"] * 2 + [b"\xfe"]
    ends += [push(writer.address()) + b"\xff"] * 2 + [b"\x30\xff"]
    if writer.rnd.random() < 0.5:
        writer.add(writer.operand() + push(0) + b"\x52")
    if writer.knows(0xFD):
        ends += [size + offset + b"\xfd", whole + b"\xfd"]
    writer.add(writer.rnd.choice(ends))


def _mischief(writer: Writer, _: int) -> None:
    rnd = writer.rnd
    start = writer.label()
    choices: list[Statement] = [
        (bytes((rnd.randrange(256),)),),
        (b"\x50" * 3,),
        (push(rnd.randrange(60)), b"\x56"),
        (b"\x60\x5b",),  # a JUMPDEST inside push data
        (Target(start), b"\x60\x01\x01\x56\x60", Label(start)),
        (Label(start), b"\x60\x00", Target(start), b"\x56"),
        (rnd.randbytes(rnd.randrange(1, 9)),),
        (b"\x7f" + rnd.randbytes(rnd.randrange(3)),),  # push data that the code's end cuts off
        (push(1 << 64), b"\x56"),
    ]
    writer.add(*rnd.choice(choices))


_WEIGHTS: Final[dict[Callable[[Writer, int], None], float]] = {
    _calculate: 24,
    _shuffle: 5,
    _deep: 1,
    _read: 14,
    _store: 16,
    _copy: 6,
    _log: 4,
    _call: 9,
    _call_precompile: 3,
    _create: 4,
    _call_created: 1,
    _branch: 5,
    _loop: 3,
    _function: 2,
    _end: 1.5,
    _mischief: 0.8,
}


def random_program(rnd: random.Random, fork: Fork, others: Sequence[bytes]) -> Statements:
    """A program of a few to a few dozen statements that ends in one way or another."""
    writer = Writer(rnd, fork, others)
    if rnd.random() < 0.02:
        return [(rnd.randbytes(rnd.randrange(1, 80)),)]
    writer.write(rnd.choice([2, 4, 8, 8, 16, 30]))
    if writer.height and rnd.random() < 0.7:
        writer.add(push(writer.slot()) + b"\x55")
    _end(writer, 0)
    return writer.statements
