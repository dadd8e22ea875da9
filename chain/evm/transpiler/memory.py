"""Opcodes on memory, as statements.

The variable ``end`` is ``len(memory) - 32``: the last offset that a word can be read at.
"""

from chain.evm.operations.gas import KECCAK256_WORD
from chain.evm.transpiler.path import Path
from chain.evm.transpiler.word import MEMORY_BOUND, Word, constant
from precompiles.hashing import EMPTY_HASH

_MAX_KNOWN_SIZE = 1 << 32


def mload(path: Path, offset: Word) -> Word:
    """MLOAD."""
    start = reach(path, offset, 32)
    return path.name(f"word(*read(memory, {start}))")


def mstore(path: Path, offset: Word, value: Word) -> None:
    """MSTORE."""
    path.keep(offset, value)
    start = reach(path, offset, 32)
    path.write(f"write(memory, {start}, {_bytes(path, value)})")


def _bytes(path: Path, value: Word) -> str:
    if value.number is not None:
        return repr(value.number.to_bytes(32, "big"))
    return f"{path.exact(value)}.to_bytes(32)"


def mstore8(path: Path, offset: Word, value: Word) -> None:
    """MSTORE8."""
    path.keep(offset, value)
    start = reach(path, offset, 1)
    path.write(f"memory[{start}] = {path.loose(value)} & 255")


def keccak(path: Path, offset: Word, size: Word) -> Word:
    """KECCAK256; its static gas is charged already."""
    path.keep(offset, size)
    if size.number == 0:
        return constant(int.from_bytes(EMPTY_HASH, "big"))
    if size.number is not None and size.number <= _MAX_KNOWN_SIZE:
        path.gas += KECCAK256_WORD * (size.number + 31 >> 5)
        start = reach(path, offset, size.number)
        stop = _plus(start, size.number)
    else:
        start, count = path.local(offset), path.local(size)
        path.write(f"gas = hashed(memory, gas, {start}, {count})")
        path.write("end = len(memory) - 32")
        path.bound(size, 0, MEMORY_BOUND)
        stop = f"{start} + {count}"
    return path.name(f"word(keccak256(memory[{start}:{stop}]))")


def reach(path: Path, offset: Word, size: int) -> str:
    """Make memory hold ``size`` > 0 bytes from ``offset`` on; the offset, in a variable."""
    if offset.number is not None:
        _reach_constant(path, offset.number + size)
        return offset.text
    start = _start(path, offset)
    last = (
        start if size == 32 else f"{start} + {size - 32}" if size > 32 else f"{start} - {32 - size}"
    )
    path.write(f"if {last} > end:")
    if offset.excess and path.names.get(offset) != start:
        path.write(f" {start} &= MASK")
        path.names[offset] = start
    path.write(f" gas = grow(memory, gas, {start} + {size})")
    path.write(" end = len(memory) - 32")
    path.bound(offset, 0, MEMORY_BOUND)
    return start


def _start(path: Path, offset: Word) -> str:
    """A variable that is the offset, or may be too large by multiples of 2**256."""
    if not offset.excess or offset.is_signed or offset in path.names:
        return path.local(offset)
    return path.name(path.raw_names.get(offset) or offset.text).text


def _reach_constant(path: Path, size: int) -> None:
    if size <= path.memory_size:
        return
    path.write(f"if end < {size - 32}:")
    path.write(f" gas = grow(memory, gas, {size})")
    path.write(" end = len(memory) - 32")
    if size <= _MAX_KNOWN_SIZE:
        path.memory_size = size + 31 & ~31


def _plus(start: str, size: int) -> str:
    return str(int(start) + size) if start.isdecimal() else f"{start} + {size}"
