"""One digest on every target, and a code cache that never serves yesterday's arithmetic."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from llvmlite.binding import get_host_cpu_features

from precompiles.kernels import jit
from precompiles.kernels.sources import digest_of, imports_of, modules_of, read_sources
from precompiles.precompile import all_kernels
from precompiles.selftest import reference_digest

PROCESSORS = {
    "generic": "sse2",
    "x86-64-v2": "sse4.2",
    "x86-64-v3": "avx2",
    "x86-64-v4": "avx512bw",
    "haswell": "avx2",
    "znver2": "avx2",
    "skylake-avx512": "avx512bw",
    "icelake-server": "avx512vnni",
}
"""Target -> what its code needs of the machine that runs it."""

RUNNABLE = [name for name, need in PROCESSORS.items() if get_host_cpu_features().get(need)]
ALDERLAKE = "+avxvnni" if get_host_cpu_features().get("avxvnni") else "-avxvnni"
ROOT = Path(jit.__file__).parent.parent.parent
PRINT_DIGEST = "from precompiles.selftest import kernel_digest; print(kernel_digest())"
TWO_THREADS = """
from concurrent.futures import ThreadPoolExecutor
from precompiles.selftest import kernel_digest
with ThreadPoolExecutor(2) as pool:
    first, second = pool.map(lambda _: kernel_digest(), range(2))
print(first if first == second else "the threads differ")
"""


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
        timeout=1500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def digest() -> str:
    """What the twins say."""
    return reference_digest()


def test_without_the_compiler_the_digest_is_the_same(tmp_path: Path, digest: str) -> None:
    assert run_python(PRINT_DIGEST, tmp_path, NUMBA_DISABLE_JIT="1") == digest
    assert list(tmp_path.iterdir()) == []


def test_without_numba_the_digest_is_the_same(tmp_path: Path, digest: str) -> None:
    blocked = "import sys; sys.modules['numba'] = None; sys.modules['llvmlite'] = None\n"
    assert run_python(blocked + PRINT_DIGEST, tmp_path) == digest


@pytest.mark.slow
@pytest.mark.timeout(1600)  # each compiles every kernel
@pytest.mark.parametrize(
    "environment",
    [
        {},
        *({"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": ""} for name in RUNNABLE),
        {"NUMBA_CPU_NAME": "alderlake", "NUMBA_CPU_FEATURES": ALDERLAKE},
        {"NUMBA_OPT": "0"},
        {"NUMBA_OPT": "1"},
        {"NUMBA_BOUNDSCHECK": "1"},
    ],
    ids=str,
)
def test_every_target_gives_the_same_digest(
    tmp_path: Path, environment: dict[str, str], digest: str
) -> None:
    assert run_python(PRINT_DIGEST, tmp_path, **environment) == digest


def test_two_threads_at_once_give_the_same_digest(digest: str) -> None:
    cache = jit.cache_root()
    cache.mkdir(parents=True, exist_ok=True)
    assert run_python(TWO_THREADS, cache) == digest


def test_importing_the_runner_does_not_import_numba(tmp_path: Path) -> None:
    script = "import sys, precompiles.runner, precompiles.selftest; print('numba' in sys.modules)"
    assert run_python(script, tmp_path) == "False"


FILL = """
import numpy as np
from precompiles.kernels.border import fill_border
memory, args = np.zeros(9, np.uint8), np.array([0, 1, 1, 1, 1, 1, 1, 255, 1])
fill_border(memory, memory, args, 1)
print(*memory)
"""
FILLED = "255 255 255 255 0 255 255 255 255"


def test_an_edited_kernel_is_never_served_from_the_cache(tmp_path: Path) -> None:
    """An edit that leaves file size, file time and the byte code as they were."""
    copy, cache = tmp_path / "copy", tmp_path / "cache"
    skip = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "precompiles", copy / "precompiles", ignore=skip)
    cache.mkdir()
    assert run_python(FILL, cache, copy) == FILLED
    folders = list((cache / "kernels").iterdir())
    assert run_python(FILL, cache, copy) == FILLED
    assert list((cache / "kernels").iterdir()) == folders
    source = copy / "precompiles" / "kernels" / "border.py"
    stamp, text = source.stat(), source.read_text()
    source.write_text(text.replace("value & 255", "value & 254"))
    os.utime(source, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert source.read_text() != text
    assert (source.stat().st_size, source.stat().st_mtime_ns) == (stamp.st_size, stamp.st_mtime_ns)
    assert run_python(FILL, cache, copy) == FILLED.replace("255", "254")
    assert len(list((cache / "kernels").iterdir())) == 2


HITS = """
from precompiles.kernels.border import fill_border
print(sum(fill_border.compiled().stats.cache_hits.values()))
"""


def test_processes_wait_for_the_one_that_compiles(tmp_path: Path) -> None:
    pytest.importorskip("numba")
    with ThreadPoolExecutor(3) as pool:
        hits = list(pool.map(lambda _: run_python(HITS, tmp_path), range(3)))
    assert sorted(hits) == ["0", "1", "1"]


def test_a_killed_compiler_keeps_nobody_waiting(tmp_path: Path) -> None:
    """The lock falls with its holder."""
    pytest.importorskip("numba")
    died = (
        "import os\n"
        "from precompiles.kernels import border, jit\n"
        "jit._register_subroutines = lambda: None\n"
        "import numba\n"
        "source = border.fill_border.source\n"
        "folder = jit.cache_folder(numba, jit.source_digest(source))\n"
        "jit.make_private(folder)\n"
        "with jit._alone(folder, source):\n"
        "    print('held', flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    with pytest.raises(AssertionError):
        run_python(died, tmp_path)
    assert run_python(FILL, tmp_path) == FILLED


@pytest.fixture
def numba() -> object:
    return pytest.importorskip("numba")


SOURCES = {
    "jit": b"import ast",
    "arrays": b"",
    "tile": b"from precompiles.kernels.arrays import U8",
    "llvm_tile": b"from precompiles.kernels import llvm_lanes, tile",
    "llvm_lanes": b"",
    "clip": b"from precompiles.kernels.jit import kernel",
    "gemm": b"def f():\n  from p.kernels.layout import pack\n  import p.kernels.tile",
    "layout": b"from . import clip",
    "trees": b"from precompiles.kernels.jit import kernel",
    "llvm_trees": b"from precompiles.kernels import jit, trees",
}


@pytest.mark.parametrize("edited", sorted(SOURCES))
def test_the_folder_changes_with_every_file_a_kernel_depends_on(edited: str) -> None:
    """``gemm`` calls pack, which calls clip, and the tile, which an intrinsic stands behind."""
    changed = {**SOURCES, edited: SOURCES[edited] + b"#"}
    gemm = {"jit", "arrays", "gemm", "tile", "llvm_tile", "llvm_lanes", "layout", "clip"}
    clip = {"jit", "arrays", "clip"}
    for module, needed in (("gemm", gemm), ("clip", clip), ("elsewhere", set(SOURCES))):
        before = digest_of([module], SOURCES, imports_of(SOURCES))
        assert (digest_of([module], changed, imports_of(changed)) != before) == (edited in needed)


def test_a_made_kernel_depends_on_what_it_closes_over() -> None:
    def make(inner: Callable[[], int], size: int) -> Callable[[], int]:
        return lambda: inner() + size

    outer = make(make(imports_of, 1), 2)  # type: ignore[arg-type]
    assert modules_of(outer) == {__name__, "precompiles.kernels.sources"}
    with pytest.raises(TypeError, match="closes over"):
        modules_of(make(outer, [1]))  # type: ignore[arg-type]


def test_every_kernel_depends_on_the_files_it_is_in() -> None:
    sources = read_sources(jit.KERNEL_FOLDER)
    imports = imports_of(sources)
    package = jit.__name__.rpartition(".")[0]
    for item in all_kernels():
        if not item.source.__module__.startswith(package):
            continue  # a kernel of another test
        modules = [name.rpartition(".")[2] for name in modules_of(item.source)]
        assert set(modules) <= sources.keys()
        before = digest_of(modules, sources, imports)
        for name in modules:
            edited = {**sources, name: sources[name] + b"#"}
            assert digest_of(modules, edited, imports) != before


@pytest.mark.parametrize("switch", ["OPT", "CPU_NAME", "CPU_FEATURES", "BOUNDSCHECK"])
def test_the_folder_name_changes_with_compile_switches(
    switch: str, numba: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = jit.cache_folder(numba, "digest")
    monkeypatch.setattr(f"numba.config.{switch}", "another")
    assert jit.cache_folder(numba, "digest") != before


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
    assert run_python(FILL, tmp_path, ASSAY_CACHE_DIR=str(tmp_path / "file")) == FILLED


def test_the_cache_root_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASSAY_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert jit.cache_root() == Path("/elsewhere/assay")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert jit.cache_root() == Path.home() / ".cache" / "assay"
    monkeypatch.setenv("ASSAY_CACHE_DIR", "/chosen")
    assert jit.cache_root() == Path("/chosen")
