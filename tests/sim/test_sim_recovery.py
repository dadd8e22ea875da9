"""Single stories in virtual time: what comes after an absence, a lost decision, a bad proposal."""

from itertools import pairwise
from pathlib import Path

import pytest

from tests.sim.byzantine import BadJustifier, Divider, Forger
from tests.sim.node import Node, make_world
from tests.sim.storms import absence, check_safe
from tests.sim.world import Options


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


def test_recovery_after_a_long_absence(tmp_path: Path) -> None:
    for seed in range(5):
        world = absence(tmp_path, seed)
        assert world.now < 305 + 2 * world.options.cap
        check_safe(world)


@pytest.mark.parametrize("habit", [Forger, Divider])
@pytest.mark.parametrize("count", [4, 7])
def test_a_proposer_that_forges_costs_less_than_a_second(
    tmp_path: Path, count: int, habit: type[Node]
) -> None:
    """Who finds a block invalid leaves its round at once: nobody waits for the timer of 2 s."""
    options = Options(latency=(0.02, 0.1), executor=(0.02, 0.1), offset=0.3)
    liars = {index: habit for index in range((count - 1) // 3)}
    world = make_world(tmp_path, 1, count, options, liars)
    world.run(120)
    times = next(iter(world.honest())).times
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert len(gaps) >= 110  # with the timer 79 and 54
    if habit is Forger:
        assert max(gaps) < options.period + 1  # with the timer 3.3 and 7.2
    check_safe(world)
    world.close()


@pytest.mark.parametrize("offset", [-5.0, 5.0])
def test_one_clock_that_is_five_seconds_off_stops_nobody(tmp_path: Path, offset: float) -> None:
    """Late, its node refuses blocks and proposes too late; early, the others refuse its own."""
    world = make_world(tmp_path, 1, 4, Options(executor=(0.02, 0.1)))
    world.nodes[2].offset = offset
    world.run(60)
    heights = world.heights()
    assert max(heights) > (50 if offset > 0 else 30)
    assert min(heights) >= max(heights) - 3
    check_safe(world)
    world.close()


def power_cut(folder: Path, syncs: int, keep: int) -> int:
    """Every node loses power in the sync after ``syncs``; ``keep`` more bytes of journals survive.

    Returns:
        How many bytes were at stake; 0 when no node came that far.
    """
    world = make_world(folder, 1, 4, Options(latency=(0.01, 0.05), executor=(0.01, 0.05)))
    for node in world.nodes:
        node.disk.cut_after, node.disk.keep = syncs, keep
    world.run(60, lambda: min(world.heights()) >= 2)
    check_safe(world)
    assert min(world.heights()) >= 2, f"{syncs} syncs, {keep} bytes"
    came = all(node.disk.cut_after is None for node in world.nodes)
    stake = max(node.disk.unsynced for node in world.nodes)
    world.close()
    return stake + 1 if came else 0


EVERY_BYTE = pytest.param(
    1, marks=[pytest.mark.slow, pytest.mark.nightly, pytest.mark.timeout(7200)]
)


@pytest.mark.parametrize("stride", [89, EVERY_BYTE])
def test_power_cuts_at_every_byte_of_every_write(tmp_path: Path, stride: int) -> None:
    """Of journal and signer file, on all nodes: nothing forks, nobody signs twice, all go on."""
    syncs = 0
    while stake := power_cut(tmp_path / "w", syncs, 0):
        for keep in range(1, stake, stride):
            power_cut(tmp_path / "w", syncs, keep)
        syncs += 1
    assert syncs > 10
