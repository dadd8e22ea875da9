"""Other people's contracts: OpenZeppelin's compiled here, Uniswap's as published."""

import json
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from chain.receipts import Log
from precompiles.abi import decode, is_dynamic, selector, topic

HERE = Path(__file__).parent
PACKAGES = HERE / "node_modules"
_UNISWAP = {
    "UniswapV2Factory": "v2-core",
    "UniswapV2Pair": "v2-core",
    "UniswapV2Router02": "v2-periphery",
    "UniswapV1Factory": "v2-periphery",
    "UniswapV1Exchange": "v2-periphery",
    "ExampleFlashSwap": "v2-periphery",
    "ExampleOracleSimple": "v2-periphery",
    "ERC20": "v2-periphery",
    "DeflatingERC20": "v2-periphery",
    "WETH9": "v2-periphery",
}


@dataclass(frozen=True)
class Artifact:
    """A compiled contract: its ABI and the code that creates it."""

    abi: tuple[Mapping[str, Any], ...]
    bytecode: bytes


@dataclass(frozen=True, slots=True)
class Event:
    """A decoded log; ``arguments`` in the order of the declaration, indexed ones among them."""

    address: bytes
    name: str
    arguments: tuple[Any, ...]


def require_packages() -> str:
    """Path of Node; skips the test where it or the packages are missing."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed")
    if not (PACKAGES / "solc").is_dir():
        pytest.skip("run `npm ci --ignore-scripts` in tests/ecosystem first")
    return node


def compiled(cache_folder: Path, *options: str) -> dict[str, Artifact]:
    """Everything that ``compile.mjs`` compiles; remembered until its inputs change."""
    node = require_packages()
    inputs = [HERE / "compile.mjs", HERE / "package-lock.json", *sorted(HERE.glob("contracts/*"))]
    text = "\0".join([*options, *(path.read_text() for path in inputs)])
    path = cache_folder / f"{sha256(text.encode()).hexdigest()}.json"
    if not path.exists():
        command = [node, str(HERE / "compile.mjs"), *options]
        done = subprocess.run(command, capture_output=True, check=False, timeout=500)
        assert done.returncode == 0, done.stderr.decode()
        partial = path.with_suffix(".partial")
        partial.write_bytes(done.stdout)
        partial.rename(path)
    found = json.loads(path.read_text())
    assert {item["evmVersion"] for item in found.values()} <= {"osaka", ""}
    return {name: _artifact(item) for name, item in found.items()}


@cache
def uniswap() -> dict[str, Artifact]:
    """Uniswap v2 and its periphery from their packages, byte for byte."""
    require_packages()
    found = {}
    for name, package in _UNISWAP.items():
        path = PACKAGES / "@uniswap" / package / "build" / f"{name}.json"
        found[name] = _artifact(json.loads(path.read_text()))
    return found


def _artifact(item: Mapping[str, Any]) -> Artifact:
    bytecode = item["bytecode"] if "bytecode" in item else item["evm"]["bytecode"]["object"]
    return Artifact(tuple(item["abi"]), bytes.fromhex(bytecode.removeprefix("0x")))


def type_of(parameter: Mapping[str, Any]) -> str:
    """Canonical type of an ABI parameter; structs as tuples."""
    kind: str = parameter["type"]
    if kind.startswith("tuple"):
        return f"({','.join(map(type_of, parameter['components']))}){kind[5:]}"
    return kind


def signature_of(item: Mapping[str, Any]) -> str:
    """``name(type,type)`` of an ABI entry."""
    return f"{item['name']}({','.join(map(type_of, item['inputs']))})"


class Decoder:
    """Names events and errors of all the contracts that it was given."""

    def __init__(self, artifacts: Iterable[Artifact]) -> None:
        self._errors: dict[bytes, tuple[str, tuple[str, ...]]] = {
            selector("Error(string)"): ("Error", ("string",)),
            selector("Panic(uint256)"): ("Panic", ("uint256",)),
        }
        self._events: dict[tuple[bytes, int], Mapping[str, Any]] = {}
        for item in (item for artifact in artifacts for item in artifact.abi):
            if item["type"] == "error":
                types = tuple(map(type_of, item["inputs"]))
                self._errors[selector(signature_of(item))] = (item["name"], types)
            elif item["type"] == "event":
                topics = 1 + sum(part["indexed"] for part in item["inputs"])
                self._events[topic(signature_of(item)), topics] = item

    def error(self, data: bytes) -> tuple[Any, ...]:
        """(name, argument, ...) of revert data; only ("",) of none."""
        if not data:
            return ("",)
        name, types = self._errors[data[:4]]
        return (name, *decode(types, data[4:]))

    def event(self, log: Log) -> Event:
        """A log by its declaration; an indexed value of dynamic size stays a hash."""
        item = self._events[log.topics[0], len(log.topics)]
        plain = iter(
            decode([type_of(part) for part in item["inputs"] if not part["indexed"]], log.data)
        )
        topics = iter(log.topics[1:])
        values = []
        for part in item["inputs"]:
            if not part["indexed"]:
                values.append(next(plain))
            elif is_dynamic(type_of(part)):
                values.append(next(topics))
            else:
                values.append(decode([type_of(part)], next(topics))[0])
        return Event(log.address, item["name"], tuple(values))
