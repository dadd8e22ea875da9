"""The committed artifacts are what the sources compile to, and speak the ABI that we implement."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from genesis.predeploys import artifact
from precompiles.abi import selector
from precompiles.inference import Inference
from precompiles.model_store import ModelStore
from precompiles.registry import FUNCTIONS

ROOT = Path(__file__).parent.parent.parent
CONTRACTS = ROOT / "contracts"
ARTIFACTS = ROOT / "genesis" / "artifacts"


def test_artifacts_are_reproducible(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    if not (CONTRACTS / "node_modules" / "solc").is_dir():
        pytest.skip("solc is not installed: run npm ci in contracts/")
    script = [node, str(CONTRACTS / "compile.mjs"), "--out", str(tmp_path)]
    subprocess.run(script, check=True, capture_output=True, timeout=120)
    built = {path.name: path.read_text() for path in tmp_path.glob("*.json")}
    names = {path.name for path in ARTIFACTS.glob("*.json")} - {"system_contracts.json"}
    assert set(built) == names
    assert built == {name: (ARTIFACTS / name).read_text() for name in names}
    elsewhere = {"test": Path(__file__).parent, "bench": ROOT / "tools" / "bench"}
    for name, folder in elsewhere.items():
        for path in (folder / "artifacts").glob("*.json"):
            assert (tmp_path / name / path.name).read_text() == path.read_text()


def canonical(item: dict[str, Any]) -> str:
    """``name(type,…)`` of an ABI entry."""

    def kind(parameter: dict[str, Any]) -> str:
        text: str = parameter["type"]
        if text.startswith("tuple"):
            inner = ",".join(kind(part) for part in parameter["components"])
            return f"({inner}){text[5:]}"
        return text

    return f"{item['name']}({','.join(kind(part) for part in item['inputs'])})"


def results(item: dict[str, Any]) -> tuple[str, ...]:
    return tuple(canonical({"name": "", "inputs": [part]})[1:-1] for part in item["outputs"])


@pytest.mark.parametrize(
    ("name", "functions"),
    [
        ("IModelRegistry", FUNCTIONS),
        ("IInference", Inference(ModelStore())._functions),
    ],
)
def test_native_accounts_implement_exactly_their_interface(name: str, functions: Any) -> None:
    declared = {
        selector(canonical(item)): (results(item), item["stateMutability"] == "nonpayable")
        for item in artifact(name)["abi"]
        if item["type"] == "function"
    }
    assert declared == {key: (item.returns, item.writes) for key, item in functions.items()}
    assert all(returned for returned, _ in declared.values())


def source_signatures(kind: str) -> set[str]:
    """Signatures of errors or events that the Python sources name."""
    text = "".join(
        (ROOT / "precompiles" / f"{name}.py").read_text()
        for name in ("abi", "border", "dispatch", "inference", "registry", "repositories")
    )
    names = {
        canonical(item)
        for contract in ("IInference", "IModelRegistry")
        for item in artifact(contract)["abi"]
        if item["type"] == kind
    }
    return {signature for signature in names if f'"{signature}"' in text}


@pytest.mark.parametrize("kind", ["error", "event"])
def test_every_declared_error_and_event_is_used(kind: str) -> None:
    declared = {
        canonical(item)
        for contract in ("IInference", "IModelRegistry")
        for item in artifact(contract)["abi"]
        if item["type"] == kind
    }
    assert declared - source_signatures(kind) <= {"DelegateCallNotSupported()"}


def test_every_raised_error_is_declared() -> None:
    import re

    declared = {
        canonical(item)
        for contract in ("IInference", "IModelRegistry")
        for item in artifact(contract)["abi"]
        if item["type"] == "error"
    }
    raised = set()
    for path in (ROOT / "precompiles").glob("*.py"):
        raised |= set(re.findall(r'PrecompileRevert\(\s*"(\w+\([\w,]*\))"', path.read_text()))
    assert len(raised) > 20
    assert raised <= declared


def test_artifacts_name_one_compiler() -> None:
    compilers = {
        json.loads(path.read_text()).get("compiler")
        for path in ARTIFACTS.glob("*.json")
        if path.name != "system_contracts.json"
    }
    assert compilers == {"0.8.37+commit.f401782d.Emscripten.clang"}
