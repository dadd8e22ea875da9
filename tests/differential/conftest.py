"""EELS for every test here, or a reason why there is none."""

import os
from collections.abc import Iterator

import pytest

from tests.differential.eels import READY, Eels


@pytest.fixture(scope="session")
def eels() -> Iterator[Eels]:
    if not READY.exists():
        reason = "EELS is not installed: run `make eels` (needs the package index once)"
        if os.environ.get("ASSAY_REQUIRE_EELS"):
            pytest.fail(reason)
        pytest.skip(reason)
    process = Eels()
    yield process
    process.close()
