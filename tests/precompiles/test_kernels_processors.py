"""Tests of elementwise, row, move, tree and jump kernels, once more as other machines run them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
FAMILIES = ("elementwise", "rows", "moves", "trees", "jumps")
SETTINGS = [
    {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""},
    {"NUMBA_CPU_NAME": "x86-64-v3", "NUMBA_CPU_FEATURES": ""},
    {"NUMBA_BOUNDSCHECK": "1"},
    {"NUMBA_DISABLE_JIT": "1"},
]


@pytest.mark.slow
@pytest.mark.parametrize("settings", SETTINGS, ids=lambda item: "-".join(item.values()))
def test_kernels_on_other_machines(tmp_path: Path, settings: dict[str, str]) -> None:
    files = [str(FOLDER / f"test_kernels_{family}.py") for family in FAMILIES]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files],
        env={**os.environ, "ASSAY_CACHE_DIR": str(tmp_path), **settings},
        cwd=FOLDER.parent.parent,
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
