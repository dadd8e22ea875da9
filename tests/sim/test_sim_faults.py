"""Seeds of storms: never a fork, never a second signature, and blocks soon after the storm."""

import os
from pathlib import Path

import pytest

from consensus.core import round_change
from tests.sim.byzantine import HABITS, BadJustifier, Equivocator, Silent
from tests.sim.world import Node, Options, World, make_world

SEEDS = int(os.environ.get("ASSAY_SIM_SEEDS", "200"))
"""All seeds of one run of the suite; nightly runs set 10,000 and more."""
CALM = 40.0
STORM = Options(loss=0.3, duplicates=0.1, slow=20.0, calm=CALM, skew=0.1, executor=(0.01, 0.4))
CHUNKS = 5


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


def check_safe(world: World) -> None:
    assert (world.forks(), world.double_signs()) == (set(), 0), f"seed {world.seed}"


def check_live(world: World) -> None:
    """After the storm every honest node has a new block within 2 T(cap), more for each liar.

    A liar may be the proposer of a round that the honest nodes then wait out.
    """
    world.run(CALM)
    world.group = {}
    before = max(world.heights())
    liars = world.count - len(world.honest())
    bound = (2 + liars) * world.options.cap * (1 + world.options.skew)
    world.run(CALM + bound, lambda: min(world.heights()) > before)
    assert min(world.heights()) > before, f"seed {world.seed}: {world.heights()}, was {before}"


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_honest_nodes_survive_storms(tmp_path: Path, chunk: int) -> None:
    for seed in seeds(0.35, chunk):
        world = make_world(tmp_path / str(seed), seed, 4 if seed % 3 else 7, STORM)
        storm(world)
        check_live(world)
        check_safe(world)
        world.close()


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_up_to_f_liars_fork_nothing(tmp_path: Path, chunk: int) -> None:
    for seed in seeds(0.45, chunk):
        count = 4 if seed % 3 else 7
        liars = {(seed + i) % count: HABITS[(seed + 3 * i) % 7] for i in range((count - 1) // 3)}
        world = make_world(tmp_path / str(seed), seed, count, STORM, byzantine=dict(liars))
        storm(world)
        check_live(world)
        check_safe(world)
        world.close()


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_repeated_power_cuts_of_most_nodes(tmp_path: Path, chunk: int) -> None:
    options = Options(loss=0.25, latency=(0.02, 0.3), calm=CALM)
    for seed in seeds(0.2, chunk):
        world = make_world(tmp_path / str(seed), seed, 4, options)

        def outage(world: World = world) -> None:
            for node in world.nodes:
                if world.rng.random() < 0.8:
                    node.crash()
                    world.at(world.rng.uniform(0.2, 3), node.boot)
            if world.now < CALM - 8:
                world.at(world.rng.uniform(1, 4), outage)

        world.at(2, outage)
        check_live(world)
        check_safe(world)
        world.close()


def test_messages_survive_the_codec(tmp_path: Path) -> None:
    options = Options(loss=0.2, calm=20, executor=(0.01, 0.3), wire=True)
    for seed in range(3):
        world = make_world(tmp_path / str(seed), seed, 4, options, {seed: Equivocator})
        world.run(40)
        check_safe(world)
        assert min(world.heights()) > 10
        world.close()


def test_control_more_than_f_liars_fork(tmp_path: Path) -> None:
    """Two equivocators of four must fork, or the checker is blind."""
    forked = 0
    for seed in range(10):
        options = Options(loss=0.2, calm=30)
        liars: dict[int, type[Node]] = {0: Equivocator, 1: Equivocator}
        world = make_world(tmp_path / str(seed), seed, 4, options, liars)
        world.run(60)
        forked += bool(world.forks())
        world.close()
    assert forked >= 8


@pytest.mark.parametrize(("journal", "forks"), [(True, set()), (False, {1})])
def test_control_without_a_journal_a_power_cut_forks(
    tmp_path: Path, journal: bool, forks: set[int]
) -> None:
    """One node decides; the others lose power just before they hear enough COMMITs."""
    world = make_world(tmp_path, 1, 4, Options(journal=journal))
    world.run(30, lambda: max(world.heights()) == 1)
    lucky = world.heights().index(1)
    others = [node for node in world.nodes if node.index != lucky]
    assert [len(node.chain) for node in others] == [1, 1, 1]
    world.group = {lucky: 1}
    for node in others:
        node.crash()
        world.at(0.5, node.boot)
    world.run(60)
    assert min(len(node.chain) for node in others) > 2
    assert world.forks() & {1} == forks


@pytest.mark.parametrize("seed", range(8))
def test_what_one_node_decided_the_others_decide_after_a_round_change(
    tmp_path: Path, seed: int
) -> None:
    """COMMITs get lost just after the first node had enough; a liar may be among the rest.

    The others are locked. They may not decide anything else, whatever the liar proposes.
    """
    liars: dict[int, type[Node]] = {1: BadJustifier} if seed < 6 else {}  # proposes in round 1
    world = make_world(tmp_path, seed, 4, Options(), liars)
    world.run(60, lambda: max(world.heights()) == 1)
    lucky = next(node.index for node in world.honest() if len(node.chain) > 1)
    world.group = {index: index for index in range(4)}
    world.run(world.now + 0.5)
    world.group = {lucky: 1}
    world.run(world.now + 90)
    world.group = {}
    world.run(world.now + 40)
    check_safe(world)
    assert min(world.heights()) > 2
    world.close()


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


def test_recovery_after_a_long_absence(tmp_path: Path) -> None:
    for seed in range(5):
        world = absence(tmp_path, seed)
        assert world.now < 305 + 2 * world.options.cap
        check_safe(world)


def test_control_without_jump_and_company_recovery_misses_the_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Either rule alone recovers from an absence; the capped timer needs one of them."""
    monkeypatch.setattr(round_change, "_has_company", lambda _: True)
    assert absence(tmp_path / "jump", 0).now < 305 + 32
    monkeypatch.setattr(round_change, "_jump_target", lambda _: None)
    times = [absence(tmp_path / "neither", seed).now - 305 for seed in range(3)]
    assert min(times) > 32


@pytest.mark.parametrize("waits", [True, False])
def test_control_a_timer_that_waits_for_nobody_can_stall_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waits: bool
) -> None:
    """One of three honest nodes is a round ahead: too few to jump after, too many to miss."""
    if not waits:
        monkeypatch.setattr(round_change, "_has_company", lambda _: True)
    options = Options(base=2.0, cap=2.0, latency=(0.02, 0.04), executor=(0.01, 0.02))
    world = make_world(tmp_path, 1, 4, options, {0: Silent})
    for node in world.nodes[2:]:
        node.crash()
        world.at(options.period + options.base, node.boot)
    world.run(600)
    assert (min(world.heights()) > 50) == waits
    assert (max(world.heights()) == 0) == (not waits)
    world.close()
