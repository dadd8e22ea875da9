"""Which format a model file has, by its first bytes."""

import os

from tools.compiler.errors import CompileError
from tools.compiler.native import NativeModel
from tools.compiler.native_lightgbm import is_lightgbm, read_lightgbm
from tools.compiler.native_xgboost import is_xgboost, read_xgboost

MAX_BYTES = 1 << 30
_HEAD = 256


def native_bytes(source: str | os.PathLike[str] | bytes) -> bytes | None:
    """The whole file when it is xgboost's or lightgbm's; None for anything else (ONNX).

    Raises:
        CompileError: the file cannot be read.
    """
    if isinstance(source, bytes):
        return source if _is_native(source) else None
    try:
        with open(source, "rb") as file:
            head = file.read(_HEAD)
            return head + file.read(MAX_BYTES) if _is_native(head) else None
    except OSError as error:
        raise CompileError(f"cannot read {os.fspath(source)}: {error.strerror}") from error


def _is_native(data: bytes) -> bool:
    return is_xgboost(data) or is_lightgbm(data)


def read_native(data: bytes) -> NativeModel:
    """Read a model that ``native_bytes`` found.

    Raises:
        CompileError: as its reader says.
    """
    return read_lightgbm(data) if is_lightgbm(data) else read_xgboost(data)
