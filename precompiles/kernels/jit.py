"""``@kernel`` and ``@subroutine``: the only ways to compile, and a cache that is never stale.

Every kernel has one signature, so that a table of addresses and arguments is a whole program::

    @kernel
    def clip_u8(memory: U8, weights: U8, args: S64, batch: int) -> None: ...

``memory`` is the arena of one run, ``weights`` the prepared constants (read only), ``args`` this
step's row of byte offsets, sizes and attributes. A kernel is compiled once per process, when first
needed, with fixed flags: no fast math, no threads inside, the interpreter lock released.

Machine code is kept on disk in a private folder named by everything it depends on: the bytes of
its source file and of all that it imports (``sources``), Python, numba, llvmlite and numpy, and the
CPU with its compile switches. numba's own cache sees only the file of the function, which would let
a node run yesterday's arithmetic. Processes that need the same kernel wait for the one that
compiles it.
Without numba the same functions run as plain Python, with the same integers.
"""

import fcntl
import hashlib
import os
import stat
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

import numpy as np

from precompiles.kernels.arrays import S64, U8
from precompiles.kernels.sources import digest_of, imports_of, modules_of, read_sources

Body: TypeAlias = Callable[[U8, U8, S64, int], None]
Function = TypeVar("Function", bound=Callable[..., Any])

SIGNATURE: Final = "void(uint8[::1], uint8[::1], int64[::1], int64)"
KERNEL_FOLDER: Final = Path(__file__).parent
KERNELS: "Final[list[Kernel]]" = []
"""Every kernel of the modules imported so far, in order of definition."""

_SUBROUTINES: Final[list[Callable[..., Any]]] = []
_COMPILING: Final = threading.RLock()
_SOURCES: Final = read_sources(KERNEL_FOLDER)
"""Taken before the kernels are imported: an edit of a file never renames what runs here."""

_SWITCHES: Final = (
    "OPT",
    "LOOP_VECTORIZE",
    "SLP_VECTORIZE",
    "BOUNDSCHECK",
    "ENABLE_AVX",
    "CPU_NAME",
    "CPU_FEATURES",
    "DEBUGINFO_DEFAULT",
)
_FLAGS: Final = {"nogil": True, "error_model": "numpy", "fastmath": False, "boundscheck": None}


class Kernel:
    """A function of the one signature that becomes machine code when first needed.

    ``source`` is the Python function, which gives the same integers.
    """

    __slots__ = ("_compiled", "signature", "source")

    def __init__(self, source: Callable[..., Any], signature: str = SIGNATURE) -> None:
        self.source = source
        self.signature = signature
        self._compiled: Callable[..., Any] | None = None

    @property
    def name(self) -> str:
        """Module and function, for messages."""
        return f"{self.source.__module__.rpartition('.')[2]}.{self.source.__name__}"

    def compiled(self) -> Callable[..., Any]:
        """The machine code behind a Python call; ``source`` itself where there is no compiler."""
        if self._compiled is None:
            with _COMPILING:
                self._compiled = self._compiled or compile_function(self.source, self.signature)
        return self._compiled

    def address(self) -> int:
        """Entry point of the machine code in this process, in numba's calling convention; not 0.

        Raises:
            RuntimeError: there is no compiler here.
        """
        overloads = getattr(self.compiled(), "overloads", None)
        if not overloads:
            raise RuntimeError(f"{self.name} is not compiled: numba is absent or switched off")
        (result,) = overloads.values()
        return int(result.library.get_pointer_to_function(result.fndesc.llvm_func_name))

    def __call__(self, *args: Any) -> Any:
        """Run on (memory, weights, args, batch), compiled where numba is at hand."""
        return (self._compiled or self.compiled())(*args)


def kernel(function: Body) -> Kernel:
    """Mark a function of (memory, weights, args, batch) as a kernel."""
    made = Kernel(function)
    KERNELS.append(made)
    return made


def subroutine(function: Function) -> Function:
    """Mark a function that kernels call; it is compiled into each caller and stays plain here."""
    _SUBROUTINES.append(function)
    return function


def load_numba() -> Any | None:
    """The numba module, or None when it is absent or ``NUMBA_DISABLE_JIT`` is set."""
    try:
        numba = import_module("numba")
    except ImportError:
        return None
    return None if numba.config.DISABLE_JIT else numba


def compile_function(source: Callable[..., Any], signature: str) -> Callable[..., Any]:
    """Compile ``source`` for one signature, or load it from disk; ``source`` without numba."""
    numba = load_numba()
    if numba is None:
        return source
    with _COMPILING:
        _register_subroutines()
        folder = cache_folder(numba, source_digest(source))
        private = make_private(folder)
        previous = numba.config.CACHE_DIR
        if private:
            numba.config.CACHE_DIR = str(folder)
        try:
            with _alone(folder if private else None, source):
                made: Callable[..., Any] = numba.njit(signature, cache=private, **_FLAGS)(source)
        finally:
            numba.config.CACHE_DIR = previous
    return made


def _register_subroutines() -> None:
    """Make everything that kernels may call known to numba, intrinsics first."""
    for path in sorted(KERNEL_FOLDER.glob("llvm*.py")):
        import_module(f"{__package__}.{path.stem}")
    if _SUBROUTINES:
        mark = import_module("numba.extending").register_jitable
        while _SUBROUTINES:
            mark(**_FLAGS)(_SUBROUTINES.pop())


@contextmanager
def _alone(folder: Path | None, source: Callable[..., Any]) -> Iterator[None]:
    """Hold the lock between processes of one kernel; it falls with its holder."""
    if folder is None:
        yield
        return
    name = f"{source.__module__.rpartition('.')[2]}.{source.__qualname__}"
    flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC
    handle = os.open(folder / f"{name.replace('<', '').replace('>', '')}.lock", flags, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@cache
def _imports() -> Mapping[str, set[str]]:
    return imports_of(_SOURCES)


def source_digest(function: Callable[..., Any]) -> str:
    """Digest of the files that a kernel depends on."""
    modules = [name.removeprefix(f"{__package__}.") for name in modules_of(function)]
    return digest_of(modules, _SOURCES, _imports())


def cache_folder(numba: Any, sources: str) -> Path:
    """Folder for machine code made from files of digest ``sources`` by ``numba`` on this CPU."""
    llvm = import_module("llvmlite.binding")
    digest = hashlib.sha256(sources.encode())
    facts = [sys.version, numba.__version__, np.__version__]
    facts += [llvm.llvm_version_info, import_module("llvmlite").__version__]
    facts += [llvm.get_process_triple(), llvm.get_host_cpu_name()]
    facts += [llvm.get_host_cpu_features().flatten()]
    facts += [f"{name}={getattr(numba.config, name, None)}" for name in _SWITCHES]
    digest.update(repr(facts).encode())
    return cache_root() / "kernels" / digest.hexdigest()[:32]


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
