"""Blocks of these tests are compared with EELS's; says so where they are not."""

import pytest

from tests.differential.eels import Eels
from tests.ecosystem.artifacts import uniswap
from tests.ecosystem.world import ALICE, BOB, World


def test_another_state_is_noticed(oracle: Eels | None) -> None:
    if oracle is None:
        pytest.skip("EELS is not installed, contracts run uncompared: run `make eels`")
    first = World(uniswap(), oracle)
    first.wait()
    World(uniswap(), oracle)  # EELS is at the genesis again
    with pytest.raises(AssertionError):
        first.mine(first.sign(ALICE, BOB, b"", value=1))
