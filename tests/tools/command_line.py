"""The console script in this process: its own entry, its own words, its exit code."""

import io
import json
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tools.cli import main

Assay = Callable[..., "Done"]


@dataclass(frozen=True, slots=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its standard output, which must be one JSON document."""
        assert self.code == 0, self.err
        return json.loads(self.out)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> Done:
    """``assay ARGUMENTS``."""
    monkeypatch.setattr("sys.argv", ["assay", *map(str, arguments)])
    out, err, code = io.StringIO(), io.StringIO(), 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
    return Done(code, out.getvalue(), err.getvalue())
