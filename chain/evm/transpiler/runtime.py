"""What compiled blocks call; with the Halts and ``run_*``, the only names in their scope."""

from struct import Struct
from typing import Any, Final

from chain.evm.errors import InvalidJump, InvalidOpcode, OutOfGas
from chain.evm.frame import Frame
from chain.evm.operations import arithmetic
from chain.evm.operations.gas import KECCAK256_WORD
from chain.evm.transpiler.word import MASK, SIGN
from precompiles.hashing import keccak256

_WORD_BYTES: Final = Struct("32s")
_word = int.from_bytes


def grow(memory: bytearray, gas: int, size: int) -> int:
    """Charge for and grow memory to at least ``size`` bytes; gas left. Yellow Paper equation 326.

    Raises:
        OutOfGas: it costs more than ``gas``.
    """
    words, before = size + 31 >> 5, len(memory) >> 5
    if words <= before:
        return gas
    gas -= 3 * (words - before) + (words * words >> 9) - (before * before >> 9)
    if gas < 0:
        raise OutOfGas
    memory.extend(bytes(words - before << 5))
    return gas


def hashed(memory: bytearray, gas: int, start: int, size: int) -> int:
    """Charge for hashing ``size`` bytes of memory, grown as needed; gas left."""
    if not size:
        return gas
    gas -= KECCAK256_WORD * (size + 31 >> 5)
    if gas < 0:
        raise OutOfGas
    return grow(memory, gas, start + size)


def calldata_word(data: bytes, offset: int) -> int:
    """32 bytes of calldata, zeros beyond its end."""
    end = offset + 32
    if end <= len(data):
        return _word(data[offset:end], "big")
    if offset < len(data):
        return _word(data[offset:], "big") << 8 * (end - len(data))
    return 0


def leave(frame: Frame, gas: int, pc: int) -> int:
    """Go on at ``pc`` outside of the block, or end (-1).

    Raises:
        OutOfGas: more gas was used than there was.
    """
    if gas < 0:
        raise OutOfGas
    frame.gas = gas
    return pc


def finish(frame: Frame, memory: bytearray, gas: int, start: int, size: int) -> int:
    """RETURN."""
    if size:
        gas = grow(memory, gas, start + size)
        frame.output = bytes(memory[start : start + size])
    return leave(frame, gas, -1)


SCOPE: Final[dict[str, Any]] = {
    "CEILING": 1 << 256,
    "InvalidJump": InvalidJump,
    "InvalidOpcode": InvalidOpcode,
    "MASK": MASK,
    "OutOfGas": OutOfGas,
    "SIGN": SIGN,
    "byte": arithmetic.byte,
    "calldata_word": calldata_word,
    "finish": finish,
    "grow": grow,
    "hashed": hashed,
    "keccak256": keccak256,
    "leave": leave,
    "len": len,
    "pow": pow,
    "read": _WORD_BYTES.unpack_from,
    "sar": arithmetic.sar,
    "sdiv": arithmetic.sdiv,
    "shl": arithmetic.shl,
    "signextend": arithmetic.signextend,
    "smod": arithmetic.smod,
    "word": _word,
    "write": _WORD_BYTES.pack_into,
}
"""Global names of compiled blocks, for every code and fork."""
