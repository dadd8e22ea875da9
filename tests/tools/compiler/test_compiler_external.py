"""Weights in files beside the model, and dynamic dimensions."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx.helper import make_node

from tools.cli import cli
from tools.compiler import CompileError, compile_onnx

Build = Callable[..., bytes]
RNG = np.random.default_rng(2)
ROWS = RNG.normal(size=(40, 6)).astype(np.float32)
WEIGHT = RNG.normal(size=(6, 4)).astype(np.float32)


@pytest.fixture
def external(make_onnx: Build, tmp_path: Path) -> Path:
    """A dense layer whose weights lie in ``weights.bin`` beside the file."""
    data = make_onnx([make_node("MatMul", ["x", "w"], ["y"])], {"x": [6]}, {"w": WEIGHT})
    path = tmp_path / "net.onnx"
    onnx.save_model(
        onnx.load_model_from_string(data),
        str(path),
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    return path


def changed(path: Path, key: str, value: str) -> Path:
    """The file with another entry in the description of its external tensor."""
    model = onnx.load(path, load_external_data=False)
    entries = model.graph.initializer[0].external_data
    for entry in entries:
        if entry.key == key:
            entry.value = value
    path.write_bytes(model.SerializeToString())
    return path


def test_weights_beside_the_model(external: Path, make_onnx: Build) -> None:
    inside = make_onnx([make_node("MatMul", ["x", "w"], ["y"])], {"x": [6]}, {"w": WEIGHT})
    assert compile_onnx(external, ROWS).model_id == compile_onnx(inside, ROWS).model_id


def test_bytes_cannot_name_files(external: Path) -> None:
    with pytest.raises(CompileError, match=r"given as bytes.*path of the ONNX file"):
        compile_onnx(external.read_bytes(), ROWS)


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/passwd", "", "."])
def test_locations_outside_the_folder(external: Path, location: str) -> None:
    secret = external.parent.parent / "weights.bin"
    secret.write_bytes(bytes(1000))
    with pytest.raises(CompileError, match="outside the model's folder"):
        compile_onnx(changed(external, "location", location), ROWS)


def test_links_out_of_the_folder(external: Path, tmp_path_factory: Any) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "weights.bin"
    elsewhere.write_bytes(bytes(1000))
    (external.parent / "weights.bin").unlink()
    (external.parent / "weights.bin").symlink_to(elsewhere)
    with pytest.raises(CompileError, match="outside the model's folder"):
        compile_onnx(external, ROWS)


def test_missing_and_short_files(external: Path) -> None:
    data = external.parent / "weights.bin"
    whole = data.read_bytes()
    data.write_bytes(whole[:-1])
    with pytest.raises(CompileError, match="truncated"):
        compile_onnx(external, ROWS)
    data.unlink()
    with pytest.raises(CompileError, match="no file beside the model"):
        compile_onnx(external, ROWS)


def pooled(make_onnx: Build) -> bytes:
    return make_onnx([make_node("GlobalAveragePool", ["x"], ["y"])], {"x": [3, "h", "w"]})


def test_samples_fix_dynamic_dimensions(make_onnx: Build) -> None:
    images = RNG.normal(size=(10, 3, 8, 5)).astype(np.float32)
    compiled = compile_onnx(pooled(make_onnx), images)
    assert compiled.model.type_of(compiled.model.inputs[0].value).shape == (3, 8, 5)


def test_shapes_fix_dynamic_dimensions(make_onnx: Build) -> None:
    flat = RNG.normal(size=(10, 120)).astype(np.float32)
    compiled = compile_onnx(pooled(make_onnx), flat, shapes={"x": (1, 3, 8, 5)})
    assert compiled.model.type_of(compiled.model.inputs[0].value).shape == (3, 8, 5)


@pytest.mark.parametrize(
    ("shapes", "text"),
    [
        ({"z": (1, 3, 8, 5)}, "inputs are"),
        ({"x": (1, 3, 8)}, "4 dimensions"),
        ({"x": (1, 4, 8, 5)}, "dimension 1 of input 'x' is 3"),
    ],
)
def test_shapes_that_do_not_fit(
    make_onnx: Build, shapes: dict[str, tuple[int, ...]], text: str
) -> None:
    with pytest.raises(CompileError, match=text):
        compile_onnx(pooled(make_onnx), np.ones((2, 3, 8, 5)), shapes=shapes)


def test_shape_on_the_command_line(make_onnx: Build, tmp_path: Path) -> None:
    model, samples = tmp_path / "net.onnx", tmp_path / "x.npy"
    model.write_bytes(pooled(make_onnx))
    np.save(samples, RNG.normal(size=(10, 120)).astype(np.float32))
    command = ["model", "compile", str(model), "--samples", str(samples)]
    done = CliRunner().invoke(cli, [*command, "--shape", "x=1,3,8,5"])
    assert done.exit_code == 0, done.output
    wrong = CliRunner().invoke(cli, [*command, "--shape", "x=1,3,eight"])
    assert wrong.exit_code != 0
    assert "NAME=1,3,224,224" in str(wrong.exception)
