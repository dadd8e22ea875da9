"""Between rounds: timeouts, ROUND-CHANGE, the jump after f+1, and proposing in a later round.

Numbers in parentheses are rules of docs/spec/consensus.md.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from consensus.core.events import (
    Broadcast,
    BuildBlock,
    Effects,
    Persist,
    Rejected,
    RoundEntered,
)
from consensus.core.justification import highest_prepared, round_change_fault
from consensus.core.messages import Code, Draft, Prepared, RoundChange, RoundChangePayload
from consensus.core.round import Step, add_vote, move_to, propose, start_timer
from consensus.core.state import State, Votes
from consensus.core.types import max_faulty

ROUND_CHANGES_PER_AUTHOR: Final = 8
"""ROUND-CHANGEs kept of one validator: those of its highest rounds, however far ahead (5.9).

A bound on the distance instead would shut out nodes whose peers went on timing out without them.
"""


def on_round_change(state: State, message: RoundChange) -> Step:
    """Record a justified ROUND-CHANGE; propose on a quorum of them (5.8), or jump on f+1 (5.6)."""
    payload, author = message.signed.payload, message.signed.author
    if payload.round < state.round:
        return state, ()
    key = (payload.round, author)
    if key in state.round_changes:
        return state, ()
    fault = round_change_fault(state.height, message, state.config.commit_digest)
    if fault is not None:
        reason = f"ROUND-CHANGE ({payload.height}, {payload.round}): {fault}"
        return state, (Rejected(author, reason),)
    message = _share_block(state.round_changes, message)
    votes = add_vote(state.round_changes, key, message, ROUND_CHANGES_PER_AUTHOR)
    state, effects = _propose_justified(replace(state, round_changes=votes), payload.round)
    target = _jump_target(state)
    if target is not None:
        state, more = enter(state, target)
        effects += more
    if _has_company(state):
        state, more = start_timer(state)
        effects += more
    return state, effects


def on_round_timer(state: State) -> Step:
    """Leave the round (5.6), except while our own executor still looks at its proposal (5.2)."""
    block = state.candidate
    if block is not None and not state.accepted and state.block_key(block) not in state.verdicts:
        return state, (state.round_timer(),)
    return enter(state, state.round + 1)


def leave_rejected(state: State) -> Step:
    """Leave a round whose proposal is invalid here (5.3): this node has no vote left to give in it.

    At most n times in a height. Where whole networks disagree about blocks, rounds would otherwise
    pass as fast as messages do.
    """
    block = state.candidate
    if block is None or state.done or not state.voting:
        return state, ()
    if state.verdicts.get(state.block_key(block), True):
        return state, ()
    if state.rejections >= len(state.height.validators):
        return state, ()
    return enter(replace(state, rejections=state.rejections + 1), state.round + 1)


def on_resend_timer(state: State) -> Step:
    """Send ROUND-CHANGE again until the round has a proposal (5.6)."""
    if state.candidate is not None or state.round == 0:
        return state, ()
    return state, send_round_change(state)


def enter(state: State, round_number: int) -> Step:
    """Go to a later round: journal it and tell the others, with our lock (5.6).

    The timer waits until a quorum has come as far (5.7; PBFT's rule). Where it ran at once, rounds
    of the same length and clocks of different speed could keep one node a round ahead of the others
    for ever: too few to make them jump, too many to decide without.
    """
    state = move_to(state, round_number)
    if not state.voting:
        return state, ()
    entry = RoundEntered(state.height.number, round_number)
    return state, (Persist(entry), *send_round_change(state))


def send_round_change(state: State) -> Effects:
    """Our ROUND-CHANGE for the current round, and the timer that repeats it."""
    if not state.voting:
        return ()
    number, lock = state.height.number, state.lock
    if lock is None:
        draft = Draft(RoundChangePayload(number, state.round, None))
    else:
        prepared = Prepared(lock.round, state.digest(lock.block, lock.round))
        payload = RoundChangePayload(number, state.round, prepared)
        draft = Draft(payload, prepares=lock.prepares, block=lock.block)
    return Broadcast(draft), state.resend_timer()


def _propose_justified(state: State, round_number: int) -> Step:
    """As its proposer: on a quorum, propose the highest locked block or a new one (5.8)."""
    ours = state.voting and state.height.proposer(round_number) == state.config.address
    chosen = [item for (number, _), item in sorted(state.round_changes.items())
              if number == round_number]  # fmt: skip
    if not ours or len(chosen) < state.height.quorum:
        return state, ()
    effects: Effects = ()
    if round_number > state.round:
        state, effects = enter(state, round_number)
    vote = (round_number, Code.PROPOSAL)
    if state.candidate is not None or state.evidence is not None or vote in state.cast:
        return state, effects
    evidence = tuple(item.signed for item in chosen)
    best = highest_prepared(evidence)
    for item in chosen:
        if best is not None and item.signed.payload.prepared == best and item.block is not None:
            state, more = propose(state, item.block, evidence, item.prepares)
            return state, effects + more
    state = replace(state, evidence=evidence)
    return state, (*effects, BuildBlock(state.height.number, round_number))


def _jump_target(state: State) -> int | None:
    """Lowest of the rounds ahead when f+1 validators are ahead: one of them is honest (5.6)."""
    ahead: dict[bytes, int] = {}
    for round_number, author in state.round_changes:
        if round_number > state.round:
            ahead[author] = max(round_number, ahead.get(author, 0))
    if len(ahead) <= max_faulty(len(state.height.validators)):
        return None
    return min(ahead.values())


def _has_company(state: State) -> bool:
    """Whether a quorum, we included, asked for this round or a later one (5.7)."""
    if state.round == 0:
        return False
    authors = {author for number, author in state.round_changes if number >= state.round}
    return len(authors) >= state.height.quorum


def _share_block(votes: Mapping[Votes, RoundChange], message: RoundChange) -> RoundChange:
    """Keep one copy in memory of a block that many validators are locked on."""
    for known in votes.values():
        if known.block == message.block:
            return replace(message, block=known.block)
    return message
