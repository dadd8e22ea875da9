"""Weights that an ONNX file keeps in other files, read only from inside its own folder."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import onnx.external_data_helper

from tools.compiler.errors import CompileError

MAX_EXTERNAL_BYTES = 1 << 31
_ADVICE = "keep the data file beside the model, or export with the weights inside"


def load_external(model: Any, folder: Path | None) -> None:
    """Read all external tensors of a model into it.

    Args:
        model: an ``onnx.ModelProto``.
        folder: where the model's file lies; None when it came as bytes.

    Raises:
        CompileError: a location outside the folder, a missing or short file, too many bytes.
    """
    total = 0
    for tensor in _tensors(model.graph):
        if not onnx.external_data_helper.uses_external_data(tensor):
            continue
        info = onnx.external_data_helper.ExternalDataInfo(tensor)
        if folder is None:
            raise CompileError(
                f"weights {tensor.name!r} are in the file {info.location!r}, and the model was"
                " given as bytes",
                advice="give the path of the ONNX file",
            )
        path = _inside(folder, tensor.name, info.location)
        offset = int(info.offset or 0)
        length = path.stat().st_size - offset if info.length is None else int(info.length)
        total += max(length, 0)
        if total > MAX_EXTERNAL_BYTES:
            raise CompileError(
                f"external weights have more than {MAX_EXTERNAL_BYTES} bytes",
                advice="use a smaller model",
            )
        if offset < 0 or length < 0 or offset + length > path.stat().st_size:
            raise CompileError(
                f"weights {tensor.name!r} are bytes {offset} to {offset + length} of"
                f" {info.location!r}, which has {path.stat().st_size}",
                advice="the data file is truncated or of another export; export again",
            )
        with path.open("rb") as file:
            file.seek(offset)
            tensor.raw_data = file.read(length)
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]


def _inside(folder: Path, name: str, location: str) -> Path:
    """The data file, when it is a file inside the model's folder, links resolved."""
    root = folder.resolve()
    path = (root / location).resolve()
    if not location or not path.is_relative_to(root) or path == root:
        raise CompileError(
            f"weights {name!r} point to {location!r}, outside the model's folder", advice=_ADVICE
        )
    if not path.is_file():
        raise CompileError(
            f"weights {name!r} are in {location!r}, which is no file beside the model",
            advice=_ADVICE,
        )
    return path


def _tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            if attribute.HasField("g"):
                yield from _tensors(attribute.g)
