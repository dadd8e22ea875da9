"""Opcodes on memory, as statements.

The variable ``end`` is ``len(memory) - 32``: the last offset that a word can be read at.
"""

from typing import Final

from chain.evm.operations.gas import KECCAK256_WORD
from chain.evm.transpiler.path import Path
from chain.evm.transpiler.word import MASK, MEMORY_BOUND, Word, base_of, constant
from precompiles.hashing import EMPTY_HASH

FREE_POINTER: Final = 64
"""Where code by solc keeps the start of free memory."""

_MAX_KNOWN_SIZE: Final = 1 << 32
_MAX_LATE_HASH: Final = 1024
"""Bytes that may be hashed before they are paid for."""


def mload(path: Path, offset: Word) -> Word:
    """MLOAD: from memory, unless the word there is known."""
    start = reach(path, offset, 32)
    if start not in path.loads:
        path.loads[start] = offset, path.name(f"word(*read(memory, {start}))")
    return path.loads[start][1]


def expect_pointer(path: Path, word: Word, pc: int) -> None:
    """Go on only if ``word`` can be solc's pointer to free memory: no store through it hits it."""
    if path.low(word) > FREE_POINTER + 31 and path.high(word) < MEMORY_BOUND:
        return
    path.write(f"if not {FREE_POINTER + 31} < {path.local(word)} < {MEMORY_BOUND}:")
    failed = path.fork()
    failed.indent += 1
    failed.push(word)
    failed.leave(pc)
    path.bound(word, FREE_POINTER + 32, MEMORY_BOUND - 1)


def mstore(path: Path, offset: Word, value: Word) -> None:
    """MSTORE."""
    path.keep(offset, value)
    start = reach(path, offset, 32)
    text = path.local(value)
    if start in path.loads and path.exact(path.loads[start][1]) == text:
        return  # it is there already
    path.write(f"write(memory, {start}, {_bytes(path, value)})")
    _forget(path, offset, 32)
    path.loads[start] = offset, value


def _forget(path: Path, offset: Word, size: int) -> None:
    """Forget words that a store of ``size`` bytes may have changed."""
    kept = {
        start: (other, word)
        for start, (other, word) in path.loads.items()
        if _are_apart(path, offset, size, other)
    }
    path.loads = kept


def _are_apart(path: Path, offset: Word, size: int, other: Word) -> bool:
    """Whether ``size`` bytes at one offset and 32 at the other never overlap.

    Both lie in memory, so that a distance modulo 2**256 is a distance.
    """
    base, distance = base_of(offset)
    other_base, other_distance = base_of(other)
    if base is other_base:
        return size <= other_distance - distance & MASK <= MASK - 31
    return path.high(offset) + size <= path.low(other) or path.high(other) + 32 <= path.low(offset)


def _bytes(path: Path, value: Word) -> str:
    if value.number is not None:
        return repr(value.number.to_bytes(32, "big"))
    return f"{path.exact(value)}.to_bytes(32)"


def mstore8(path: Path, offset: Word, value: Word) -> None:
    """MSTORE8."""
    path.keep(offset, value)
    start = reach(path, offset, 1)
    path.write(f"memory[{start}] = {path.loose(value)} & 255")
    _forget(path, offset, 1)


def keccak(path: Path, offset: Word, size: Word) -> Word:
    """KECCAK256; its static gas is charged already."""
    path.keep(offset, size)
    if size.number == 0:
        return constant(int.from_bytes(EMPTY_HASH, "big"))
    if size.number is not None and size.number <= _MAX_LATE_HASH:
        path.gas += KECCAK256_WORD * (size.number + 31 >> 5)
        start = reach(path, offset, size.number)
        stop = _plus(start, size.number)
    else:
        start, count = path.local(offset), path.local(size)
        path.write(f"gas = hashed(memory, gas, {start}, {count})")
        path.write("end = len(memory) - 32")
        path.bound(size, 0, MEMORY_BOUND)
        stop = f"{start} + {count}"
    text = f"word(keccak256(memory[{start}:{stop}]))"
    preimage = _preimage(path, start, stop)
    if preimage is None:
        return path.name(text)
    if preimage not in path.memo:
        path.memo[preimage] = path.name(text)
    return path.memo[preimage]


def _preimage(path: Path, start: str, stop: str) -> str | None:
    """The words between two constant offsets, if all are known."""
    if not start.isdecimal() or not stop.isdecimal():
        return None
    places = [str(place) for place in range(int(start), int(stop), 32)]
    if int(stop) - int(start) != 32 * len(places) or not path.loads.keys() >= set(places):
        return None
    words = (path.exact(path.loads[place][1]) for place in places)
    return f"keccak256({', '.join(words)})"


def reach(path: Path, offset: Word, size: int) -> str:
    """Make memory hold ``size`` > 0 bytes from ``offset`` on; the offset, in a variable."""
    if offset.number is not None:
        _reach_constant(path, offset.number + size)
        return offset.text
    start = _start(path, offset)
    if path.reached.get(start, 0) >= size:
        return start
    path.reached[start] = size
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
