"""Which source files the machine code of a kernel depends on: its own, and all it imports.

A kernel calls what its module imports, and what it closes over when a function made it; an
intrinsic is reached through the plain function it stands for, so a file ``llvm*.py`` counts for
every kernel that may call a function of a module it imports.
"""

import ast
import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import FunctionType
from typing import Any

_HUBS = {"jit", "arrays"}
"""Imported everywhere; no intrinsic stands for a function of theirs."""


def read_sources(folder: Path) -> dict[str, bytes]:
    """Bytes of every module of a folder, by name."""
    return {path.stem: path.read_bytes() for path in sorted(folder.glob("*.py"))}


def imports_of(sources: Mapping[str, bytes]) -> dict[str, set[str]]:
    """Modules among ``sources`` that each of them imports, wherever in the file it does."""
    found: dict[str, set[str]] = {}
    for name, data in sources.items():
        mentioned: set[str] = set()
        for node in ast.walk(ast.parse(data)):
            if isinstance(node, ast.ImportFrom):
                mentioned |= {(node.module or "").rpartition(".")[2]}
                mentioned |= {alias.name for alias in node.names}
            elif isinstance(node, ast.Import):
                mentioned |= {alias.name.rpartition(".")[2] for alias in node.names}
        found[name] = mentioned & sources.keys()
    return found


def modules_of(function: Callable[..., Any]) -> set[str]:
    """Names of the modules of a function and of the functions it closes over, in any depth.

    Raises:
        TypeError: it closes over something else than functions, types, integers and text.
    """
    modules = {function.__module__}
    for cell in function.__closure__ or ():
        value = cell.cell_contents
        if isinstance(value, FunctionType):
            modules |= modules_of(value)
        elif not isinstance(value, type | int | str):
            raise TypeError(f"{function.__qualname__} closes over {value!r}")
    return modules


def digest_of(
    modules: Iterable[str], sources: Mapping[str, bytes], imports: Mapping[str, set[str]]
) -> str:
    """Digest of all files that functions of these modules depend on: 64 hex digits.

    A module that is not among ``sources`` (a test's) depends on all of them.
    """
    wanted = {*modules}
    needed = (wanted | _HUBS) & sources.keys() if wanted <= sources.keys() else set(sources)
    before = -1
    while before != len(needed):
        before = len(needed)
        needed |= {item for name in needed for item in imports[name]}
        needed |= {
            name for name in sources if name.startswith("llvm") and imports[name] & (needed - _HUBS)
        }
    digest = hashlib.sha256()
    for name in sorted(needed):
        digest.update(f"{name} {len(sources[name])}\n".encode() + sources[name])
    return digest.hexdigest()
