"""A fresh chain per test, and the compilers' outputs once per session."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.differential.eels import READY, Eels
from tests.ecosystem.artifacts import compiled, uniswap
from tests.ecosystem.world import World


@pytest.fixture(scope="session")
def oracle() -> Iterator[Eels | None]:
    """EELS, or None: the contracts run without it, but nobody else says what is right."""
    if not READY.exists():
        if os.environ.get("ASSAY_REQUIRE_EELS"):
            pytest.fail("EELS is not installed: run `make eels` (needs the package index once)")
        yield None
        return
    process = Eels()
    yield process
    process.close()


@pytest.fixture(
    params=[
        pytest.param((), id="solc"),
        pytest.param(("--via-ir",), id="solc via IR, tier 2", marks=pytest.mark.slow),
    ]
)
def world(request: pytest.FixtureRequest, oracle: Eels | None) -> World:
    """A chain for OpenZeppelin's contracts."""
    folder = Path(request.config.cache.mkdir("ecosystem"))
    return World(compiled(folder, *request.param), oracle, with_tier2=bool(request.param))


@pytest.fixture(
    params=[
        pytest.param(False, id="published code"),
        pytest.param(True, id="published code, tier 2", marks=pytest.mark.slow),
    ]
)
def uniswap_world(request: pytest.FixtureRequest, oracle: Eels | None) -> World:
    """A chain for Uniswap's contracts."""
    return World(uniswap(), oracle, with_tier2=request.param)
