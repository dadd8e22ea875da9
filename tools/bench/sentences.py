"""Real English sentences, out of the documentation that installed packages carry."""

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

PACKAGES: Final = ("sklearn", "scipy", "numpy")
_LEAST_WORDS, _MOST_WORDS = 5, 40
_LETTERS: Final = 0.93
_STEP: Final = 7


def sentences(count: int) -> list[str]:
    """``count`` distinct sentences of 5 to 40 words, the same ones for the same packages.

    Raises:
        ValueError: the packages carry fewer.
    """
    found: dict[str, str] = {}
    for text in _texts():
        for paragraph in re.split(r"\n\s*\n", text):
            for sentence in re.split(r"(?<=[.!?])\s+", " ".join(paragraph.split())):
                if _is_plain(sentence):
                    found.setdefault(sentence.lower(), sentence)
        if len(found) >= count * _STEP:
            break
    spread = list(found.values())[::_STEP]
    if len(spread) < count:
        raise ValueError(f"{', '.join(PACKAGES)} carry {len(spread)} sentences, expected {count}")
    return spread[:count]


def _is_plain(sentence: str) -> bool:
    words = len(sentence.split())
    if not _LEAST_WORDS <= words <= _MOST_WORDS or sentence[-1] not in ".!?":
        return False
    letters = sum(item.isalpha() or item == " " for item in sentence)
    return sentence[0].isupper() and letters >= _LETTERS * len(sentence)


def _texts() -> Iterator[str]:
    """Data set descriptions first, then docstrings in the order of the files' names."""
    folders = [_folder(name) for name in PACKAGES]
    for folder in folders:
        for path in sorted(folder.rglob("*.rst")):
            yield path.read_text(encoding="utf-8")
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            if "tests" not in path.parts:
                yield from _docstrings(path)


def _folder(name: str) -> Path:
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        return Path("absent")
    return Path(found.origin).parent


def _docstrings(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
            text = ast.get_docstring(node)
            if text:
                yield text
