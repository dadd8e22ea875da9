"""One digest on every target, and a code cache that never serves yesterday's arithmetic."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from precompiles.kernels import jit
from precompiles.selftest import KERNEL_DIGEST

ROOT = Path(jit.__file__).parent.parent.parent
PRINT_DIGEST = "from precompiles.selftest import kernel_digest; print(kernel_digest())"


def run_python(script: str, cache: Path, root: Path = ROOT, **environment: str) -> str:
    """Output of a fresh interpreter with its own kernel cache."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("NUMBA_")}
    fixed = {"ASSAY_CACHE_DIR": str(cache), "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env={**kept, **fixed, **environment},
        cwd=cache,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_without_the_compiler_the_digest_is_the_same(tmp_path: Path) -> None:
    assert run_python(PRINT_DIGEST, tmp_path, NUMBA_DISABLE_JIT="1") == KERNEL_DIGEST
    assert list(tmp_path.iterdir()) == []


def test_without_numba_the_digest_is_the_same(tmp_path: Path) -> None:
    blocked = "import sys; sys.modules['numba'] = None; sys.modules['llvmlite'] = None\n"
    assert run_python(blocked + PRINT_DIGEST, tmp_path) == KERNEL_DIGEST


def test_a_generic_processor_gives_the_same_digest(tmp_path: Path) -> None:
    digest = run_python(PRINT_DIGEST, tmp_path, NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="")
    assert digest == KERNEL_DIGEST


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"NUMBA_CPU_NAME": "x86-64-v2", "NUMBA_CPU_FEATURES": ""},
        {"NUMBA_CPU_NAME": "x86-64-v3", "NUMBA_CPU_FEATURES": ""},
        {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": ""},
        {"NUMBA_OPT": "0"},
        {"NUMBA_OPT": "1"},
        {"NUMBA_BOUNDSCHECK": "1"},
    ],
    ids=str,
)
def test_every_target_gives_the_same_digest(tmp_path: Path, environment: dict[str, str]) -> None:
    assert run_python(PRINT_DIGEST, tmp_path, **environment) == KERNEL_DIGEST


def test_importing_the_runner_does_not_import_numba(tmp_path: Path) -> None:
    script = "import sys, precompiles.runner, precompiles.selftest; print('numba' in sys.modules)"
    assert run_python(script, tmp_path) == "False"


RUN_TIES = """
import numpy as np
from precompiles.kernels.integer import multiply_integer
out = np.empty(1, np.int64)
multiply_integer(np.array([3]), np.array([4]), 3, out)
print(out[0])
"""


def test_an_edited_kernel_is_never_served_from_the_cache(tmp_path: Path) -> None:
    """An edit that leaves file size, file time and the byte code as they were."""
    copy, cache = tmp_path / "copy", tmp_path / "cache"
    skip = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "precompiles", copy / "precompiles", ignore=skip)
    cache.mkdir()
    assert run_python(RUN_TIES, cache, copy) == "2"
    folders = list((cache / "kernels").iterdir())
    assert run_python(RUN_TIES, cache, copy) == "2"
    assert list((cache / "kernels").iterdir()) == folders
    source = copy / "precompiles" / "kernels" / "integer.py"
    stamp, text = source.stat(), source.read_text()
    half = "np.int64({0}) << np.int64(shift - {0})"
    source.write_text(text.replace(half.format(1), half.format(3)))
    os.utime(source, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert source.read_text() != text
    assert (source.stat().st_size, source.stat().st_mtime_ns) == (stamp.st_size, stamp.st_mtime_ns)
    assert run_python(RUN_TIES, cache, copy) == "1"
    assert len(list((cache / "kernels").iterdir())) == 2


@pytest.fixture
def numba() -> object:
    return pytest.importorskip("numba")


def test_the_folder_name_changes_with_every_source_byte(tmp_path: Path, numba: object) -> None:
    shutil.copytree(jit.KERNEL_FOLDER, tmp_path / "kernels", ignore=lambda *_: ["__pycache__"])
    folder = tmp_path / "kernels"
    before = jit.cache_folder(numba, folder)
    assert before == jit.cache_folder(numba, folder)
    assert before == jit.cache_folder(numba)
    for path in sorted(folder.glob("*.py")):
        text = path.read_bytes()
        path.write_bytes(text + b"#")
        assert jit.cache_folder(numba, folder) != before
        path.write_bytes(text)
    (folder / "gemm.py").rename(folder / "gemm2.py")
    assert jit.cache_folder(numba, folder) != before


@pytest.mark.parametrize("switch", ["OPT", "CPU_NAME", "CPU_FEATURES", "BOUNDSCHECK"])
def test_the_folder_name_changes_with_compile_switches(
    switch: str, numba: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = jit.cache_folder(numba)
    monkeypatch.setattr(f"numba.config.{switch}", "another")
    assert jit.cache_folder(numba) != before


def test_a_folder_that_others_may_write_to_is_not_used(tmp_path: Path) -> None:
    private = tmp_path / "a" / "b"
    assert jit.make_private(private)
    assert private.stat().st_mode & 0o777 == 0o700
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    assert not jit.make_private(shared)
    (tmp_path / "link").symlink_to(private)
    assert not jit.make_private(tmp_path / "link")
    (tmp_path / "file").write_text("")
    assert not jit.make_private(tmp_path / "file")
    assert not jit.make_private(tmp_path / "file" / "below")


def test_kernels_run_when_no_cache_folder_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert run_python(RUN_TIES, tmp_path, ASSAY_CACHE_DIR=str(tmp_path / "file")) == "2"


def test_the_cache_root_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASSAY_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert jit.cache_root() == Path("/elsewhere/assay")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert jit.cache_root() == Path.home() / ".cache" / "assay"
    monkeypatch.setenv("ASSAY_CACHE_DIR", "/chosen")
    assert jit.cache_root() == Path("/chosen")
