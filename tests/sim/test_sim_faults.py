"""Seeds of storms: never a fork, never a second signature, and blocks soon after the storm."""

from dataclasses import replace
from pathlib import Path

import pytest

from consensus.core.types import max_faulty
from tests.sim.byzantine import HABITS, Equivocator
from tests.sim.node import make_world
from tests.sim.storms import (
    CALM,
    CHUNKS,
    check_live,
    check_safe,
    outages,
    seeds,
    storm,
    weather,
)
from tests.sim.world import Options, World

SIZES = (4, 4, 7, 4, 5, 3, 4, 10, 2, 4, 7, 1)
LIAR_SIZES = (4, 4, 7, 4, 5, 4, 10)


def survive(world: World) -> None:
    check_live(world)
    check_safe(world)
    world.close()


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_honest_nodes_survive_storms(tmp_path: Path, chunk: int) -> None:
    for seed in seeds(0.25, chunk):
        world = make_world(tmp_path / str(seed), seed, SIZES[seed % len(SIZES)], weather(seed))
        storm(world)
        survive(world)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_up_to_f_liars_fork_nothing(tmp_path: Path, chunk: int) -> None:
    for seed in seeds(0.4, chunk):
        count = LIAR_SIZES[seed % len(LIAR_SIZES)]
        liars = {
            (seed + i) % count: HABITS[(seed // 7 + 3 * i) % len(HABITS)]
            for i in range(max_faulty(count))
        }
        world = make_world(tmp_path / str(seed), seed, count, weather(seed), dict(liars))
        storm(world)
        survive(world)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_the_set_changes_in_storms(tmp_path: Path, chunk: int) -> None:
    """Of seven nodes, first the four lowest vote; blocks add and remove validators."""
    changed = 0
    for seed in seeds(0.2, chunk):
        liars = {seed % 4: HABITS[seed // 4 % len(HABITS)]} if seed % 2 else {}
        options = replace(weather(seed), members=4, changes=0.3)
        world = make_world(tmp_path / str(seed), seed, 7, options, dict(liars))
        first = world.nodes[0].members
        storm(world)
        survive(world)
        changed += any(node.members != first for node in world.honest())
    assert changed * 3 >= len(seeds(0.2, chunk))


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_repeated_power_cuts_of_most_nodes(tmp_path: Path, chunk: int) -> None:
    options = Options(loss=0.25, latency=(0.02, 0.3), calm=CALM, danger=0.003)
    for seed in seeds(0.15, chunk):
        world = make_world(tmp_path / str(seed), seed, 4, options)
        outages(world)
        survive(world)


def test_messages_survive_the_codec(tmp_path: Path) -> None:
    """Every signature is checked on arrival: nobody speaks in the name of another."""
    options = Options(loss=0.2, calm=20, executor=(0.01, 0.3), wire=True)
    for seed in range(3):
        world = make_world(tmp_path / str(seed), seed, 4, options, {seed: Equivocator})
        world.run(25)
        check_safe(world)
        assert min(world.heights()) > 6
        world.close()
