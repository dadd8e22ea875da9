"""Quantised tensors of an ONNX file: which real tensor their codes stand for, on which grid.

A tensor of codes ``q`` is never computed. The float graph holds the real tensor ``q@real``, whose
grid is fixed to the file's own scale and zero point, so that its integers are the codes. Operators
that only move elements move the real tensor.
"""

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from precompiles.model.types import DType
from tools.compiler.graph import Array, Bounds, Floats
from tools.compiler.graph_quantized import Codes, Decode, Regrid
from tools.compiler.onnx_import import OnnxNode
from tools.compiler.quantize import WORD_REACH, Grid
from tools.compiler.scope import Scope, constant, data, origin, reject, required

_MOVES = frozenset(
    """
    ArgMax ArgMin Concat DepthToSpace Expand Flatten Gather Identity MaxPool Pad Reshape Slice
    SpaceToDepth Split Squeeze Tile Transpose Unsqueeze
    """.split()  # noqa: SIM905 (a table of names)
)
_ORDERS = ("ArgMax", "ArgMin")
_U8_SHIFT = 128
_U16_SHIFT = 1 << 15


@dataclass(frozen=True, slots=True)
class Coded:
    """A tensor of codes: ``code = grid code - shift``, where the grid is u8 or s16."""

    real: str
    grid: Grid
    shift: int


def grid_of(node: OnnxNode, scale: Array, zero_point: Array) -> tuple[Grid, int]:
    """Our grid and its shift for a scale and zero point of ONNX.

    Raises:
        CompileError: scales per channel, or a code type other than 8 and symmetric 16 bits.
    """
    if scale.size != 1:
        reject(
            node,
            f"quantises an activation with {scale.size} scales",
            "quantise activations per tensor; only weights have one scale per channel",
        )
    step = Fraction(float(scale.reshape(-1)[0]))
    if step <= 0:
        reject(node, f"has scale {float(step):g}", "scales are positive numbers")
    zero = int(zero_point.reshape(-1)[0]) if zero_point.size else 0
    if zero_point.dtype == np.uint8:
        return Grid(DType.U8, step, zero), 0
    if zero_point.dtype == np.int8:
        return Grid(DType.U8, step, zero + _U8_SHIFT), _U8_SHIFT
    if zero_point.dtype in (np.int16, np.uint16):
        shift = 0 if zero_point.dtype == np.int16 else -_U16_SHIFT
        return Grid(DType.S16, step, max(zero + shift, -WORD_REACH)), shift
    reject(node, f"quantises to {zero_point.dtype}", "quantise activations to 8 or 16 bits")


def bounds_of(grid: Grid) -> Bounds:
    """Smallest and largest real value of a grid."""
    low, high = grid.limits
    step = float(grid.scale)
    return (low - grid.zero_point) * step, (high - grid.zero_point) * step


def emit_coded(scope: Scope, node: OnnxNode, x: str, grid: tuple[Grid, int], output: str) -> None:
    """``x`` rounded to ``grid``: the real tensor behind the codes ``output``."""
    made, shift = grid
    regrid = Regrid(origin=origin(node), output=f"{output}@real", x=x, bounds=bounds_of(made))
    scope.emit(regrid, scope.shapes[x])
    define_coded(scope, output, Coded(regrid.output, made, shift))


def define_coded(scope: Scope, output: str, coded: Coded) -> None:
    """Let ``output`` be codes of a real tensor."""
    scope.grids[coded.real] = coded.grid
    scope.coded[output] = coded
    scope.alias(output, coded.real)


def real_operand(scope: Scope, node: OnnxNode, index: int, scale: Array, zero_point: Array) -> str:
    """The real tensor behind input ``index``, of codes with this scale and zero point."""
    grid, shift = grid_of(node, scale, zero_point)
    name = node.inputs[index]
    coded = scope.coded.get(name)
    if coded is not None and (coded.grid, coded.shift) == (grid, shift):
        return coded.real
    numbers = codes_as_numbers(scope, node, name) if coded is not None else data(scope, node, index)
    if numbers in {item.name for item in scope.inputs}:
        scope.grids.setdefault(numbers, Grid(grid.dtype, Fraction(1), shift))
    decode = Decode(
        origin=origin(node),
        output=scope.fresh(node),
        x=numbers,
        scale=grid.scale,
        zero_point=grid.zero_point - shift,
    )
    scope.emit(decode, scope.shapes[numbers])
    scope.grids[decode.output] = grid
    return decode.output


def codes_as_numbers(scope: Scope, node: OnnxNode, name: str) -> str:
    """The codes themselves as a tensor of whole numbers."""
    coded = scope.coded[name]
    output = f"{name}@codes"
    if output not in scope.shapes:
        operation = Codes(
            origin=origin(node), output=output, x=coded.real, grid=coded.grid, shift=coded.shift
        )
        scope.emit(operation, scope.shapes[coded.real])
    return output


def constant_real(codes: Array, scale: Array, zero_point: Array, axis: int) -> Floats:
    """``scale * (codes - zero_point)``, one scale for all or one per entry of ``axis``."""
    values = np.asarray(codes, np.float64)
    column = [1] * values.ndim
    if scale.size > 1:
        column[axis] = -1
    zero = np.asarray(zero_point, np.float64).reshape(column if zero_point.size > 1 else ())
    return np.asarray((values - zero) * np.asarray(scale, np.float64).reshape(column))


def weight_steps(values: Floats, scale: Array, axis: int) -> Floats | None:
    """Scales (N) of the channels on ``axis`` of real weights, when their codes fit s8."""
    count = values.shape[axis]
    if scale.size not in (1, count):
        return None
    steps = np.broadcast_to(np.asarray(scale, np.float64).reshape(-1), (count,)).copy()
    column = [1] * values.ndim
    column[axis] = -1
    codes = values / steps.reshape(column)
    return steps if codes.min() >= -128.5 and codes.max() < 127.5 else None


def moved_codes(scope: Scope, node: OnnxNode) -> OnnxNode:
    """A node that moves codes, as the node that moves the real tensor behind them.

    Raises:
        CompileError: the operator computes with codes, or joins codes of different grids.
    """
    held = [scope.coded[name] for name in node.inputs if name in scope.coded]
    if not held:
        return node
    if node.operator == "Cast":
        return replace(node, inputs=(codes_as_numbers(scope, node, node.inputs[0]),))
    if node.operator not in _MOVES:
        reject(
            node,
            "computes with the codes of a quantised tensor",
            "dequantise first, or use the QLinear form of the operator",
        )
    if len({(item.grid, item.shift) for item in held}) > 1:
        reject(node, "joins tensors of different scales", "requantise them to one scale first")
    if node.operator in _ORDERS:
        return node
    if node.operator == "Pad":
        node = _padded_codes(scope, node, held[0])
    outputs = tuple(f"{name}@real" if name else "" for name in node.outputs)
    for old, new in zip(node.outputs, outputs, strict=True):
        if old:
            scope.share_probe(old, new)
            scope.grids[new] = held[0].grid
            scope.coded[old] = Coded(new, held[0].grid, held[0].shift)
    return replace(node, outputs=outputs)


def _padded_codes(scope: Scope, node: OnnxNode, coded: Coded) -> OnnxNode:
    """Pad with the real number that the code of the border stands for."""
    given = constant(scope, node, 2, "value")
    code = 0 if given is None else int(given.reshape(-1)[0])
    real = float((code + coded.shift - coded.grid.zero_point) * coded.grid.scale)
    value = scope.define_constant(node, np.array(real))
    return replace(node, inputs=(*node.inputs[:2], value, *node.inputs[3:]))


def finish_codes(scope: Scope, node: OnnxNode) -> None:
    """After a moving node: its codes stand for what it made."""
    for name in node.outputs:
        if name in scope.coded and scope.resolve(name) == name:
            scope.alias(name, scope.coded[name].real)


def scale_inputs(scope: Scope, node: OnnxNode, index: int) -> tuple[Array, Array]:
    """Scale and zero point given as the constant inputs ``index`` and ``index + 1``."""
    scale = required(scope, node, index, "scale")
    name = node.inputs[index + 1] if index + 1 < len(node.inputs) else ""
    zero = scope.constant(name) if name else np.zeros((), np.uint8)
    if zero is None:
        reject(node, "has a zero point that depends on the input", "quantise statically")
    return np.asarray(scale), np.asarray(zero)
