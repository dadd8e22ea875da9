"""The command line for all tests of the tools."""

from functools import partial

import pytest

from tests.tools.command_line import Assay, run


@pytest.fixture
def assay(monkeypatch: pytest.MonkeyPatch) -> Assay:
    """Run ``assay ARGUMENTS`` in this process."""
    return partial(run, monkeypatch)
