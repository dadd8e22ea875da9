"""Programs as bytes and labels, with an account of the stack's height."""

import random

from chain.evm.operations import operations_of
from genesis.forks import Fork

_LATEST = operations_of(Fork.OSAKA)


class Assembler:
    """Collects one program.

    Attributes:
        rnd: source of every choice.
        items: bytes, or labels to mark ("x:") or to push ("x").
        height: words on the stack here, if the code gets here.
        floor: words that opcodes shall leave alone.
    """

    def __init__(self, rnd: random.Random, fork: Fork) -> None:
        self.rnd = rnd
        self.items: list[bytes | str] = []
        self.height = self.floor = self.labels = 0
        self._operations = operations_of(fork)

    def ops(self, *values: int) -> None:
        """Add opcodes, with words for them to take where there are none."""
        for value in values:
            operation = _LATEST[value]
            if operation is not None:
                if self._operations[value] is None and self.rnd.random() > 0.01:
                    self.ops(*[0x50] * operation.pops)
                    for _ in range(operation.pushes):
                        self.push(self.rnd.choice((0, 1, 32)))
                    continue
                floor = 0 if 0x80 <= value < 0x90 else self.floor
                while self.height - floor < operation.pops and self.rnd.random() > 0.002:
                    self.push(self.rnd.choice((0, 1, 2, 32, 77)))
                self.height += operation.pushes - operation.pops
            self.items.append(bytes([value]))

    def push(self, number: int) -> None:
        """Push a constant."""
        size = max(1, (number.bit_length() + 7) // 8)
        self.items.append(bytes([0x5F + size]) + number.to_bytes(size, "big"))
        self.height += 1

    def push_label(self, label: str) -> None:
        """Push the place of a label."""
        self.items.append(label)
        self.height += 1

    def label(self) -> str:
        """A new one."""
        self.labels += 1
        return f"l{self.labels}"

    def mutated(self) -> bytes:
        """The code, sometimes with bytes changed or lost."""
        changed = bytearray(assemble(self.items))
        while changed and self.rnd.random() < 0.05:
            position = self.rnd.randrange(len(changed))
            if self.rnd.random() < 0.5:
                changed[position] = self.rnd.randrange(256)
            else:
                del changed[position]
        return bytes(changed)


def assemble(items: list[bytes | str]) -> bytes:
    """Code of items in order: bytes, "x:" a JUMPDEST with a name, "x" a PUSH2 of its place."""
    code, places, pushes = bytearray(), {}, []
    for item in items:
        if isinstance(item, bytes):
            code += item
        elif item.endswith(":"):
            places[item[:-1]] = len(code)
            code.append(0x5B)
        else:
            pushes.append((len(code) + 1, item))
            code += b"\x61\0\0"
    for position, label in pushes:
        code[position : position + 2] = places.get(label, 0).to_bytes(2, "big")
    return bytes(code)
