"""Programs that spend all their gas on one family of opcodes: the worst that a block can hold.

A program is a loop of at most 24 KB whose body repeats a few opcodes and leaves the stack as it
was. It runs until its gas is gone, so its time over its gas is the family's price in seconds.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

LOOP_BYTES: Final = 24_000
BENCH_ADDRESS: Final = b"\xbe" * 20
CALLEE: Final = b"\xca" * 20

_BIG: Final = (1 << 256) - 189
_PRIME: Final = (1 << 61) - 1  # Python's hash of an int is its remainder by this
_ODD: Final = 0xD1B54A32D192ED03_9E3779B97F4A7C15_F39CC0605CEDC834_1082276BF3A27251


@dataclass(frozen=True, slots=True)
class Program:
    """One worst case.

    Attributes:
        family: group in the table.
        name: what the loop repeats.
        code: at BENCH_ADDRESS.
        calldata: given to it.
        others: code of further accounts.
    """

    family: str
    name: str
    code: bytes
    calldata: bytes = b""
    others: Mapping[bytes, bytes] = field(default_factory=dict)


def push(value: int | bytes, size: int = 0) -> bytes:
    """The shortest PUSH of ``value``, or one of ``size`` bytes."""
    number = int.from_bytes(value, "big") if isinstance(value, bytes) else value
    size = size or (number.bit_length() + 7) // 8
    return bytes((0x5F + size,)) + number.to_bytes(size, "big")


def loop(body: bytes, setup: bytes = b"") -> bytes:
    """``setup``, then ``body`` repeated for ever."""
    start = len(setup)
    count = max(1, (LOOP_BYTES - start) // len(body))
    return setup + b"\x5b" + body * count + push(start, 2) + b"\x56"


def programs() -> Iterator[Program]:
    """Every case."""
    yield from _arithmetic()
    yield from _stack_and_flow()
    yield from _memory()
    yield from _environment()
    yield from _state()
    yield from _logs()
    yield from _calls()
    yield from _creations()
    yield from _jump_analysis()


def _arithmetic() -> Iterator[Program]:
    words = push(_ODD) + push(_BIG) + push(_ODD ^ (1 << 200))
    binary = {
        "ADD": 0x01, "MUL": 0x02, "SUB": 0x03, "DIV": 0x04, "SDIV": 0x05, "MOD": 0x06,
        "SMOD": 0x07, "EXP": 0x0A, "SIGNEXTEND": 0x0B, "LT": 0x10, "SGT": 0x13, "EQ": 0x14,
        "AND": 0x16, "XOR": 0x18, "BYTE": 0x1A, "SHL": 0x1B, "SHR": 0x1C, "SAR": 0x1D,
    }  # fmt: skip
    for name, opcode in binary.items():
        yield Program("arithmetic", name, loop(b"\x81\x81" + bytes((opcode,)) + b"\x50", words))
    for name, opcode in {"ADDMOD": 0x08, "MULMOD": 0x09}.items():
        yield Program("arithmetic", name, loop(b"\x82\x82\x82" + bytes((opcode,)) + b"\x50", words))
    for name, opcode in {"ISZERO": 0x15, "NOT": 0x19, "CLZ": 0x1E}.items():
        yield Program("arithmetic", name, loop(bytes((opcode,)), words))
    yield Program("arithmetic", "MUL of growing words", loop(b"\x80\x02", words))
    yield Program("arithmetic", "EXP of small exponents", loop(push(2) + b"\x81\x0a\x50", words))


def _stack_and_flow() -> Iterator[Program]:
    yield Program("stack", "PUSH0 POP", loop(b"\x5f\x50"))
    yield Program("stack", "PUSH32 POP", loop(push(_ODD, 32) + b"\x50"))
    yield Program("stack", "DUP16 POP", loop(b"\x8f\x50", b"\x5f" * 16))
    yield Program("stack", "SWAP16", loop(b"\x9f", b"\x5f\x30" * 9))
    yield Program("flow", "JUMPDEST", loop(b"\x5b"))
    yield Program("flow", "PC POP", loop(b"\x58\x50"))
    yield Program("flow", "GAS POP", loop(b"\x5a\x50"))
    # every hop is PUSH3 target, JUMP, JUMPDEST
    hops = b"".join([push(1 + 6 * index + 5, 3) + b"\x56\x5b" for index in range(4_000)])
    yield Program("flow", "JUMP", b"\x5b" + hops + push(0, 1) + b"\x56")
    taken = b"".join([b"\x80" + push(2 + 7 * index + 6, 3) + b"\x57\x5b" for index in range(3_400)])
    yield Program("flow", "JUMPI taken", b"\x30\x5b" + taken + push(1, 1) + b"\x56")
    yield Program("flow", "JUMPI not taken", loop(b"\x5f" + push(0, 1) + b"\x57"))
    yield Program("flow", "jump to a computed place", _computed_jump())
    yield Program("flow", "jump among colliding places", *_colliding_jumps())


def _computed_jump() -> bytes:
    """A loop whose target comes out of memory, so that nobody can know it beforehand."""
    setup = push(7) + b"\x5f\x52"  # memory[0] = 7, the place of the JUMPDEST
    body = b"\x5b" + b"\x5f\x51\x56"
    return setup + b"\x5b" * (7 - len(setup)) + body


def _colliding_jumps() -> tuple[bytes, bytes]:
    """Code and calldata: jumps to 9,900 places, then for ever to one that collides with them.

    In a dictionary of 2**14 slots Python searches a small int ``pc`` in slot ``pc`` and at last in
    the order i -> 5 * i + 1. The places are such a sequence, and the last one begins in it.
    """
    slots, last = 1 << 14, 22_144
    sequence = [0]
    for _ in range(9_900):
        sequence.append((5 * sequence[-1] + 1) % slots)
    # jump to the two bytes of calldata at memory[0], which moves on
    code = bytearray(bytes.fromhex("5b5f51803560f01c906002015f5256").ljust(24_576, b"\x5b"))
    taken = frozenset(sequence)
    free = [pc not in taken and pc - slots not in taken for pc in range(len(code))]
    for start in range(0, len(code), 256):  # the way back: PUSH0 JUMP
        at = next(pc for pc in range(start + 16, len(code)) if free[pc] and free[pc + 1])
        code[at : at + 2] = b"\x5f\x56"
    code[last : last + 3] = b"\x5b\x36\x56"  # JUMP to CALLDATASIZE
    places = [pc if code[pc] == 0x5B else pc + slots for pc in sequence] + [last]
    return bytes(code), b"".join([pc.to_bytes(2, "big") for pc in places]).ljust(last, b"\0")


def _memory() -> Iterator[Program]:
    yield Program("memory", "MLOAD", loop(b"\x5f\x51\x50"))
    yield Program("memory", "MSTORE", loop(b"\x30\x5f\x52"))
    yield Program("memory", "MSTORE8", loop(b"\x30\x5f\x53"))
    yield Program("memory", "MSIZE POP", loop(b"\x59\x50"))
    for size in (0, 32, 4_096, 131_072):
        for name, opcode in {"CALLDATACOPY": 0x37, "CODECOPY": 0x39, "MCOPY": 0x5E}.items():
            body = push(size) + b"\x5f\x5f" + bytes((opcode,))
            yield Program("memory", f"{name} {size}", loop(body), b"\x11" * min(size, 4_096))
        yield Program("memory", f"KECCAK256 {size}", loop(push(size) + b"\x5f\x20\x50"))
    copy = push(4_096) + b"\x5f\x5f" + push(CALLEE) + b"\x3c"
    yield Program("memory", "EXTCODECOPY 4096", loop(copy), others={CALLEE: bytes(24_576)})
    call = b"\x5f\x5f" + push(4_096) + b"\x5f" + push(4) + b"\x5a\xfa\x50"  # identity
    copy = push(4_096) + b"\x5f\x5f\x3e"
    yield Program("memory", "RETURNDATACOPY 4096", loop(copy, call))
    yield Program("memory", "expansion", b"\x5b\x59\x51\x50\x5f\x56")


def _environment() -> Iterator[Program]:
    for name, opcode in {
        "ADDRESS": 0x30, "ORIGIN": 0x32, "CALLVALUE": 0x34, "CALLDATASIZE": 0x36,
        "COINBASE": 0x41, "TIMESTAMP": 0x42, "PREVRANDAO": 0x44, "CHAINID": 0x46,
        "SELFBALANCE": 0x47, "BASEFEE": 0x48, "BLOBBASEFEE": 0x4A,
    }.items():  # fmt: skip
        yield Program("environment", name, loop(bytes((opcode,)) + b"\x50"))
    yield Program("environment", "CALLDATALOAD", loop(b"\x5f\x35\x50"), b"\x7f" * 64)
    yield Program("environment", "BLOCKHASH", loop(push(1) + b"\x43\x03\x40\x50"))
    yield Program("environment", "BLOBHASH", loop(b"\x5f\x49\x50"))


def _state() -> Iterator[Program]:
    for name, opcode in {"BALANCE": 0x31, "EXTCODESIZE": 0x3B, "EXTCODEHASH": 0x3F}.items():
        yield Program("state", f"{name} warm", loop(b"\x30" + bytes((opcode,)) + b"\x50"))
        yield Program("state", f"{name} cold", loop(b"\x5a" + bytes((opcode,)) + b"\x50"))
    yield Program("state", "SLOAD warm", loop(b"\x5f\x54\x50"))
    yield Program("state", "SLOAD cold", loop(b"\x5a\x54\x50"))
    yield Program("state", "SSTORE same", loop(b"\x5f\x5f\x55"))
    yield Program("state", "SSTORE dirty", loop(b"\x5a\x5f\x55"))
    yield Program("state", "SSTORE new", loop(b"\x5a\x5a\x55"))
    yield Program("state", "TLOAD", loop(b"\x5a\x5c\x50"))
    yield Program("state", "TSTORE", loop(b"\x5a\x5a\x5d"))
    yield from _colliding_slots()


def _colliding_slots() -> Iterator[Program]:
    """Slots of equal remainders, one after the other; then the last of them again and again."""
    first, next_slot = push(_PRIME) + b"\x5f", b"\x81\x01"  # on the stack: step, slot
    for name, access in {
        "TSTORE": b"\x30\x81\x5d",
        "SLOAD cold": b"\x80\x54\x50",
        "SSTORE new": b"\x30\x81\x55",
    }.items():
        yield Program("state", f"{name} of colliding slots", loop(access + next_slot, first))
    for name, count, fill, access in (
        ("TLOAD", 8_000, b"\x30\x81\x5d", b"\x80\x5c\x50"),
        ("SLOAD warm", 4_000, b"\x80\x54\x50", b"\x80\x54\x50"),
        ("SSTORE dirty", 4_000, b"\x80\x54\x50", b"\x5a\x81\x55"),
    ):
        body = b"\x5b" + fill + next_slot + b"\x80" + push(count * _PRIME) + b"\x11"
        setup = first + body + push(len(first), 2) + b"\x57"
        yield Program("state", f"{name} among colliding slots", loop(access, setup))


def _logs() -> Iterator[Program]:
    yield Program("logs", "LOG0", loop(b"\x5f\x5f\xa0"))
    yield Program("logs", "LOG4", loop(b"\x5a\x5a\x5a\x5a\x5f\x5f\xa4"))
    yield Program("logs", "LOG0 1024 bytes", loop(push(1_024) + b"\x5f\xa0"))


def _calls() -> Iterator[Program]:
    kinds = {"CALL": (0xF1, True), "STATICCALL": (0xFA, False), "DELEGATECALL": (0xF4, False)}
    targets = {
        "to nobody": (b"\xdd" * 20, None),
        "to STOP": (CALLEE, b"\x00"),
        "to INVALID": (CALLEE, b"\xfe"),
        "to REVERT": (CALLEE, b"\x5f\x5f\xfd"),
        "to identity": (bytes(19) + b"\x04", None),
    }
    for kind, (opcode, has_value) in kinds.items():
        for what, (target, code) in targets.items():
            gas = push(1_000) if code == b"\xfe" else b"\x5a"
            arguments = b"\x5f\x5f\x5f\x5f" + (b"\x5f" if has_value else b"") + push(target)
            body = arguments + gas + bytes((opcode,)) + b"\x50"
            others = {} if code is None else {target: code}
            yield Program("calls", f"{kind} {what}", loop(body), others=others)
    value = b"\x5f\x5f\x5f\x5f" + push(1) + push(CALLEE) + b"\x5f\xf1\x50"
    yield Program("calls", "CALL with value", loop(value), others={CALLEE: b"\x00"})
    recursive = b"\x5f\x5f\x5f\x5f\x5f\x30\x5a\xf1\x50"
    yield Program("calls", "CALL to itself, 1,024 deep", loop(recursive))
    wide = b"\x5f\x5f" + push(131_072) + b"\x5f\x5f\x30\x5a\xf1\x50"
    yield Program("calls", "CALL to itself with 128 KB", loop(wide))


def _creations() -> Iterator[Program]:
    yield Program("creations", "CREATE empty", loop(b"\x5f\x5f\x5f\xf0\x50"))
    yield Program("creations", "CREATE2 empty", loop(b"\x5a\x5f\x5f\x5f\xf5\x50"))
    # initcode of 49,152 bytes that is new every time and jumps to its own end
    head = push(0x61BFFF56 << 224, 32) + b"\x5f\x52" + push(0x5B) + push(0xBFFF) + b"\x53"
    body = push(49_152) + b"\x5f\x5f\xf0\x50" + b"\x5a" + push(4_096) + b"\x52"
    yield Program("creations", "CREATE of changing initcode", loop(body, head))
    initcode = int.from_bytes(b"\x33\xff", "big")  # CALLER SELFDESTRUCT
    setup = push(initcode << 240, 32) + b"\x5f\x52"
    body = push(2) + b"\x5f\x5f\xf0\x50"
    yield Program("creations", "CREATE and SELFDESTRUCT", loop(body, setup))


def _jump_analysis() -> Iterator[Program]:
    """Calls of large codes that jump over push data: each would be scanned for JUMPDESTs."""
    end = 4 + 2 * 12_284
    hostile = push(end, 2) + b"\x56" + b"\x60\x5b" * 12_284 + b"\x5b\x00"
    call = b"\x5f\x5f\x5f\x5f" + push(CALLEE) + b"\x5a\xfa\x50"
    yield Program("jump analysis", "one code of 24 KB", loop(call), others={CALLEE: hostile})
    many = {_numbered(n): hostile + n.to_bytes(2, "big") for n in range(11_000)}
    call = b"\x5f\x5f\x5f\x5f\x84\x5a\xfa\x50" + push(1) + b"\x01"
    start = push(int.from_bytes(_numbered(0), "big"))
    yield Program("jump analysis", "11,000 codes of 24 KB", loop(call, start), others=many)


def _numbered(number: int) -> bytes:
    return (0xCC << 152 | 1 << 32 | number).to_bytes(20, "big")
