"""Weather over simulated networks, and what must hold in it and after it."""

import os
from dataclasses import replace
from pathlib import Path

from tests.sim.node import make_world
from tests.sim.world import Options, World

SEEDS = int(os.environ.get("ASSAY_SIM_SEEDS", "500"))
"""Seeds of one run of the suite."""
CALM = 40.0
STORM = Options(
    loss=0.3, duplicates=0.1, slow=20.0, calm=CALM, skew=0.1, offset=0.9, executor=(0.01, 0.4),
    danger=0.003,
)  # fmt: skip
DRIZZLE = replace(STORM, loss=0.03, slow=5.0)
CHUNKS = 5


def weather(seed: int) -> Options:
    """Heavy for every third seed: hardly a block gets through; light ones decide many."""
    return STORM if seed % 3 == 0 else DRIZZLE


def seeds(share: float, chunk: int) -> range:
    """The chunk's part of a share of the seeds."""
    count = max(1, round(SEEDS * share / CHUNKS))
    return range(chunk * count, (chunk + 1) * count)


def storm(world: World) -> None:
    """Partitions come and go, nodes lose power, until it is calm and everybody is back."""
    rng = world.rng

    def split() -> None:
        world.group = {i: rng.randrange(2) for i in range(world.count)}
        world.at(rng.uniform(1, 8), heal)

    def heal() -> None:
        world.group = {}
        if world.now < CALM - 10:
            world.at(rng.uniform(1, 8), split)

    def strike() -> None:
        victim = rng.choice(world.nodes)
        victim.crash()
        world.at(rng.uniform(0.1, 4), victim.boot)
        if world.now < CALM - 8:
            world.at(rng.uniform(0.5, 6), strike)

    world.at(rng.uniform(0, 8), split)
    world.at(rng.uniform(0, 8), strike)


def outages(world: World) -> None:
    """Most nodes lose power at once, again and again."""

    def outage() -> None:
        for node in world.nodes:
            if world.rng.random() < 0.8:
                node.crash()
                world.at(world.rng.uniform(0.2, 3), node.boot)
        if world.now < CALM - 8:
            world.at(world.rng.uniform(1, 4), outage)

    world.at(2, outage)


def check_safe(world: World) -> None:
    """No two blocks at one height, no two signatures for one step."""
    assert (world.forks(), world.double_signs()) == (set(), 0), f"seed {world.seed}"


def check_live(world: World) -> None:
    """After the storm every honest node has a new block within 2 T(cap).

    Each liar beyond the first may cost one more: as proposer of a round that is waited out.
    """
    world.run(CALM)
    world.group = {}
    before = max(world.heights())
    liars = world.count - len(world.honest())
    bound = (2 + max(0, liars - 1)) * world.options.cap * (1 + world.options.skew)
    world.run(CALM + bound, lambda: min(world.heights()) > before)
    assert min(world.heights()) > before, f"seed {world.seed}: {world.heights()}, was {before}"
    world.recovery = world.now - CALM


def absence(folder: Path, seed: int) -> World:
    """Two of four are away for 300 s; the time then runs to a block on all four or 120 s more."""
    world = make_world(folder / str(seed), seed, 4)
    world.run(5)
    for node in world.nodes[:2]:
        node.crash()
    world.run(305)
    before = max(world.heights())
    for node in world.nodes[:2]:
        node.boot()
    world.run(425, lambda: min(world.heights()) > before)
    world.close()
    return world
