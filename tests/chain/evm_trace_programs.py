"""Random programs full of what a transpiler may get wrong."""

import random
from collections.abc import Callable

from genesis.forks import Fork
from tests.chain.evm_assembler import Assembler

CALLER, CONTRACT, OTHER = (bytes([number]) * 20 for number in (0xAA, 0xCC, 0xDD))
WORDS = (
    0, 1, 2, 3, 5, 31, 32, 33, 64, 95, 96, 127, 128, 160, 255, 256, 1 << 32, 1 << 42, 1 << 64,
    1 << 128, 1 << 160, (1 << 160) - 1, 1 << 255, (1 << 255) - 1, (1 << 256) - 1, (1 << 256) - 2,
    (1 << 256) - 32, (1 << 256) - 64, (1 << 255) + 1, (1 << 248) - 1,
)  # fmt: skip
OFFSETS = (0, 1, 31, 32, 33, 63, 64, 65, 95, 96, 97, 127, 128, 160, 256, 300)
BINARY = bytes.fromhex("01020304050607 0b 1011121314 161718 1a1b1c1d")
READS = bytes.fromhex("30 32 33 34 36 38 3a 3d 41 42 43 44 45 46 47 48 4a 58 59 5a")
RUNS = ((0x31, 1, 1), (0x3B, 1, 1), (0x3F, 1, 1), (0x40, 1, 1), (0x54, 1, 1), (0x55, 2, 0),
        (0x5C, 1, 1), (0x5D, 2, 0), (0x1E, 1, 1), (0x37, 3, 0), (0x39, 3, 0), 
        (0x5E, 3, 0), (0xA0, 2, 0), (0xA1, 3, 0), (0xA2, 4, 0))  # fmt: skip
PANIC = "panic"


class Writer(Assembler):
    """Writes one program for one fork."""

    def __init__(self, rnd: random.Random, fork: Fork) -> None:
        super().__init__(rnd, fork)
        self.functions: list[str] = []
        self.left = rnd.choice((3, 6, 12, 30))
        self.depth = 0

    def code(self) -> bytes:
        if self.rnd.random() < 0.4:  # as solc begins
            self.push(128)
            self.mstore(64)
            self.hidden(self.rnd.choice((128, 128, 96, 96, 160, 70)))
            self.mstore(64)
        for _ in range(self.rnd.randrange(7)):
            self.word()
        while self.left > 0:
            self.statement()
        self.ending()
        for name in self.functions:
            self.items += [name + ":"]
            self.depth = self.height = 2
            self.floor = 1
            for _ in range(self.rnd.randrange(3)):
                self.statement()
            self.settle(2)
            self.floor = 0
            self.ops(0x90)  # the return address is below the argument
            self.ops(0x56)
        self.items += [PANIC + ":"]
        self.mstore(0)
        self.push(self.rnd.choice((0, 36)))
        self.push(0)
        self.ops(self.rnd.choice((0xFD, 0xFD, 0xF3)))
        return self.mutated()

    def settle(self, height: int) -> None:
        """Leave as many words as another way to this point does."""
        while self.height != height and self.rnd.random() > 0.001:
            if self.height > height:
                self.ops(0x50)
            else:
                self.word()

    def statement(self) -> None:
        self.left -= 1
        choices: tuple[tuple[Callable[[], None], int], ...] = (
            (self.calculation, 8), (self.word, 3), (self.checked, 6), (self.memory, 7),
            (self.branch, 4), (self.loop, 3), (self.call_function, 3), (self.run, 3),
            (self.shuffle, 5), (self.call, 1), (self.bounded, 3),
            (self.pile, 1), (self.pointer, 3),
        )  # fmt: skip
        actions, weights = zip(*choices, strict=True)
        self.rnd.choices(actions, weights)[0]()
        if self.rnd.random() < 0.005:
            self.rarity()

    def word(self) -> None:
        kind = self.rnd.randrange(14)
        if kind > 11:
            self.hidden(self.rnd.choice(WORDS))
        elif kind < 4:
            self.push(self.rnd.choice(WORDS))
        elif kind < 6:
            self.push(self.rnd.getrandbits(self.rnd.choice((4, 4, 8, 16, 64, 160, 256))))
        elif kind < 9:
            self.ops(0x80 + self.rnd.randrange(self.rnd.choice((2, 4, 16))))
        elif kind == 9:
            self.push(self.rnd.choice((0, 4, 32, 36, 1 << 255)))
            self.ops(0x35)
        elif kind == 10:
            self.offset()
            self.ops(0x51)
        else:
            self.ops(self.rnd.choice(READS))

    def hidden(self, number: int) -> None:
        """A constant that is known only when it runs: or'ed with calldata far outside."""
        self.push(number)
        self.push(1 << 255)
        self.ops(0x35, 0x17)

    def calculation(self) -> None:
        for _ in range(self.rnd.randrange(1, 4)):
            if self.rnd.random() < 0.5:
                self.word()
        kind = self.rnd.random()
        if kind < 0.75:
            self.ops(self.rnd.choice(BINARY))
        elif kind < 0.9:
            self.ops(*self.rnd.choice(((0x15,), (0x19,), (0x15, 0x15), (0x15, 0x15, 0x15))))
        else:
            self.word()
            self.ops(self.rnd.choice((0x08, 0x09, 0x0A)))

    def checked(self) -> None:
        """What solc writes for checked arithmetic, and things like it."""
        self.word()
        self.word()
        form = self.rnd.randrange(5)
        if form == 0:  # x + y, panic if a summand is larger
            self.ops(0x81, 0x81, 0x01, self.rnd.choice((0x81, 0x82)), 0x81)
            self.ops(self.rnd.choice((0x10, 0x11)))
        elif form == 1:  # x - y
            self.ops(0x81, 0x81, 0x03, self.rnd.choice((0x81, 0x82)), 0x81)
            self.ops(self.rnd.choice((0x10, 0x11)))
        elif form in (2, 3):  # x * y, panic unless x == 0 or x * y / x == y
            divisor, factor, zero = self.rnd.choice(((0x83, 0x83, 0x82), (0x82, 0x84, 0x81)))
            if self.rnd.random() < 0.3:
                zero = self.rnd.randrange(0x80, 0x86)
            if self.rnd.random() < 0.1:
                divisor, factor = (self.rnd.randrange(0x80, 0x86) for _ in range(2))
            self.ops(0x81, 0x81, 0x02, zero, 0x15, divisor, 0x82, 0x04, factor, 0x14)
            self.ops(self.rnd.choice((0x17, 0x17, 0x16, 0x50)), 0x15)
        else:  # decrement, panic at zero
            self.ops(0x80, 0x15)
            self.push((1 << 256) - self.rnd.randrange(1, 3))
            self.ops(0x82, 0x01, 0x90)
        for _ in range(self.rnd.randrange(2)):  # something between check and branch
            self.ops(*self.rnd.choice(((0x90, 0x80, 0x51, 0x50, 0x90), (0x15,), (0x15, 0x15))))
        if self.rnd.random() < 0.8:
            label = PANIC if self.rnd.random() < 0.15 else self.label()
            self.push_label(label)
            self.ops(0x57)
            if label != PANIC:
                height = self.height
                self.ops(*self.rnd.choice(((0x80, 0x01), (0x80, 0x15, 0x01), (0x80, 0x50))))
                self.settle(height)
                self.items.append(label + ":")
        self.ops(self.rnd.choice((0x01, 0x03, 0x50)))

    def bounded(self) -> None:
        """Words with known ranges."""
        self.word()
        self.push(self.rnd.choice((1, 255, (1 << 160) - 1, (1 << 256) - 1, 6)))
        self.ops(self.rnd.choice((0x16, 0x06, 0x10, 0x04, 0x0B, 0x1C)))
        self.push(self.rnd.choice((0, 1, 2, 5, 31, 96, 200, 255, 256)))
        self.ops(self.rnd.choice((0x1B, 0x1C, 0x1D, 0x01, 0x03, 0x1A, 0x0B, 0x02)))

    def offset(self) -> None:
        if self.rnd.random() < 0.5:
            self.push(self.rnd.choice(OFFSETS))
            return
        self.word()
        kind = self.rnd.random()
        if kind < 0.9:
            self.push(self.rnd.choice((31, 255, 224)))
            self.ops(0x16)
        elif kind < 0.98:  # -1, known only when it runs
            self.ops(0x50)
            self.push(1 << 255)
            self.ops(0x35, 0x19)
            self.push(self.rnd.choice(OFFSETS[1:]))
            self.ops(0x01)
        if self.rnd.random() < 0.5:
            self.push(self.rnd.choice((*OFFSETS, *OFFSETS, (1 << 256) - 32)))
            self.ops(0x01)

    def mstore(self, offset: int) -> None:
        self.push(offset)
        self.ops(0x52)

    def memory(self) -> None:
        kind = self.rnd.randrange(10)
        if kind > 7:  # a load, a store that may change it, the load again
            load, store = self.rnd.choice(OFFSETS), self.rnd.choice(OFFSETS)
            self.push(load)
            self.ops(0x51)
            if self.rnd.random() < 0.3:
                self.push(self.rnd.choice((1, 32, 40)))
                self.push(0)
                self.push(store)
                self.ops(self.rnd.choice((0x37, 0x39)))
            else:
                self.word()
                self.push(store)
                self.ops(self.rnd.choice((0x52, 0x53)))
            self.push(load)
            self.ops(0x51, self.rnd.choice((0x18, 0x90)))
        elif kind < 3:
            self.word()
            self.offset()
            self.ops(self.rnd.choice((0x52, 0x52, 0x53)))
        elif kind < 5:
            self.offset()
            self.ops(
                *self.rnd.choice(((0x51,), (0x80, 0x51, 0x90, 0x51), (0x80, 0x51, 0x81, 0x52)))
            )
        elif kind == 5:
            self.pointer()
        elif kind == 6:
            self.push(self.rnd.choice((0, 1, 31, 32, 33, 64, 136, 200)))
            self.offset()
            self.ops(0x20)
        else:  # slots of mappings: the same, or of something else
            for place in (32, 0, 0, 32):
                self.ops(self.rnd.choice((0x33, 0x34)))
                self.mstore(place)
                self.push(64)
                self.items.append(bytes.fromhex("600020"))
            self.ops(0x03, 0x18, 0x01)

    def pointer(self) -> None:
        """Loads and stores through the word at 64, and beside it; sometimes it moves."""
        self.push(64)
        self.ops(0x51)
        distance = self.rnd.choice((0, 0, 1, 31, 32, 64))
        for _ in range(self.rnd.randrange(1, 6)):
            kind = self.rnd.randrange(4)
            if kind < 2:  # at the pointer; what is loaded counts
                self.word()
                self.ops(0x81)
                self.push(distance if self.rnd.random() < 0.8 else 32)
                self.ops(0x01, *((0x52,) if kind else (0x51, 0x18)))
                if not kind:
                    self.push(0)
                    self.ops(0x51, 0x18)
                    self.mstore(0)
            elif kind == 2:  # at a constant offset
                self.word()
                self.mstore(self.rnd.choice((64, 65, 95, 96, 97, 100, 127, 128, 129, 160)))
            else:
                self.push(self.rnd.choice((64, 95, 96, 120, 128, 129)))
                self.ops(0x51)
        self.ops(0x90)
        self.push(self.rnd.choice((0, 31, 32, 64)))
        self.ops(0x01)
        if self.rnd.random() < 0.5:
            self.mstore(64)

    def pile(self) -> None:
        """A loop that leaves a word each time."""
        head, count, height = self.label(), self.rnd.randrange(1, 5), self.height
        self.push(count)
        self.items.append(head + ":")
        self.ops(0x80)
        self.push(1)
        self.ops(0x90, 0x03, 0x80)
        self.push_label(head)
        self.ops(0x57)
        self.height = height + 1 + count
        self.ops(*[0x01] * self.rnd.randrange(count + 1))

    def run(self) -> None:
        value, pops, _ = self.rnd.choice(RUNS)
        for _ in range(pops):
            if self.rnd.random() < 0.1:
                self.word()
            else:
                self.push(self.rnd.choice((0, 1, 2, 7, 32, 40)))
        self.ops(value)

    def shuffle(self) -> None:
        self.ops(*self.rnd.choices(bytes.fromhex("8081829091925050 5b"), k=2))

    def branch(self) -> None:
        self.depth += 1
        join = self.label()
        self.calculation()
        self.push_label(join)
        self.ops(0x57)
        height = self.height
        for _ in range(self.rnd.randrange(3) if self.depth < 4 else 0):
            self.statement()
        if self.rnd.random() < 0.1:
            self.ending()
        self.settle(height)
        self.items.append(join + ":")
        self.depth -= 1

    def loop(self) -> None:
        if self.depth > 2:
            return
        self.depth += 1
        head, end = self.label(), self.label()
        top_tested, adds = self.rnd.random() < 0.6, self.rnd.random() < 0.5
        if adds:
            self.word()
        self.push(self.rnd.randrange(1, 6) if top_tested else 0)
        self.push(0 if top_tested else self.rnd.randrange(1, 6))
        self.items.append(head + ":")
        height = self.height
        if top_tested:  # for (i = 0; i < n; i++)
            self.ops(0x81, 0x81, 0x10, 0x15)
            self.push_label(end)
            self.ops(0x57)
        floor, self.floor = self.floor, height
        for _ in range(self.rnd.randrange(1, 4)):
            self.ops(0x81, 0x81)
            self.statement()
            if self.rnd.random() < 0.8:
                self.mstore(self.rnd.choice(OFFSETS))
                self.ops(0x50)
        self.settle(height)
        self.floor = floor
        if adds:  # to the word below the counters
            self.word()
            self.ops(0x83, self.rnd.choice((0x01, 0x18, 0x03)), 0x92, 0x50)
        self.push(1)
        if top_tested:
            self.ops(0x01)
            self.push_label(head)
            self.ops(0x56)
        else:  # count down to zero
            self.ops(0x90, 0x03, 0x80)
            self.push_label(head)
            self.ops(0x57)
        self.items.append(end + ":")
        self.depth -= 1

    def call_function(self) -> None:
        if self.floor == 1 and self.rnd.random() < 0.9:
            return  # recursion has no end
        back = self.label()
        if not self.functions or (self.rnd.random() < 0.3 and self.depth == 0):
            self.functions.append(self.label())
        self.push_label(back)
        height = self.height
        self.word()
        self.push_label(self.rnd.choice(self.functions))
        self.ops(0x56)
        self.items.append(back + ":")
        self.height = height  # the function's result took the place of the address

    def call(self) -> None:
        for number in (32, self.rnd.choice((0, 32, 200)), 4, self.rnd.choice((0, 64))):
            self.push(number)
        kind = self.rnd.choice((0xF1, 0xF2, 0xF4, 0xFA))
        if kind in (0xF1, 0xF2):
            self.push(self.rnd.choice((0, 0, 1)))
        target = self.rnd.choice((OTHER, OTHER, CONTRACT, CALLER, b"\5"))
        self.push(int.from_bytes(target, "big"))
        if target == CONTRACT or self.rnd.random() < 0.5:
            self.push(3000)
        else:
            self.ops(0x5A)
        self.ops(kind)

    def rarity(self) -> None:
        kind = self.rnd.randrange(6)
        if kind == 0:
            self.ops(*[0x50] * self.rnd.randrange(12))
        elif kind == 1:
            self.ops(*[0x80] * self.rnd.choice((30, 500, 1000)))
        elif kind == 2:  # until the stack is full
            head = self.label()
            self.items.append(head + ":")
            self.ops(0x58, 0x36)
            self.push_label(head)
            self.ops(0x57)
        elif kind < 5:
            self.word()
            self.ops(self.rnd.choice((0x56, 0x57, 0xFE, 0x5F, 0x0C)))
        else:
            self.ops(0x80 + self.rnd.randrange(16), 0x90 + self.rnd.randrange(16))

    def ending(self) -> None:
        height = self.height
        self.end_somehow()
        self.height = height

    def end_somehow(self) -> None:
        kind = self.rnd.randrange(6)
        if kind < 3:
            if self.rnd.random() < 0.4:
                self.mstore(0)
                self.mstore(32)
            self.push(self.rnd.choice((0, 64, 96, 350, 350)))
            self.push(self.rnd.choice((0, 0, 5)))
            self.ops(self.rnd.choice((0xF3, 0xF3, 0xFD)))
        elif kind == 3:
            self.push(0)
            self.ops(0xFF)
        elif kind == 4:
            self.ops(0x00)
