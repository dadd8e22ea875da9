"""Which source files the machine code of a kernel depends on: its own, and all it imports.

A kernel calls what its module imports; an intrinsic is reached through the plain function it stands
for, so a file ``llvm*.py`` counts for every kernel that may call a function of a module it imports.
"""

import ast
import hashlib
from collections.abc import Mapping
from pathlib import Path

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


def digest_of(module: str, sources: Mapping[str, bytes], imports: Mapping[str, set[str]]) -> str:
    """Digest of all files that the kernels of ``module`` depend on: 64 hex digits.

    A module that is not among ``sources`` (a test's) depends on all of them.
    """
    needed = {module, *_HUBS} & sources.keys() if module in sources else set(sources)
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
