"""The wheel and the environment hold what the repository holds."""

import importlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = ("genesis", "precompiles", "chain", "consensus", "rpc", "tools")


@pytest.mark.parametrize("floor", FLOORS)
def test_every_floor_is_imported_from_this_repository(floor: str) -> None:
    origin = importlib.import_module(floor).__file__
    assert origin is not None
    assert Path(origin).is_relative_to(ROOT)


def test_the_wheel_carries_code_and_data(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    tracked = {
        str(path.relative_to(ROOT))
        for floor in FLOORS
        for path in (ROOT / floor).rglob("*")
        if path.is_file() and path.suffix in {".py", ".json", ".onnx"}
    }
    assert tracked <= packed, sorted(tracked - packed)
    assert not any(name.startswith("tests/") for name in packed)
