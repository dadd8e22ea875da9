"""QBFT as stories: blocks that are invalid here, and blocks of many rounds."""

from consensus.core import events as ev
from consensus.core.messages import Code, Message
from consensus.core.types import ProposedBlock
from tests.consensus.core_story import Core, of, said, timeout
from tests.consensus.votes import (
    BLOCK,
    HEIGHT,
    VALIDATORS,
    commit,
    prepare,
    proposal,
    round_change,
)
from tests.sim.world import GENESIS, make_block


def test_an_invalid_block_gets_no_vote_and_ends_the_round() -> None:
    core = Core(1, auto=False)
    (validate,) = of(core.feed(proposal(0)), ev.ValidateBlock)
    assert validate == ev.ValidateBlock(BLOCK)
    effects = core.feed(ev.BlockValidated(BLOCK, False), prepare(0), prepare(2), prepare(3))
    assert said(effects) == [Code.ROUND_CHANGE]
    assert effects[0] == ev.Persist(ev.RoundEntered(1, 1))
    assert core.state.round == 1
    assert said(core.feed(ev.BlockValidated(BLOCK, False))) == []
    effects = core.feed(commit(0), commit(2), commit(3))  # decided in the round that we left
    assert [type(effect) for effect in effects] == [ev.Diverged]


def fresh_proposal(round_number: int) -> tuple[Message, ProposedBlock]:
    """What the proposer of a later round proposes when nobody is locked."""
    block = make_block(GENESIS, VALIDATORS[round_number % 4], b"%d" % round_number)
    evidence = tuple(round_change(i, round_number).signed for i in range(3))
    return proposal(round_number % 4, round_number, block, evidence), block


def test_rounds_end_at_once_no_more_than_n_times() -> None:
    """Where validators disagree about every block, rounds must not pass as fast as messages."""
    core = Core(3, auto=False)
    core.feed(proposal(0), ev.BlockValidated(BLOCK, False))
    for round_number in (1, 2, 4):
        message, block = fresh_proposal(round_number)
        effects = core.feed(message, ev.BlockValidated(block, False))
        assert said(effects) == [Code.ROUND_CHANGE]
        assert core.state.round == round_number + 1
    message, block = fresh_proposal(5)
    assert said(core.feed(message, ev.BlockValidated(block, False))) == []
    assert core.state.round == 5
    assert said(timeout(core)) == [Code.ROUND_CHANGE]


def test_blocks_of_many_rounds_are_bounded_and_the_lock_stays() -> None:
    core = Core(3)
    core.feed(proposal(0), prepare(0), prepare(1))
    assert core.state.lock is not None
    for round_number in range(1, 40):
        if round_number % 4 != 3:
            core.feed(fresh_proposal(round_number)[0])
    assert len(core.state.blocks) == 9
    assert core.state.block_key(BLOCK) in core.state.blocks
    assert core.state.blocks.keys() == core.state.verdicts.keys()
    decided = of(core.feed(*(commit(i) for i in range(3))), ev.CommitBlock)
    assert len(decided) == 1
    other = Core(3)
    for round_number in range(1, 40):
        if round_number % 4 != 3:
            other.feed(fresh_proposal(round_number)[0])
    _, dropped = fresh_proposal(1)
    effects = other.feed(*(commit(i, 1, dropped) for i in range(3)))
    assert ev.RequestBlocks(VALIDATORS[2], 1) in effects


def test_an_invalid_block_that_comes_again_ends_that_round_too() -> None:
    core = Core(3, auto=False)
    message, block = fresh_proposal(1)
    core.feed(message, ev.BlockValidated(block, False))
    assert core.state.round == 2
    evidence = tuple(round_change(i, 5).signed for i in range(3))
    effects = core.feed(proposal(1, 5, block, evidence))
    assert (of(effects, ev.ValidateBlock), said(effects)) == ([], [Code.ROUND_CHANGE])
    assert core.state.round == 6


def test_who_does_not_vote_stays_in_the_round_of_an_invalid_block() -> None:
    core = Core(3, ev.NewHeight(HEIGHT, voting=False), auto=False)
    core.feed(proposal(0), ev.BlockValidated(BLOCK, False))
    assert core.state.round == 0
