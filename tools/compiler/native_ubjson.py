"""Universal Binary JSON, as xgboost writes it: a small strict reader.

Format: ubjson.org, draft 12, with the optimised containers (one type, a count) of arrays.
"""

import struct
from typing import Any

import numpy as np

from tools.compiler.errors import CompileError

_MAX_DEPTH = 32
_MAX_ELEMENTS = 1 << 27
_NUMBERS = {"i": ">i1", "U": ">u1", "I": ">i2", "l": ">i4", "L": ">i8", "d": ">f4", "D": ">f8"}
_INTEGERS = "iUIlL"
_CONSTANTS = {"Z": None, "T": True, "F": False}


def read_ubjson(data: bytes) -> Any:
    """Dictionaries, lists, strings, numbers, booleans; typed arrays become lists.

    Raises:
        CompileError: truncated, trailing bytes, too deep, or a type that xgboost does not write.
    """
    reader = _Reader(data)
    try:
        value = reader.value(reader.marker(), 0)
    except (struct.error, UnicodeDecodeError, IndexError) as error:
        raise CompileError(f"not a UBJSON file: {error}", advice="save the model again") from error
    if reader.place != len(data):
        raise _wrong(f"{len(data) - reader.place} bytes follow the value")
    return value


def _wrong(reason: str) -> CompileError:
    return CompileError(f"not a UBJSON file: {reason}", advice="save the model again")


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.place = 0

    def take(self, count: int) -> bytes:
        if count < 0 or count > len(self.data) - self.place:
            raise _wrong(f"{count} bytes wanted at {self.place}, the file ends")
        self.place += count
        return self.data[self.place - count : self.place]

    def marker(self) -> str:
        return self.take(1).decode("ascii")

    def count(self) -> int:
        """A length: an integer of any width, not negative."""
        marker = self.marker()
        if marker not in _INTEGERS:
            raise _wrong(f"a length of type {marker!r} at {self.place}")
        value = int(self.number(marker))
        if not 0 <= value <= _MAX_ELEMENTS:
            raise _wrong(f"a length of {value} at {self.place}")
        return value

    def number(self, marker: str) -> float:
        kind = np.dtype(_NUMBERS[marker])
        value: float = np.frombuffer(self.take(kind.itemsize), kind)[0].item()
        return value

    def value(self, marker: str, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise _wrong(f"values nest deeper than {_MAX_DEPTH}")
        if marker in _NUMBERS:
            return self.number(marker)
        if marker in _CONSTANTS:
            return _CONSTANTS[marker]
        if marker == "S":
            return self.take(self.count()).decode("utf-8")
        if marker == "C":
            return self.take(1).decode("ascii")
        if marker == "{":
            return self.object(depth)
        if marker == "[":
            return self.array(depth)
        raise _wrong(f"type {marker!r} at {self.place}")

    def array(self, depth: int) -> list[Any]:
        kind, count = self.header()
        if kind in _NUMBERS:
            dtype = np.dtype(_NUMBERS[kind])
            typed: list[Any] = np.frombuffer(self.take(count * dtype.itemsize), dtype).tolist()
            return typed
        if count >= 0:
            return [self.value(kind or self.marker(), depth + 1) for _ in range(count)]
        items = []
        while (marker := self.marker()) != "]":
            items.append(self.value(marker, depth + 1))
        return items

    def object(self, depth: int) -> dict[str, Any]:
        kind, count = self.header()
        items: dict[str, Any] = {}
        while count != len(items):
            if count < 0 and self.data[self.place : self.place + 1] == b"}":
                self.place += 1
                break
            key = self.take(self.count()).decode("utf-8")
            if key in items:
                raise _wrong(f"key {key!r} twice")
            items[key] = self.value(kind or self.marker(), depth + 1)
        return items

    def header(self) -> tuple[str, int]:
        """Type and count of an optimised container; "" and -1 where they are not given."""
        kind = ""
        if self.data[self.place : self.place + 1] == b"$":
            self.place += 1
            kind = self.marker()
        if self.data[self.place : self.place + 1] == b"#":
            self.place += 1
            return kind, self.count()
        if kind:
            raise _wrong(f"a typed container without a count at {self.place}")
        return "", -1
