"""Programs as lists of items, so that a failing one can be made shorter and still be printed.

An item is bytes, or ``Label(n)`` (a JUMPDEST), or ``Target(n)`` (a PUSH2 of that JUMPDEST's place).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from genesis.forks import Fork

JUMPDEST = 0x5B
PUSH1, PUSH2 = 0x60, 0x61


@dataclass(frozen=True)
class Label:
    """A JUMPDEST that targets name."""

    number: int


@dataclass(frozen=True)
class Target:
    """PUSH2 of where the label with this number stands; 0 when there is none."""

    number: int


Item: TypeAlias = bytes | Label | Target
Program: TypeAlias = Sequence[Item]


def push(value: int | bytes) -> bytes:
    """Shortest PUSH1.. of a number, or of bytes as they are."""
    if isinstance(value, int):
        value = value.to_bytes(max((value.bit_length() + 7) // 8, 1), "big")
    return bytes((PUSH1 - 1 + len(value),)) + value


def assemble(program: Program) -> bytes:
    """Bytecode with all targets resolved."""
    places: dict[int, int] = {}
    at = 0
    for item in program:
        if isinstance(item, Label):
            places[item.number] = at
        at += len(item) if isinstance(item, bytes) else 1 if isinstance(item, Label) else 3
    parts = []
    for item in program:
        if isinstance(item, bytes):
            parts.append(item)
        elif isinstance(item, Label):
            parts.append(bytes((JUMPDEST,)))
        else:
            parts.append(bytes((PUSH2,)) + places.get(item.number, 0).to_bytes(2, "big"))
    return b"".join(parts)


@dataclass(frozen=True)
class Opcode:
    """What a generator must know of an opcode: words taken and left, first fork that has it."""

    name: str
    code: int
    pops: int
    pushes: int
    since: Fork = Fork.FRONTIER


def _family(names: str, first: int, pops: int, since: Fork = Fork.FRONTIER) -> list[Opcode]:
    return [Opcode(name, first + at, pops, 1, since) for at, name in enumerate(names.split())]


CALCULATIONS = (
    *_family("ADD MUL SUB DIV SDIV MOD SMOD", 0x01, 2),
    *_family("ADDMOD MULMOD", 0x08, 3),
    *_family("EXP SIGNEXTEND", 0x0A, 2),
    *_family("LT GT SLT SGT EQ", 0x10, 2),
    *_family("ISZERO", 0x15, 1),
    *_family("AND OR XOR", 0x16, 2),
    *_family("NOT", 0x19, 1),
    *_family("BYTE", 0x1A, 2),
    *_family("SHL SHR SAR", 0x1B, 2, Fork.CONSTANTINOPLE),
    *_family("CLZ", 0x1E, 1, Fork.OSAKA),
)
READINGS = (
    *_family("ADDRESS", 0x30, 0),
    *_family("ORIGIN CALLER CALLVALUE", 0x32, 0),
    *_family("CALLDATASIZE", 0x36, 0),
    *_family("CODESIZE", 0x38, 0),
    *_family("GASPRICE", 0x3A, 0),
    *_family("RETURNDATASIZE", 0x3D, 0, Fork.BYZANTIUM),
    *_family("COINBASE TIMESTAMP NUMBER DIFFICULTY GASLIMIT", 0x41, 0),
    *_family("CHAINID SELFBALANCE", 0x46, 0, Fork.ISTANBUL),
    *_family("BASEFEE", 0x48, 0, Fork.LONDON),
    *_family("BLOBBASEFEE", 0x4A, 0, Fork.CANCUN),
    *_family("PC MSIZE GAS", 0x58, 0),
    *_family("PUSH0", 0x5F, 0, Fork.SHANGHAI),
)
NEWER = {
    0x1B: Fork.CONSTANTINOPLE, 0x1C: Fork.CONSTANTINOPLE, 0x1D: Fork.CONSTANTINOPLE,
    0x1E: Fork.OSAKA, 0x3D: Fork.BYZANTIUM, 0x3E: Fork.BYZANTIUM, 0x3F: Fork.CONSTANTINOPLE,
    0x46: Fork.ISTANBUL, 0x47: Fork.ISTANBUL, 0x48: Fork.LONDON, 0x49: Fork.CANCUN,
    0x4A: Fork.CANCUN, 0x5C: Fork.CANCUN, 0x5D: Fork.CANCUN, 0x5E: Fork.CANCUN,
    0x5F: Fork.SHANGHAI, 0xF4: Fork.HOMESTEAD, 0xF5: Fork.CONSTANTINOPLE,
    0xFA: Fork.BYZANTIUM, 0xFD: Fork.BYZANTIUM,
}  # fmt: skip
"""First fork of every opcode that Frontier does not have."""

NAMES = {opcode.code: opcode.name for opcode in (*CALCULATIONS, *READINGS)} | {
    0x00: "STOP", 0x20: "KECCAK256", 0x31: "BALANCE", 0x35: "CALLDATALOAD", 0x37: "CALLDATACOPY",
    0x39: "CODECOPY", 0x3B: "EXTCODESIZE", 0x3C: "EXTCODECOPY", 0x3E: "RETURNDATACOPY",
    0x3F: "EXTCODEHASH", 0x40: "BLOCKHASH", 0x49: "BLOBHASH", 0x50: "POP", 0x51: "MLOAD",
    0x52: "MSTORE", 0x53: "MSTORE8", 0x54: "SLOAD", 0x55: "SSTORE", 0x56: "JUMP", 0x57: "JUMPI",
    0x5B: "JUMPDEST", 0x5C: "TLOAD", 0x5D: "TSTORE", 0x5E: "MCOPY", 0xF0: "CREATE", 0xF1: "CALL",
    0xF2: "CALLCODE", 0xF3: "RETURN", 0xF4: "DELEGATECALL", 0xF5: "CREATE2", 0xFA: "STATICCALL",
    0xFD: "REVERT", 0xFE: "INVALID", 0xFF: "SELFDESTRUCT",
}  # fmt: skip


def listing(code: bytes) -> str:
    """Readable form of bytecode, one line."""
    words, at = [], 0
    while at < len(code):
        byte = code[at]
        at += 1
        if 0x60 <= byte <= 0x7F:
            size = byte - 0x5F
            words.append(f"PUSH{size} 0x{code[at : at + size].hex()}")
            at += size
        elif 0x80 <= byte <= 0x9F:
            words.append(f"{'DUP' if byte < 0x90 else 'SWAP'}{(byte & 15) + 1}")
        elif 0xA0 <= byte <= 0xA4:
            words.append(f"LOG{byte - 0xA0}")
        else:
            words.append(NAMES.get(byte, f"0x{byte:02x}"))
    return " ".join(words)
