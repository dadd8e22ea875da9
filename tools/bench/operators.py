"""Single operators as integer models and as ONNX graphs: what ``assay bench kernels`` compares.

Both sides get weights and inputs of the same shapes. onnxruntime's int8 forms of an operator are
all built, and the fastest counts; where it has none (softmax, layer norm), fp32 is the only peer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from precompiles.model import operators as op
from precompiles.model.types import DType, IntegerModel, TensorType
from tools.bench.peers import caller
from tools.compiler.program import Operand, Program

Array = NDArray[Any]
Call = Callable[[], object]
MICROSOFT: Final = "com.microsoft"
_ONE = Fraction(1)
_ZERO_POINT: Final = 128
_QUANTISED: Final = {
    "x_scale": np.float32(0.02),
    "x_zero": np.uint8(_ZERO_POINT),
    "y_scale": np.float32(0.5),
    "y_zero": np.uint8(_ZERO_POINT),
}


@dataclass(frozen=True, slots=True)
class Case:
    """One operator at one shape.

    Attributes:
        name: family and shape.
        model: ours, with one instruction.
        inputs: arrays (1, *shape) for ``run_arrays``.
        fp32, int8: calls of onnxruntime; ``int8`` may be empty.
    """

    name: str
    model: IntegerModel
    inputs: tuple[Array, ...]
    fp32: Call
    int8: dict[str, Call]


def gemm(rows: int, terms: int, columns: int) -> Case:
    """``x (rows, terms) @ weight (terms, columns)``, u8 by s8, requantised to u8."""
    random = np.random.default_rng(rows + terms + columns)
    x = random.integers(0, 256, (rows, terms), dtype=np.uint8)
    weight = random.integers(-127, 128, (terms, columns), dtype=np.int8)
    program, source = _program(x)
    model = _finish(
        program,
        program.emit(
            op.Gemm,
            DType.U8,
            (rows, columns),
            x=source.ref,
            weight=program.constant(weight, DType.S8),
            **_requantise(program, columns, terms),
        ),
        (rows, columns),
        DType.U8,
    )
    float_x = (x.astype(np.int16) - _ZERO_POINT).astype(np.float32)
    fp32 = _onnx("MatMul", ["x", "w"], {"x": float_x}, {"w": weight.astype(np.float32)})
    signed = float_x.astype(np.int8)
    int8 = {
        "MatMulInteger": _onnx("MatMulInteger", ["x", "w"], {"x": x}, {"w": weight}),
        "MatMulInteger s8": _onnx("MatMulInteger", ["x", "w"], {"x": signed}, {"w": weight}),
        "QLinearMatMul": _qlinear_matmul(x, weight),
    }
    family = "gemv" if rows == 1 else "gemm"
    return Case(f"{family} {rows}x{terms}x{columns}", model, (x[np.newaxis],), fp32, int8)


def conv(size: int, channels: int, filters: int, kernel: int, stride: int = 1) -> Case:
    """Square convolution that keeps the size at stride 1; ``filters`` 0 means depthwise."""
    group = 1 if filters else channels
    filters = filters or channels
    random = np.random.default_rng(size + channels + filters + kernel)
    x = random.integers(0, 256, (size, size, channels), dtype=np.uint8)
    weight = random.integers(-127, 128, (kernel, kernel, channels // group, filters), dtype=np.int8)
    pad, out = kernel // 2, (size + 2 * (kernel // 2) - kernel) // stride + 1
    program, source = _program(x)
    model = _finish(
        program,
        program.emit(
            op.Conv,
            DType.U8,
            (out, out, filters),
            x=source.ref,
            weight=program.constant(weight, DType.S8),
            strides=(stride, stride),
            pads=(pad,) * 4,
            dilations=(1, 1),
            group=group,
            pad_value=_ZERO_POINT,
            **_requantise(program, filters, weight[..., 0].size),
        ),
        (out, out, filters),
        DType.U8,
    )
    attributes: dict[str, Any] = {
        "kernel_shape": [kernel] * 2, "pads": [pad] * 4, "strides": [stride] * 2, "group": group,
    }  # fmt: skip
    first = weight.transpose(3, 2, 0, 1)
    image = np.ascontiguousarray(x.transpose(2, 0, 1)[np.newaxis])
    fp32 = _onnx(
        "Conv",
        ["x", "w"],
        {"x": image.astype(np.float32)},
        {"w": first.astype(np.float32)},
        **attributes,
    )
    int8 = {
        "QLinearConv": _qlinear_conv(image, first, attributes),
        "QLinearConv, channels last": _qlinear_conv(
            x[np.newaxis], first, {**attributes, "channels_last": 1}, MICROSOFT
        ),
    }
    family = "depthwise" if group > 1 else "conv"
    name = f"{family} {kernel}x{kernel}/{stride} {size}x{size}x{channels}"
    name += f"->{filters}" if group == 1 else ""
    return Case(name, model, (x[np.newaxis],), fp32, int8)


def softmax(rows: int, length: int) -> Case:
    """Rows of s16 scores to u8 probabilities."""
    random = np.random.default_rng(length)
    x = random.integers(-3000, 3000, (rows, length), dtype=np.int16)
    program, source = _program(x)
    ref = program.emit(
        op.Softmax, DType.U8, (rows, length), x=source.ref, multiplier=30_000, shift=10
    )
    fp32 = _onnx("Softmax", ["x"], {"x": (x / 500).astype(np.float32)}, {}, axis=-1)
    model = _finish(program, ref, (rows, length), DType.U8)
    return Case(f"softmax {rows}x{length}", model, (x[np.newaxis],), fp32, {})


def layer_norm(rows: int, length: int) -> Case:
    """Rows of s16 to normalised u8."""
    random = np.random.default_rng(length)
    x = random.integers(-9000, 9000, (rows, length), dtype=np.int16)
    program, source = _program(x)
    ref = program.emit(
        op.LayerNorm,
        DType.U8,
        (rows, length),
        x=source.ref,
        gain=program.constant(np.full(length, 1 << 20), DType.S32),
        offset=program.constant(np.zeros(length, np.int64), DType.S64),
        center=1,
        epsilon=0,
        shift=31,
        zero_point=_ZERO_POINT,
        lo=0,
        hi=255,
    )
    ones = np.ones(length, np.float32)
    fp32 = _onnx(
        "LayerNormalization",
        ["x", "gain", "offset"],
        {"x": x.astype(np.float32)},
        {"gain": ones, "offset": 0 * ones},
        axis=-1,
    )
    model = _finish(program, ref, (rows, length), DType.U8)
    return Case(f"layer norm {rows}x{length}", model, (x[np.newaxis],), fp32, {})


def lookup(elements: int) -> Case:
    """A function of one byte by table, beside onnxruntime's GELU in fp32."""
    random = np.random.default_rng(elements)
    x = random.integers(0, 256, (elements,), dtype=np.uint8)
    program, source = _program(x)
    table = program.constant(random.integers(0, 256, 256), DType.U8)
    ref = program.emit(op.Lookup, DType.U8, (elements,), x=source.ref, table=table)
    values = ((x.astype(np.float32) - _ZERO_POINT) / 32).astype(np.float32)
    fp32 = _onnx("Gelu", ["x"], {"x": values}, {}, MICROSOFT)
    model = _finish(program, ref, (elements,), DType.U8)
    return Case(f"lookup (GELU) {elements}", model, (x[np.newaxis],), fp32, {})


def _program(x: Array) -> tuple[Program, Operand]:
    program = Program()
    dtype = {"uint8": DType.U8, "int16": DType.S16}[x.dtype.name]
    return program, program.input("x", dtype, x.shape, _ONE, 0)


def _finish(program: Program, ref: int, shape: tuple[int, ...], dtype: DType) -> IntegerModel:
    result = Operand(ref, TensorType(dtype, shape), _ONE, 0, *dtype.bounds)
    return program.finish([("y", result)])


def _requantise(program: Program, columns: int, terms: int) -> dict[str, Any]:
    """Attributes that bring random sums of ``terms`` products into a byte."""
    shift = 31 + max(0, int(np.log2(74 * 74 * np.sqrt(terms))) - 5)
    return {
        "bias": program.constant(np.zeros(columns, np.int64), DType.S32),
        "multiplier": program.constant(np.full(columns, 3 << 29), DType.S32),
        "shift": shift,
        "zero_point": _ZERO_POINT,
        "lo": 0,
        "hi": 255,
    }


def _qlinear_matmul(x: Array, weight: Array) -> Call:
    names = ["x", "x_scale", "x_zero", "w", "w_scale", "w_zero", "y_scale", "y_zero"]
    constants = {**_QUANTISED, "w": weight, "w_scale": np.float32(0.01), "w_zero": np.int8(0)}
    return _onnx("QLinearMatMul", names, {"x": x}, constants)


def _qlinear_conv(x: Array, weight: Array, attributes: dict[str, Any], domain: str = "") -> Call:
    names = ["x", "x_scale", "x_zero", "w", "w_scale", "w_zero", "y_scale", "y_zero"]
    scales = np.full(len(weight), 0.01, np.float32)
    zeros = np.zeros(len(weight), np.int8)
    constants = {**_QUANTISED, "w": weight, "w_scale": scales, "w_zero": zeros}
    return _onnx("QLinearConv", names, {"x": x}, constants, domain, **attributes)


def _onnx(
    operator: str,
    names: Sequence[str],
    feeds: dict[str, Array],
    constants: dict[str, Any],
    domain: str = "",
    **attributes: Any,
) -> Call:
    """A bound call of one node."""
    types = {"float32": TensorProto.FLOAT, "uint8": TensorProto.UINT8, "int8": TensorProto.INT8}
    node = helper.make_node(operator, list(names), ["y"], domain=domain, **attributes)
    inputs = [
        helper.make_tensor_value_info(name, types[value.dtype.name], value.shape)
        for name, value in feeds.items()
    ]
    weights = [
        numpy_helper.from_array(np.array(value, order="C"), name)
        for name, value in constants.items()
    ]
    output = helper.make_empty_tensor_value_info("y")
    graph = helper.make_graph([node], "benchmark", inputs, [output], weights)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(MICROSOFT, 1)]
    model = helper.make_model(graph, opset_imports=opsets)
    model.ir_version = 9
    return caller(model.SerializeToString(), feeds, bound=True)
