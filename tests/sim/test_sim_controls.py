"""What the simulator must see fail: without these the other tests would prove nothing."""

from pathlib import Path

import pytest

from consensus.core import round_change
from tests.sim.byzantine import Equivocator, Silent
from tests.sim.node import Node, make_world
from tests.sim.storms import absence
from tests.sim.world import Options


def test_control_more_than_f_liars_fork(tmp_path: Path) -> None:
    """Two equivocators of four must fork, or the checker is blind."""
    forked = 0
    for seed in range(6):
        options = Options(loss=0.2, calm=30)
        liars: dict[int, type[Node]] = {0: Equivocator, 1: Equivocator}
        world = make_world(tmp_path / str(seed), seed, 4, options, liars)
        world.run(40)
        forked += bool(world.forks())
        world.close()
    assert forked >= 5


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
    world.run(300)
    assert (min(world.heights()) > 50) == waits
    assert (max(world.heights()) == 0) == (not waits)
    world.close()
