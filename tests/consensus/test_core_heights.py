"""QBFT as stories: later heights, restarts, and nodes that may not vote."""

from dataclasses import replace

import pytest

from consensus.core import events as ev
from consensus.core.messages import (
    Code,
    Message,
    ProposalPayload,
)
from consensus.core.types import Height
from tests.consensus.core_story import Core, of, said
from tests.consensus.votes import (
    BLOCK,
    HEIGHT,
    OTHER,
    VALIDATORS,
    commit,
    prepare,
    proposal,
    round_change,
)
from tests.sim.world import header_of, make_block


def next_height(core: Core) -> ev.NewHeight:
    header = header_of(BLOCK.encoded)
    return ev.NewHeight(Height(2, header.hash, header.coinbase, core.state.height.validators))


def test_messages_of_the_next_height_wait_and_old_round_changes_are_answered() -> None:
    core = Core(2)
    second = make_block(header_of(BLOCK.encoded), VALIDATORS[1], b"two")
    early: list[Message] = [proposal(1, 0, second), prepare(0, 0, second), prepare(1, 0, second)]
    effects = core.feed(*early)
    assert effects == [ev.RequestBlocks(VALIDATORS[i], 1) for i in (1, 0, 1)]
    core.feed(proposal(0), *(prepare(i) for i in (0, 1)), *(commit(i) for i in (0, 1)))
    assert core.state.done
    assert core.feed(prepare(3, 0, second)) == []  # we are about to be there
    effects = core.feed(next_height(core))
    assert said(effects) == [Code.PREPARE, Code.COMMIT]
    assert core.feed(round_change(3, 4)) == [ev.OfferBlock(VALIDATORS[3], 1)]
    assert core.feed(commit(3), prepare(3), proposal(0)) == []


def test_the_buffer_for_later_heights_is_bounded() -> None:
    core = Core(0)
    for height in (2, 11, 12, 2**63):
        for round_number in range(1, 400):
            core.feed(round_change(3, round_number, height=height))
    assert len(core.state.future) == 250
    assert {item.signed.payload.height for item in core.state.future} == {2}
    core.feed(round_change(2, 1, height=11), round_change(2, 1, height=12))
    assert len(core.state.future) == 251


def test_blocks_buffered_for_later_heights_are_bounded_in_bytes() -> None:
    core = Core(0)
    header = header_of(BLOCK.encoded)
    for number in range(1, 11):
        header = replace(header, number=number)
        block = make_block(header, VALIDATORS[1], b"x")
        heavy = replace(block, encoded=block.encoded + bytes(5 << 20))
        payload = ProposalPayload(block.height, 0, heavy)
        core.feed(replace(proposal(1), signed=replace(proposal(1).signed, payload=payload)))
    kept = [item.signed.payload for item in core.state.future]
    sizes = [len(item.block.encoded) for item in kept if isinstance(item, ProposalPayload)]
    assert sum(sizes) <= 16 << 20
    assert len(core.state.future) == 3


# Restart.


def recovered(**fields: object) -> ev.NewHeight:
    return ev.NewHeight(HEIGHT, recovered=ev.Recovered(1, **fields))  # type: ignore[arg-type]


def test_restart_of_a_proposer_sends_its_proposal_again() -> None:
    core = Core(0, recovered(sent={(0, Code.PROPOSAL): proposal(0)}))
    assert core.log[0] == ev.Resend(proposal(0))
    assert said(core.log) == [Code.PREPARE]
    assert of(core.log, ev.BuildBlock) == []
    assert core.feed(ev.PeriodElapsed(1)) == []


def test_restart_after_the_lock_votes_the_same_again() -> None:
    lock = ev.Lock(1, BLOCK, tuple(prepare(i, 1).signed for i in range(3)))
    sent = {(1, Code.PREPARE): prepare(3, 1), (1, Code.COMMIT): commit(3, 1)}
    core = Core(3, recovered(round=1, accepted=BLOCK, lock=lock, sent=sent))
    assert said(core.log) == [Code.PREPARE, Code.COMMIT]
    assert len(of(core.feed(commit(0, 1), commit(1, 1)), ev.CommitBlock)) == 1


def test_restart_in_a_later_round_says_so_with_the_lock() -> None:
    lock = ev.Lock(0, BLOCK, tuple(prepare(i).signed for i in range(3)))
    core = Core(3, recovered(round=4, lock=lock))
    (broadcast,) = of(core.log, ev.Broadcast)
    assert isinstance(broadcast, ev.Broadcast)
    assert broadcast.draft.code is Code.ROUND_CHANGE
    assert broadcast.draft.block == BLOCK
    assert core.state.round == 4


def test_after_a_restart_no_second_digest_is_prepared() -> None:
    core = Core(1, recovered(sent={(0, Code.PREPARE): prepare(1, block=OTHER)}))
    assert said(core.feed(proposal(0))) == []
    assert said(core.feed(*(prepare(i) for i in (0, 2, 3)))) == []


def test_a_journal_of_another_height_is_not_used() -> None:
    event = ev.NewHeight(HEIGHT, recovered=ev.Recovered(7, round=3))
    assert Core(0, event).log == [ev.AwaitPeriod(1)]


@pytest.mark.parametrize("outsider", [True, False])
def test_who_may_not_vote_follows_silently(outsider: bool) -> None:
    """No validator, or not allowed yet: it signs nothing, journals nothing, still decides."""
    if outsider:
        height = replace(HEIGHT, validators=VALIDATORS[:3])
        core, voters = Core(3, ev.NewHeight(height)), (0, 1)
    else:
        core, voters = Core(3, ev.NewHeight(HEIGHT, voting=False)), (0, 1)
    effects = core.feed(ev.PeriodElapsed(1), proposal(0), *(prepare(i) for i in range(3)))
    effects += core.feed(round_change(0, 1), round_change(1, 1), round_change(2, 1))
    assert of(effects, ev.Broadcast) == of(effects, ev.Persist) == of(effects, ev.StartTimer) == []
    assert core.state.round >= 1
    effects = core.feed(*(commit(i) for i in (*voters, 2)))
    assert len(of(effects, ev.CommitBlock)) == 1
