"""Gas of publishing: hashing and decoding before they happen, the proof of legality before it.

Measured on one core of a Zen 5 server (time a unit takes here / time its gas buys at 30 Mgas/s):

    keccak256 of a byte                     2.1 / 4.2 ns
    decoding, per byte of code              1.0 to 1.3 us / 1.6 us
    an instruction                          13 / 27 us
    a byte of a dense weight                0.6 to 8 / 8.3 ns
    a byte of a tree's arrays               7 to 15 / 9.4 ns
    an element of a vector                  0.2 to 0.5 / 0.5 us

A model may hold 64 KiB besides its constants (L3), and which bytes these are is known only after
decoding; so the first 64 KiB of any model pay for it. The largest model costs 32.3 million with its
chunk reads: below a transaction cap of 2**25.
"""

from typing import Final

from precompiles.model import operators as op
from precompiles.model.limits import MAX_CODE_BYTES
from precompiles.model.operands import operands_of
from precompiles.model.types import Constant, IntegerModel

PUBLISH: Final = 50_000
CODE_BYTE: Final = 48
BYTES_PER_GAS_HASHED: Final = 8
INSTRUCTION: Final = 800
VECTOR_ELEMENT: Final = 16
"""An element of a bias, multiplier or knot vector, each of which is proven on its own."""

SCALE: Final = 32
WEIGHT_BYTE: Final = 8
TREE_BYTE: Final = 9
"""In 1/32 gas: a byte of constant data, for each instruction that reads it."""

_BY_ELEMENT: Final = (op.Gemm, op.Conv, op.LinearInteger, op.PiecewiseLinear)


def publish_gas(size: int) -> int:
    """Gas of hashing and decoding a model of ``size`` bytes, before chunk reads."""
    code = min(size, MAX_CODE_BYTES)
    return PUBLISH + -(-size // BYTES_PER_GAS_HASHED) + CODE_BYTE * code


def proof_gas(model: IntegerModel) -> int:
    """Gas of ``validate_model`` on a decoded model, legal or not; reads no constant data."""
    scaled = 0
    for instruction in model.instructions:
        scaled += SCALE * INSTRUCTION
        for value in operands_of(instruction):
            if 0 <= value < len(model.constants):
                scaled += _constant_work(instruction, model.constants[value])
    return -(-scaled // SCALE)


def _constant_work(instruction: op.Instruction, constant: Constant) -> int:
    """Price of one operand in 1/32 gas, by the bytes that are really there."""
    if isinstance(instruction, op.TreeEnsemble):
        return TREE_BYTE * len(constant.data)
    if isinstance(instruction, _BY_ELEMENT) and len(constant.type.shape) <= 1:
        return SCALE * VECTOR_ELEMENT * (len(constant.data) // constant.type.dtype.size)
    return WEIGHT_BYTE * len(constant.data)
