"""Random EVM programs that get somewhere: pushed operands, small offsets, calls, loops."""

import random

from chain.evm.operations import operations_of
from genesis.forks import Fork
from tests.chain.evm_message_twin import CONTRACT, SENDER, Account

RETURNS, REVERTS, STORES, BURNS, DIES, DEEP, LOGS = (bytes([n]) * 20 for n in range(0xE1, 0xE8))
DELEGATED, NOBODY = b"\xee" * 20, b"\xdd" * 20
WORDS = (0, 1, 2, 31, 32, 33, 255, 256, 1 << 255, (1 << 256) - 1, 1 << 128, 1 << 64, 0x1000)


def push(value: int) -> bytes:
    """The shortest PUSH, at least of one byte."""
    data = value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")
    return bytes([0x5F + len(data)]) + data


def code(*parts: int | bytes) -> bytes:
    """Opcodes as ints, anything else as bytes."""
    return b"".join(bytes([part]) if isinstance(part, int) else part for part in parts)


def call(opcode: int, gas: int, to: bytes, value: int = 0, size: int = 32, out: int = 32) -> bytes:
    """A call with ``size`` bytes of calldata at 0 and room for ``out`` bytes at 64."""
    amount = push(value) if opcode in (0xF1, 0xF2) else b""
    target = push(int.from_bytes(to, "big"))
    return code(push(out), push(64), push(size), push(0), amount, target, push(gas), opcode)


def destinations(program: bytes) -> set[int]:
    """Yellow Paper section 9.4.3, word for word."""
    found, pc = set(), 0
    while pc < len(program):
        if program[pc] == 0x5B:
            found.add(pc)
        pc += program[pc] - 0x5F + 1 if 0x60 <= program[pc] <= 0x7F else 1
    return found


def world(program: bytes, fork: Fork) -> dict[bytes, Account]:
    """CONTRACT with the program, and contracts to call."""
    word = push(0)
    callees = {
        RETURNS: code(word, 0x35, push(3), 0x02, word, 0x52, push(64), word, 0xF3),
        REVERTS: code(push(5), push(0), 0x55, word, 0x35, word, 0x52, push(33), word, 0xFD),
        STORES: code(push(0), 0x54, push(1), 0x01, push(0), 0x55, push(0), push(1), 0x55),
        BURNS: code(push(1), push(1), 0x55, 0xFE),
        DIES: code(push(int.from_bytes(NOBODY, "big")), 0xFF),
        DEEP: code(call(0xF1, 50_000, STORES), call(0xF1, 60_000, CONTRACT, 0), 0x00),
        LOGS: code(push(7), push(9), push(32), word, 0xA2, push(1), word, 0x55),
    }
    accounts = {address: Account(1, 1, program) for address, program in callees.items()}
    accounts[STORES] = Account(5, 1, callees[STORES], {0: 7, 1: 1})
    accounts[SENDER] = Account(10**18, 3)
    accounts[CONTRACT] = Account(1000, 1, program, {0: 1, 1: 2})
    if fork >= Fork.PRAGUE:
        accounts[DELEGATED] = Account(0, 1, b"\xef\x01\x00" + STORES)
    return accounts


class Generator:
    """Programs of one fork from one seed."""

    def __init__(self, fork: Fork, seed: int) -> None:
        self.fork = fork
        self.random = random.Random(seed)
        self.operations = operations_of(fork)

    def program(self, length: int) -> bytes:
        """``length`` statements; returns what lies on the stack at its end."""
        body = b"".join(self.statement() for _ in range(length))
        keep = code(push(0x80), 0x52, push(0xA0), 0x52)
        return body + push(11) + push(12) + keep + code(push(0xC0), push(0), 0xF3)

    def statement(self) -> bytes:
        """One statement; leaves at most two words on the stack."""
        kinds = (
            (self.words, 8), (self.environment, 3), (self.memory, 6), (self.storage, 4),
            (self.calls, 5), (self.creation, 1), (self.loop, 1), (self.log, 1), (self.stack, 4),
            (self.account, 2), (self.rare, 1),
        )  # fmt: skip
        return self.random.choices([kind for kind, _ in kinds], [n for _, n in kinds])[0]()

    def word(self) -> bytes:
        """A push of an interesting word."""
        if self.random.random() < 0.5:
            return push(self.random.choice(WORDS))
        return push(self.random.getrandbits(self.random.choice((4, 8, 16, 160, 256))))

    def small(self, limit: int = 70) -> bytes:
        """A push of a small number, rarely of a large one."""
        return self.word() if self.random.random() < 0.003 else push(self.random.randrange(limit))

    def has(self, opcode: int) -> bool:
        """Whether the fork has it."""
        return self.operations[opcode] is not None

    def pick(self, *opcodes: int) -> int:
        """One of those that the fork has."""
        return self.random.choice([opcode for opcode in opcodes if self.has(opcode)])

    def words(self) -> bytes:
        """Arithmetic, comparison, bits."""
        opcode = self.pick(*range(1, 0x0C), *range(0x10, 0x1F))
        operation = self.operations[opcode]
        assert operation is not None
        small = self.small(300) if self.random.random() < 0.3 else self.word()
        return code(*[self.word() for _ in range(operation.pops - 1)], small, opcode)

    def environment(self) -> bytes:
        """Something of the message or the block."""
        simple = (0x30, 0x32, 0x33, 0x34, 0x36, 0x38, 0x3A, 0x3D, *range(0x41, 0x49), 0x4A)
        opcode = self.pick(*simple, 0x35, 0x40, 0x49, 0x58, 0x59, 0x5A)
        if opcode == 0x40:
            return code(push(300 - self.random.choice((-1, 0, 1, 2, 255, 256, 257))), opcode)
        return code(self.small(), opcode) if opcode in (0x35, 0x49) else code(opcode)

    def memory(self) -> bytes:
        """Loads, stores, copies, Keccak."""
        opcode = self.pick(0x20, 0x37, 0x39, 0x3E, 0x51, 0x52, 0x53, 0x5E)
        if opcode == 0x3E:  # beyond the return data is a halt
            return code(push(0), push(0), self.small(), opcode)
        operation = self.operations[opcode]
        assert operation is not None
        return code(*[self.small() for _ in range(operation.pops)], opcode)

    def storage(self) -> bytes:
        """Reads and writes of few slots."""
        opcode = self.pick(0x54, 0x55, 0x55, 0x5C, 0x5D)
        slot = push(self.random.randrange(3))
        if opcode in (0x54, 0x5C):
            return code(slot, opcode)
        return code(push(self.random.randrange(3)), slot, opcode)

    def target(self) -> bytes:
        """Somebody to call."""
        known = (RETURNS, REVERTS, STORES, BURNS, DIES, DEEP, LOGS, DELEGATED, NOBODY, SENDER)
        simple = [bytes(19) + bytes([n]) for n in (1, 2, 3, 4)]
        return self.random.choice([*known, *known, CONTRACT, *simple])

    def calls(self) -> bytes:
        """A call, and what it returned."""
        opcode = self.pick(0xF1, 0xF1, 0xF2, 0xF4, 0xFA)
        limit = 2000 if self.random.random() < 0.2 else 100_000
        gas = self.random.randrange(limit)
        if self.fork >= Fork.TANGERINE_WHISTLE and self.random.random() < 0.1:
            gas = 10**9
        value = self.random.choice((0, 0, 0, 1, 10**6))
        size, out = self.random.randrange(70), self.random.randrange(70)
        got = code(0x3D) if self.has(0x3D) else b""
        return call(opcode, gas, self.target(), value, size, out) + got

    def creation(self) -> bytes:
        """CREATE or CREATE2 of a short initcode."""
        stores = code(push(1), push(0), 0x55)
        dies = code(push(int.from_bytes(NOBODY, "big")), 0xFF)
        returns = code(push(self.random.randrange(40)), push(0), 0xF3)
        fails = code(push(4), push(0), 0xFD)
        ef = code(push(0xEF), push(0), 0x53, push(1), push(0), 0xF3)
        parts = (stores, dies, returns, fails, b"\xfe", ef, b"", stores + returns)
        initcode = self.random.choice(parts)
        store = push(int.from_bytes(initcode.ljust(32, b"\0"), "big")) + code(push(0), 0x52)
        value = push(self.random.choice((0, 0, 1, 10**6)))
        opcode = self.pick(0xF0, 0xF5)
        salt = push(self.random.randrange(2)) if opcode == 0xF5 else b""
        return code(store, salt, push(len(initcode)), push(0), value, opcode)

    def loop(self) -> bytes:
        """A counted loop; PC finds its jump target."""
        turns = push(self.random.randrange(1, 5))
        head = code(turns, 0x58, push(4), 0x01)  # turns, target
        step = code(0x5B, 0x90, push(1), 0x90, 0x03, 0x90)  # turns - 1, target
        return code(head, step, 0x81, 0x81, 0x57, 0x50, 0x50)

    def log(self) -> bytes:
        """LOG0 to LOG4."""
        topics = self.random.randrange(5)
        return code(
            *[self.word() for _ in range(topics)], self.small(), self.small(), 0xA0 + topics
        )

    def stack(self) -> bytes:
        """DUP, SWAP, POP over a few fresh words."""
        count = self.random.randrange(2, 17)
        fresh = b"".join(self.word() for _ in range(count))
        opcode = self.random.choice((0x80 + count - 1, 0x90 + count - 2))
        return fresh + bytes([opcode]) + b"\x50" * (count - 1)

    def account(self) -> bytes:
        """A look at another account."""
        opcode = self.pick(0x31, 0x3B, 0x3C, 0x3F)
        target = push(int.from_bytes(self.target(), "big"))
        if opcode == 0x3C:
            return code(self.small(), self.small(), self.small(), target, opcode)
        return code(target, opcode)

    def rare(self) -> bytes:
        """What ends most programs: junk, underflow, bad jumps, overflow."""
        roll = self.random.random()
        if roll < 0.7:
            return b""
        choices = (
            bytes([self.random.randrange(256)]), code(push(self.random.randrange(200)), 0x56),
            b"\x50" * 20, code(push(32), push(0), 0xF3), b"\x00", b"\x30" * 1024,
            code(push(int.from_bytes(NOBODY, "big")), 0xFF),
        )  # fmt: skip
        return self.random.choice(choices)
