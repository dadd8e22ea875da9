"""Transposed convolution, Resize, Pad, normalisations and moves of images, against onnxruntime."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx.helper import make_node

from precompiles.model import operators as op
from precompiles.model.types import DType
from tools.compiler import CompileError, compile_onnx
from tools.compiler.onnx_images import phase_weights

Build = Callable[..., bytes]
RNG = np.random.default_rng(21)
IMAGES = RNG.normal(size=(48, 4, 7, 6)).astype(np.float32)
LIMITS = {"wide": 2e-5, "int16": 6e-3, "int8": 0.03}


def draw(*shape: int) -> np.ndarray:
    return (RNG.normal(size=shape) * 0.4).astype(np.float32)


def check(data: bytes, samples: Any = IMAGES, limits: dict[str, float] = LIMITS) -> None:
    for precision, limit in limits.items():
        report = compile_onnx(data, samples, precision=precision).report
        for output in report.outputs:
            assert output.max_abs_error <= limit * output.spread, (precision, output)


TRANSPOSED: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "stride 2": ((4, 5, 3, 3), {"strides": [2, 2]}),
    "pads and output padding": (
        (4, 5, 3, 3),
        {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]},
    ),
    "groups": ((4, 3, 2, 4), {"strides": [3, 2], "group": 2, "pads": [0, 1, 1, 0]}),
    "dilation": ((4, 5, 3, 3), {"dilations": [2, 2], "strides": [1, 3]}),
    "padding beyond the kernel": ((4, 5, 2, 2), {"strides": [4, 4], "output_padding": [3, 2]}),
    "same upper": ((4, 5, 3, 3), {"strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    "same lower": ((4, 5, 3, 3), {"strides": [2, 2], "auto_pad": "SAME_LOWER"}),
    "output shape": ((4, 5, 3, 3), {"strides": [2, 2], "output_shape": [14, 12]}),
}


@pytest.mark.parametrize("name", sorted(TRANSPOSED))
def test_transposed_convolution(make_onnx: Build, name: str) -> None:
    shape, attributes = TRANSPOSED[name]
    filters = shape[1] * attributes.get("group", 1)
    node = make_node("ConvTranspose", ["x", "w", "b"], ["y"], **attributes)
    check(make_onnx([node], {"x": [4, 7, 6]}, {"w": draw(*shape), "b": draw(filters)}))


def test_transposed_convolution_of_a_signal(make_onnx: Build) -> None:
    node = make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2], pads=[1, 1])
    data = make_onnx([node], {"x": [4, 9]}, {"w": draw(4, 5, 4)})
    check(data, RNG.normal(size=(48, 4, 9)).astype(np.float32))


def test_phases_have_every_weight_once() -> None:
    weight = RNG.normal(size=(4, 3, 5, 4))
    made = phase_weights(weight, 2, (2, 3), (1, 1))
    assert made.shape == (2 * 2 * 3 * 3, 2, 3, 2)
    assert sorted(made[made != 0]) == sorted(weight.reshape(-1))


def test_wide_activations_use_the_convolution_of_their_own(make_onnx: Build) -> None:
    node = make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])
    data = make_onnx([node], {"x": [4, 7, 6]}, {"w": draw(8, 4, 3, 3)})
    model = compile_onnx(data, IMAGES, precision="int16").model
    convolutions = [item for item in model.instructions if isinstance(item, op.Conv)]
    assert [model.type_of(item.x).dtype for item in convolutions] == [DType.S16]


MODES = [
    (mode, how)
    for mode in ("nearest", "linear", "cubic")
    for how in ("half_pixel", "asymmetric", "align_corners")
]


@pytest.mark.parametrize(("mode", "how"), MODES)
def test_resize(make_onnx: Build, mode: str, how: str) -> None:
    node = make_node("Resize", ["x", "", "s"], ["y"], mode=mode, coordinate_transformation_mode=how)
    data = make_onnx([node], {"x": [4, 7, 6]}, {"s": np.array([1, 1, 2, 1.5], np.float32)})
    check(data, limits={"wide": 2e-5, "int8": 0.03})


def test_nearest_resize_by_whole_factors_moves_and_repeats_only(make_onnx: Build) -> None:
    node = make_node("Resize", ["x", "", "s"], ["y"], mode="nearest")
    data = make_onnx([node], {"x": [4, 7, 6]}, {"s": np.array([1, 1, 2, 3], np.float32)})
    compiled = compile_onnx(data, IMAGES, precision="int8")
    kinds = {type(item) for item in compiled.model.instructions}
    assert kinds <= {op.Reshape, op.Expand, op.Transpose}


def test_upsample_of_old_files(make_onnx: Build) -> None:
    node = make_node("Upsample", ["x", "s"], ["y"], mode="nearest")
    data = make_onnx([node], {"x": [4, 7, 6]}, {"s": np.array([1, 1, 2, 3], np.float32)}, opset=9)
    check(data)


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_to_space(make_onnx: Build, mode: str) -> None:
    node = make_node("DepthToSpace", ["x"], ["y"], blocksize=2, mode=mode)
    check(make_onnx([node], {"x": [4, 7, 6]}))


def test_space_to_depth(make_onnx: Build) -> None:
    node = make_node("SpaceToDepth", ["x"], ["y"], blocksize=2)
    check(make_onnx([node], {"x": [4, 6, 6]}), IMAGES[:, :, :6])


def test_local_response_normalisation(make_onnx: Build) -> None:
    node = make_node("LRN", ["x"], ["y"], size=3, alpha=0.2, beta=0.6, bias=1.5)
    check(make_onnx([node], {"x": [4, 7, 6]}))


@pytest.mark.parametrize(
    ("operator", "width", "attributes", "opset"),
    [
        ("InstanceNormalization", 4, {}, 17),
        ("GroupNormalization", 4, {"num_groups": 2}, 21),
    ],
)
def test_group_and_instance_normalisation(
    make_onnx: Build, operator: str, width: int, attributes: dict[str, int], opset: int
) -> None:
    node = make_node(operator, ["x", "s", "b"], ["y"], **attributes)
    constants = {"s": draw(width) + 1, "b": draw(width)}
    check(
        make_onnx([node], {"x": [4, 7, 6]}, constants, opset=opset),
        limits={"wide": 1e-4, "int16": 6e-3, "int8": 0.03},
    )


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge"])
def test_pad_modes(make_onnx: Build, mode: str) -> None:
    node = make_node("Pad", ["x", "p"], ["y"], mode=mode)
    check(make_onnx([node], {"x": [4, 7, 6]}, {"p": np.array([0, 0, 1, 2, 0, 0, 2, 1])}))


def test_negative_pads_cut_and_negative_steps_reverse(make_onnx: Build) -> None:
    nodes = [
        make_node("Pad", ["x", "p"], ["h"]),
        make_node("Slice", ["h", "from", "to", "axes", "steps"], ["y"]),
    ]
    constants = {
        "p": np.array([0, 0, -1, 2, 0, 0, 2, -1]),
        "from": np.array([-1, 1]),
        "to": np.array([-100, 5]),
        "axes": np.array([2, 3]),
        "steps": np.array([-1, 2]),
    }
    check(make_onnx(nodes, {"x": [4, 7, 6]}, constants))


def test_averages_of_border_windows_at_every_precision(make_onnx: Build) -> None:
    node = make_node(
        "AveragePool", ["x"], ["y"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2]
    )
    check(make_onnx([node], {"x": [4, 7, 6]}))


def test_volumes_are_refused(make_onnx: Build) -> None:
    node = make_node("ConvTranspose", ["x", "w"], ["y"], name="up")
    data = make_onnx([node], {"x": [2, 3, 3, 3]}, {"w": draw(2, 2, 2, 2, 2)})
    with pytest.raises(CompileError, match="3 spatial axes") as caught:
        compile_onnx(data, RNG.normal(size=(4, 2, 3, 3, 3)).astype(np.float32))
    assert (caught.value.operator, caught.value.node) == ("ConvTranspose", "up")
