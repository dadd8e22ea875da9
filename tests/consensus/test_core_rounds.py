"""QBFT as stories: one node's core, fed one event after the other."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.seals import quorum as chain_quorum
from consensus.core import events as ev
from consensus.core.messages import (
    Code,
    CommitPayload,
    Message,
    PreparePayload,
    ProposalPayload,
    RoundChangePayload,
)
from consensus.core.types import Height, max_faulty, quorum
from tests.consensus.core_story import Core, of, said, timeout
from tests.consensus.votes import (
    BLOCK,
    HEIGHT,
    OTHER,
    VALIDATORS,
    commit,
    config,
    prepare,
    proposal,
    round_change,
    sign,
)
from tests.sim.world import GENESIS, digest_of, make_block


def test_arithmetic() -> None:
    assert [quorum(n) for n in (1, 2, 3, 4, 5, 6, 7, 10, 100)] == [1, 2, 2, 3, 4, 4, 5, 7, 67]
    assert [max_faulty(n) for n in (1, 3, 4, 6, 7, 10, 100)] == [0, 0, 1, 1, 2, 3, 33]
    for n in range(1, 200):
        assert quorum(n) == chain_quorum(n)
        assert 2 * quorum(n) - n > max_faulty(n)  # two quorums share an honest validator
        assert quorum(n) <= n - max_faulty(n)  # the honest ones suffice


def test_proposers_take_turns() -> None:
    first = Height(1, bytes(32), b"\xff" * 20, VALIDATORS)
    assert [first.proposer(r) for r in range(5)] == [*VALIDATORS, VALIDATORS[0]]
    second = Height(2, bytes(32), VALIDATORS[1], VALIDATORS)
    assert [second.proposer(r) for r in range(3)] == [VALIDATORS[i] for i in (2, 3, 0)]
    gone = Height(2, bytes(32), VALIDATORS[1], VALIDATORS[:1] + VALIDATORS[2:])
    assert gone.proposer(0) == VALIDATORS[2]
    last = Height(2, bytes(32), VALIDATORS[3], VALIDATORS[:3])
    assert last.proposer(0) == VALIDATORS[0]


def test_timers_grow_and_are_capped() -> None:
    delays = [config(0).timeout_ms(r) for r in (0, 1, 2, 3, 4, 1_000_000)]
    assert delays == [2_000, 4_000, 8_000, 16_000, 16_000, 16_000]


def test_the_proposer_builds_after_the_period_and_a_round_decides() -> None:
    core = Core(0)
    assert core.log == [ev.AwaitPeriod(1)]
    effects = core.feed(ev.PeriodElapsed(1))
    assert of(effects, ev.BuildBlock) == [ev.BuildBlock(1, 0)]
    assert of(effects, ev.StartTimer) == [ev.StartTimer(ev.Timer.ROUND, 1, 0, 2_000)]
    assert said(core.feed(ev.BlockBuilt(0, BLOCK))) == [Code.PROPOSAL, Code.PREPARE]
    assert said(core.feed(prepare(1), prepare(2))) == [Code.COMMIT]
    (decided,) = of(core.feed(commit(1), commit(2)), ev.CommitBlock)
    assert isinstance(decided, ev.CommitBlock)
    assert (decided.block, decided.round, len(decided.seals)) == (BLOCK, 0, 3)
    assert core.feed(commit(3), round_change(3, 1), ev.PeriodElapsed(1)) == []


def test_a_single_validator_needs_nobody() -> None:
    height = replace(HEIGHT, validators=(VALIDATORS[0],))
    core = Core(0, ev.NewHeight(height))
    effects = core.feed(ev.PeriodElapsed(1), ev.BlockBuilt(0, BLOCK))
    assert len(of(effects, ev.CommitBlock)) == 1


def test_the_journal_comes_before_the_vote() -> None:
    core = Core(1)
    effects = core.feed(proposal(0), prepare(0), prepare(2))
    kinds = [type(effect) for effect in effects if isinstance(effect, ev.Persist | ev.Broadcast)]
    assert kinds == [ev.Persist, ev.Broadcast, ev.Persist, ev.Broadcast]
    entries = [effect.entry for effect in effects if isinstance(effect, ev.Persist)]
    assert isinstance(entries[0], ev.Accepted)
    assert isinstance(entries[1], ev.Locked)


def test_votes_count_before_the_proposal() -> None:
    core = Core(1)
    assert core.feed(prepare(0), prepare(2), commit(0), commit(2), commit(3)) == [
        ev.RequestBlocks(VALIDATORS[3], 1)
    ]
    assert len(of(core.feed(proposal(0)), ev.CommitBlock)) == 1


def test_no_commit_without_a_prepared_quorum() -> None:
    """Two COMMITs of others and the own proposal do not decide."""
    core = Core(0)
    core.feed(ev.PeriodElapsed(1), ev.BlockBuilt(0, BLOCK))
    assert core.feed(commit(1), commit(2)) == []
    assert core.feed(prepare(1)) == []
    effects = core.feed(prepare(2))
    assert said(effects) == [Code.COMMIT]
    assert len(of(effects, ev.CommitBlock)) == 1


def test_a_quorum_for_a_block_that_is_invalid_here_is_divergence() -> None:
    core = Core(1, auto=False)
    core.feed(proposal(0), ev.BlockValidated(BLOCK, False))
    effects = core.feed(commit(0), commit(2), commit(3))
    assert [type(effect) for effect in effects] == [ev.Diverged]
    assert timeout(core) == []


def test_a_quorum_waits_for_our_own_execution() -> None:
    """Nothing is decided that this node has not executed, whatever the others say."""
    core = Core(1, auto=False)
    core.feed(proposal(0), prepare(0), prepare(2), prepare(3))
    assert core.feed(commit(0), commit(2), commit(3)) == []
    effects = core.feed(ev.BlockValidated(BLOCK, True))
    assert len(of(effects, ev.CommitBlock)) == 1


def test_only_the_first_vote_of_an_author_counts() -> None:
    core = Core(1)
    core.feed(proposal(0), prepare(2, block=OTHER), prepare(2))
    assert said(core.feed(prepare(2), prepare(3))) == []
    assert said(core.feed(prepare(0))) == [Code.COMMIT]


def test_the_second_proposal_of_a_round_is_ignored() -> None:
    core = Core(1)
    assert said(core.feed(proposal(0))) == [Code.PREPARE]
    assert core.feed(proposal(0, block=OTHER)) == []


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (proposal(1), "the proposer of round 0 is not its author"),
        (proposal(0, block=make_block(GENESIS, VALIDATORS[1], b"")), "coinbase of a fresh block"),
        (
            proposal(0, block=make_block(replace(GENESIS, gas_used=1), VALIDATORS[0], b"")),
            "parent ",
        ),
        (proposal(0, round_changes=(round_change(1, 1).signed,)), "round 0 needs no justification"),
        (proposal(1, 1), "0 ROUND-CHANGEs, quorum 3"),
    ],
)
def test_unjustified_proposals_are_rejected_with_a_reason(message: Message, reason: str) -> None:
    core = Core(2)
    (effect,) = core.feed(message)
    assert isinstance(effect, ev.Rejected)
    assert reason in effect.reason


def test_strangers_are_not_heard() -> None:
    core = Core(0)
    stranger = replace(prepare(1).signed, author=b"\x99" * 20)
    assert core.feed(replace(prepare(1), signed=stranger)) == []
    assert core.state.prepares == {}


def test_timeout_tells_the_lock_and_repeats_until_a_proposal() -> None:
    core = Core(1)
    core.feed(proposal(0), prepare(0), prepare(2))
    effects = timeout(core)
    (broadcast,) = of(effects, ev.Broadcast)
    assert isinstance(broadcast, ev.Broadcast)
    assert isinstance(broadcast.draft.payload, RoundChangePayload)
    assert broadcast.draft.payload.prepared is not None
    assert (broadcast.draft.block, len(broadcast.draft.prepares)) == (BLOCK, 3)
    resend = ev.StartTimer(ev.Timer.RESEND, 1, 1, 2_000)
    assert resend in effects
    again = timeout(core, ev.Timer.RESEND)
    assert again == [broadcast, resend]
    # Round 1: the others are locked too; the proposer of round 1 is this node.
    effects = core.feed(round_change(0, 1), round_change(2, 1, (0, BLOCK)))
    (second,) = [item for item in of(effects, ev.Broadcast) if said([item]) == [Code.PROPOSAL]]
    assert isinstance(second, ev.Broadcast)
    assert isinstance(second.draft.payload, ProposalPayload)
    assert second.draft.payload.block == BLOCK  # coinbase stays that of round 0
    assert timeout(core, ev.Timer.RESEND) == []


def test_the_timer_of_a_later_round_waits_for_a_quorum() -> None:
    core = Core(0)
    core.feed(ev.PeriodElapsed(1))
    effects = timeout(core)
    assert [item for item in of(effects, ev.StartTimer) if item.timer is ev.Timer.ROUND] == []  # type: ignore[union-attr]
    assert of(core.feed(round_change(1, 1)), ev.StartTimer) == []
    started = of(core.feed(round_change(2, 1)), ev.StartTimer)
    assert started == [ev.StartTimer(ev.Timer.ROUND, 1, 1, 4_000)]


def test_a_stale_timer_does_nothing() -> None:
    core = Core(0)
    core.feed(ev.PeriodElapsed(1))
    timeout(core)
    assert core.feed(ev.TimerFired(ev.Timer.ROUND, 1, 0)) == []
    assert core.feed(ev.TimerFired(ev.Timer.ROUND, 2, 1)) == []


def test_a_round_is_not_left_while_its_block_is_being_executed() -> None:
    core = Core(1, auto=False)
    core.feed(proposal(0))
    assert timeout(core) == [ev.StartTimer(ev.Timer.ROUND, 1, 0, 2_000)]
    assert said(core.feed(ev.BlockValidated(BLOCK, True))) == [Code.PREPARE]
    assert said(timeout(core)) == [Code.ROUND_CHANGE]


def test_f_plus_one_make_us_jump_to_the_lowest_round() -> None:
    core = Core(0)
    assert core.feed(round_change(1, 9)) == []
    effects = core.feed(round_change(2, 5))
    assert said(effects) == [Code.ROUND_CHANGE]
    assert core.state.round == 5


def test_a_jump_is_possible_over_any_distance() -> None:
    """Peers may have timed out alone for days."""
    core = Core(0)
    core.feed(round_change(1, 100_000), round_change(2, 100_000))
    assert core.state.round == 100_000


def test_one_liar_moves_nobody_and_fills_nothing() -> None:
    core = Core(0)
    for round_number in range(1, 200):
        core.feed(round_change(3, round_number))
        core.feed(commit(3, round_number), prepare(3, round_number))
    assert core.state.round == 0
    assert len(core.state.round_changes) == 8
    assert max(r for r, _ in core.state.round_changes) == 199
    assert (len(core.state.prepares), len(core.state.commits)) == (64, 64)


def test_the_proposer_of_a_later_round_reproposes_the_highest_lock() -> None:
    core = Core(2)
    newer = tuple(prepare(i, 1, OTHER).signed for i in (0, 1, 3))
    effects = core.feed(
        round_change(0, 2, (0, BLOCK)), round_change(3, 2, (1, OTHER), newer), round_change(1, 2)
    )
    proposals = [item for item in of(effects, ev.Broadcast) if said([item]) == [Code.PROPOSAL]]
    (broadcast,) = proposals
    assert isinstance(broadcast, ev.Broadcast)
    assert isinstance(broadcast.draft.payload, ProposalPayload)
    assert broadcast.draft.payload.block == OTHER
    assert broadcast.draft.prepares == newer
    assert len(broadcast.draft.round_changes) >= 3


def test_the_proposer_of_a_later_round_builds_when_nobody_is_locked() -> None:
    core = Core(1)
    effects = core.feed(*(round_change(i, 1) for i in (0, 2, 3)))
    assert of(effects, ev.BuildBlock) == [ev.BuildBlock(1, 1)]
    fresh = make_block(GENESIS, VALIDATORS[1], b"fresh")
    effects = core.feed(ev.BlockBuilt(1, fresh))
    assert said(effects) == [Code.PROPOSAL, Code.PREPARE]
    (first, *_) = of(effects, ev.Broadcast)
    assert isinstance(first, ev.Broadcast)
    other = Core(2)  # and another node believes it
    assert said(other.feed(sign(1, first.draft))) == [Code.PREPARE]


def test_a_block_built_too_late_is_dropped() -> None:
    core = Core(0)
    core.feed(ev.PeriodElapsed(1))
    timeout(core)
    assert core.feed(ev.BlockBuilt(0, BLOCK)) == []


def test_a_late_quorum_of_commits_decides_in_its_own_round() -> None:
    core = Core(1)
    core.feed(proposal(0))
    timeout(core)
    assert core.state.round == 1
    (decided,) = of(core.feed(commit(0), commit(2), commit(3)), ev.CommitBlock)
    assert isinstance(decided, ev.CommitBlock)
    assert (decided.round, decided.block) == (0, BLOCK)


def test_a_late_proposal_counts_when_a_quorum_decided_it() -> None:
    core = Core(1)
    core.feed(ev.PeriodElapsed(1))
    timeout(core)
    assert core.feed(proposal(0)) == []
    effects = core.feed(commit(0), commit(2), commit(3))
    assert effects == [ev.RequestBlocks(VALIDATORS[3], 1)]
    effects = core.feed(proposal(0))
    assert of(effects, ev.ValidateBlock) == [ev.ValidateBlock(BLOCK)]
    assert len(of(effects, ev.CommitBlock)) == 1


# Safety in one round under any order of votes.

VOTES = [
    make(index, 0, block)
    for make in (prepare, commit)
    for index in (0, 2, 3)
    for block in (BLOCK, OTHER)
]


@given(st.permutations([*VOTES, proposal(0), proposal(0, block=OTHER), None]))
@settings(max_examples=300, deadline=None)
def test_any_order_of_equivocating_votes_keeps_one_promise(events: list[Message | None]) -> None:
    """At most one PREPARE and one COMMIT, for one digest, COMMIT only with a quorum of PREPAREs."""
    core = Core(1)
    for event in events:
        core.feed(*([] if event is None else [event]))
        if event is None:
            timeout(core)
    spoken = [effect.draft.payload for effect in core.log if isinstance(effect, ev.Broadcast)]
    prepared = {p.digest for p in spoken if isinstance(p, PreparePayload)}
    committed = [p.digest for p in spoken if isinstance(p, CommitPayload)]
    assert len(prepared) <= 1
    assert len(committed) <= 1
    assert set(committed) <= prepared
    for digest in committed:
        first = next(i for i, e in enumerate(core.log) if said([e]) == [Code.COMMIT])
        assert first > 0
        votes = [m for m in core.state.prepares.values() if m.signed.payload.digest == digest]
        assert len(votes) >= 3
    decided = [effect for effect in core.log if isinstance(effect, ev.CommitBlock)]
    assert len(decided) <= 1
    for effect in decided:
        digest = digest_of(effect.block.encoded, effect.round)
        commits = core.state.commits.values()
        assert sum(m.signed.payload.digest == digest for m in commits) >= 3
