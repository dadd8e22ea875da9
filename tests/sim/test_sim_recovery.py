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
    forged = (count - 1) // 3 / count
    assert len(gaps) > 120 / (2 + forged)
    if habit is Forger:
        assert max(gaps) < options.period + 1 + 1  # one second more: timestamps are whole ones
    check_safe(world)
    world.close()
