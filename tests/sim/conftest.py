"""What a failed test leaves running would keep the keys of the next one locked."""

from collections.abc import Iterator

import pytest

from tests.sim.world import OPEN


@pytest.fixture(autouse=True)
def closed_worlds() -> Iterator[None]:
    yield
    for world in tuple(OPEN):
        world.close()
