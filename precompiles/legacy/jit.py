"""``@kernel``: the only way to compile, and the cache that can never serve stale machine code.

A kernel is compiled once per process, at its first call, for one signature and with fixed flags
(no fast math, no threads inside, no hidden raise paths, the interpreter lock released). Machine
code is kept on disk in a private folder named by everything it depends on: the bytes of every
file of this package, Python, numba, llvmlite and numpy, and the CPU with its compile switches.
numba's own cache sees only the file of the function, which would let a node run yesterday's
arithmetic. Without numba the same functions run as plain Python, with the same integers.
"""

import hashlib
import os
import stat
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeVar

import numpy as np

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

KERNEL_FOLDER = Path(__file__).parent
_COMPILING = threading.RLock()
_SWITCHES = (
    "OPT",
    "LOOP_VECTORIZE",
    "SLP_VECTORIZE",
    "BOUNDSCHECK",
    "ENABLE_AVX",
    "CPU_NAME",
    "CPU_FEATURES",
    "DEBUGINFO_DEFAULT",
)


class Kernel(Generic[Parameters, Result]):
    """A function that becomes machine code at its first call; ``source`` is what it was."""

    __slots__ = ("_compiled", "signature", "source")

    def __init__(self, source: Callable[Parameters, Result], signature: str) -> None:
        self.source = source
        self.signature = signature
        self._compiled: Callable[Parameters, Result] | None = None

    def __call__(self, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        """Run the kernel, compiled where numba is at hand."""
        compiled = self._compiled
        if compiled is None:
            with _COMPILING:
                compiled = self._compiled = self._compiled or _compile(self.source, self.signature)
        return compiled(*args, **kwargs)


def kernel(
    signature: str,
) -> Callable[[Callable[Parameters, Result]], Kernel[Parameters, Result]]:
    """Mark a function of arrays and integers as a kernel.

    Args:
        signature: numba's types, e.g. ``"void(uint8[::1], int64)"``; arrays are C-contiguous.
    """

    def mark(function: Callable[Parameters, Result]) -> Kernel[Parameters, Result]:
        return Kernel(function, signature)

    return mark


def cache_folder(numba: Any, sources: Path = KERNEL_FOLDER) -> Path:
    """Folder for machine code made from ``sources`` by this ``numba`` on this CPU."""
    llvm = import_module("llvmlite.binding")
    digest = hashlib.sha256()
    for path in sorted(sources.glob("*.py")):
        data = path.read_bytes()
        digest.update(f"{path.name} {len(data)}\n".encode() + data)
    facts = [sys.version, numba.__version__, np.__version__]
    facts += [llvm.llvm_version_info, import_module("llvmlite").__version__]
    facts += [llvm.get_process_triple(), llvm.get_host_cpu_name()]
    facts += [llvm.get_host_cpu_features().flatten()]
    facts += [f"{name}={getattr(numba.config, name, None)}" for name in _SWITCHES]
    digest.update(repr(facts).encode())
    return cache_root() / "legacy" / digest.hexdigest()[:32]


def cache_root() -> Path:
    """``ASSAY_CACHE_DIR``, else ``assay`` in the user's cache folder."""
    chosen = os.environ.get("ASSAY_CACHE_DIR")
    if chosen:
        return Path(chosen)
    user = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(user) / "assay"


def make_private(folder: Path) -> bool:
    """Create ``folder`` for this user alone; False when somebody else could write to it.

    Cached code is unpickled and run, so a folder that others can write to is never used.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = folder.lstat()
    except OSError:
        return False
    owner = os.geteuid() if hasattr(os, "geteuid") else facts.st_uid
    shared = facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return stat.S_ISDIR(facts.st_mode) and facts.st_uid == owner and not shared


def _compile(source: Callable[Parameters, Result], signature: str) -> Callable[Parameters, Result]:
    try:
        numba = import_module("numba")
    except ImportError:
        return source
    if numba.config.DISABLE_JIT:
        return source
    folder = cache_folder(numba)
    private = make_private(folder)
    previous = numba.config.CACHE_DIR
    if private:
        numba.config.CACHE_DIR = str(folder)
    try:
        compiled: Callable[Parameters, Result] = numba.njit(
            signature,
            nogil=True,
            error_model="numpy",
            fastmath=False,
            parallel=False,
            boundscheck=None,
            cache=private,
        )(source)
    finally:
        numba.config.CACHE_DIR = previous
    return compiled
