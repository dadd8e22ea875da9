"""Reasons of reverts: ``Error(string)``, ``Panic(uint256)`` and the custom errors of built-in ABIs.

The text goes behind geth's fixed prefix; clients keep decoding the data by themselves.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

from precompiles import abi
from precompiles.errors import PrecompileRevert

ERROR_STRING: Final = bytes.fromhex("08c379a0")
PANIC: Final = bytes.fromhex("4e487b71")

_PANIC_TEXTS: Final = {
    0x01: "assert(false)",
    0x11: "arithmetic underflow or overflow",
    0x12: "division or modulo by zero",
    0x21: "enum overflow",
    0x22: "invalid encoded storage byte array accessed",
    0x31: "out-of-bounds array access; popping on an empty array",
    0x32: "out-of-bounds access of an array or bytesN",
    0x41: "out of memory",
    0x51: "uninitialized function",
}
"""geth's texts, core/vm and accounts/abi."""


@dataclass(frozen=True, slots=True)
class AbiError:
    """A Solidity custom error.

    Attributes:
        name: without parameters.
        types: canonical ABI types of the parameters.
    """

    name: str
    types: tuple[str, ...]

    @property
    def selector(self) -> bytes:
        """First four bytes of the signature's keccak256."""
        return abi.selector(f"{self.name}({','.join(self.types)})")


def revert_reason(output: bytes) -> str:
    """Readable reason of revert data; the empty string where nothing is known about it."""
    selector = output[:4]
    if selector == PANIC and len(output) == 36:
        code = int.from_bytes(output[4:], "big")
        return _PANIC_TEXTS.get(code, f"unknown panic code: {code:#x}")
    if selector == ERROR_STRING:
        values = _decode(("string",), output[4:])
        return str(values[0]) if values else ""
    error = built_in_errors().get(selector)
    if error is None:
        return ""
    values = _decode(error.types, output[4:])
    if values is None:
        return ""
    return f"{error.name}({', '.join(_show(value) for value in values)})"


@cache
def built_in_errors() -> Mapping[bytes, AbiError]:
    """Custom errors of every contract in ``genesis/artifacts``, by selector; read once."""
    errors: dict[bytes, AbiError] = {}
    for file in resources.files("genesis").joinpath("artifacts").iterdir():
        if file.name.endswith(".json"):
            errors |= {e.selector: e for e in _errors_of(json.loads(file.read_text()))}
    return errors


def _errors_of(artifact: Mapping[str, Any]) -> Iterator[AbiError]:
    """Errors of one committed artifact; the file of system contracts has no ABI."""
    for item in artifact.get("abi", ()):
        if item["type"] == "error":
            yield AbiError(item["name"], tuple(_canonical(part) for part in item["inputs"]))


def _canonical(parameter: Mapping[str, Any]) -> str:
    """ABI type with tuples written out."""
    kind: str = parameter["type"]
    if not kind.startswith("tuple"):
        return kind
    inner = ",".join(_canonical(part) for part in parameter["components"])
    return f"({inner}){kind.removeprefix('tuple')}"


def _decode(types: tuple[str, ...], data: bytes) -> tuple[object, ...] | None:
    """ABI-decoded values, or None: a contract may revert with anything."""
    try:
        return abi.decode(types, data)
    except PrecompileRevert:
        return None


def _show(value: object) -> str:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, str) and not value.startswith("0x"):
        return json.dumps(value)
    return str(value).lower() if isinstance(value, bool) else str(value)
