"""The whole QBFT core: ``start`` a node, then ``transition(state, event) -> (state, effects)``.

Source: EEA QBFT specification and its Dafny model, as docs/spec/consensus.md states them; numbers
in parentheses are its rules. No clock, network or randomness: equal events give equal effects.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from consensus.core.events import (
    AwaitPeriod,
    BlockBuilt,
    BlockValidated,
    BuildBlock,
    Effects,
    Event,
    MessageReceived,
    NewHeight,
    OfferBlock,
    PeriodElapsed,
    Recovered,
    RequestBlocks,
    Resend,
    Timer,
    TimerFired,
    ValidateBlock,
)
from consensus.core.messages import (
    Code,
    Commit,
    Message,
    Prepare,
    Proposal,
    ProposalPayload,
    RoundChange,
    RoundChangePayload,
)
from consensus.core.round import (
    Step,
    on_built,
    on_commit,
    on_prepare,
    on_proposal,
    on_validated,
    start_timer,
)
from consensus.core.round_change import (
    leave_rejected,
    on_resend_timer,
    on_round_change,
    on_round_timer,
    send_round_change,
)
from consensus.core.state import State
from consensus.core.types import Config

FUTURE_HEIGHTS: Final = 10
"""Messages further ahead are not kept: the node syncs first (5.9)."""
FUTURE_MESSAGES: Final = 1_000
"""Messages kept for later heights, over all authors (5.9)."""
FUTURE_BLOCK_BYTES: Final = 16 << 20
"""Block bytes kept for later heights per author (5.9)."""


def start(config: Config, event: NewHeight) -> Step:
    """State of a node that has just opened its database, and what to do first."""
    return _begin(State(config, event.height, event.voting), event)


def transition(state: State, event: Event) -> Step:
    """Next state and the effects to perform in order; stale events change nothing."""
    match event:
        case NewHeight():
            return _begin(state, event)
        case MessageReceived(message):
            return _on_message(state, message)
    if state.done:
        return state, ()
    match event:
        case PeriodElapsed(height):
            return _on_period(state) if height == state.height.number else (state, ())
        case BlockBuilt(round_number, block):
            if block.parent_hash != state.height.parent_hash:
                return state, ()
            return on_built(state, round_number, block)
        case BlockValidated(block, valid):
            return _then_leave(on_validated(state, block, valid))
        case TimerFired():
            return _on_timer(state, event)


def _begin(state: State, event: NewHeight) -> Step:
    """Forget the last height, take what the journal knows, then hear the messages kept for it."""
    number = event.height.number
    member = state.config.address in event.height.validators
    kept = tuple(item for item in state.future if _height(item) > number)
    due = [item for item in state.future if _height(item) == number]
    state = State(state.config, event.height, event.voting and member, future=kept)
    recovered = event.recovered
    effects: Effects
    if recovered is not None and recovered.height == number and state.voting:
        state, effects = _restore(state, recovered)
    else:
        effects = (AwaitPeriod(number),)
    return _replay(state, effects, due)


def _replay(state: State, effects: Effects, messages: Iterable[Message]) -> Step:
    for message in messages:
        state, more = _on_message(state, message)
        effects += more
    return state, effects


def _restore(state: State, recovered: Recovered) -> Step:
    """Enter the journal's round with its lock; say again what was said in that round (6.5)."""
    number, round_number = state.height.number, recovered.round
    cast = {key: _subject(state, message) for key, message in recovered.sent.items()}
    state = replace(state, round=round_number, lock=recovered.lock, cast=cast)
    block = recovered.accepted
    if recovered.lock is not None and recovered.lock.round == round_number:
        block = recovered.lock.block
        votes = {(round_number, item.author): Prepare(item) for item in recovered.lock.prepares}
        state = replace(state, prepares=votes)
    proposal = recovered.sent.get((round_number, Code.PROPOSAL))
    effects: Effects = () if proposal is None else (Resend(proposal),)
    if block is None and isinstance(proposal, Proposal):
        block = proposal.signed.payload.block
    if block is not None:
        key = state.block_key(block)
        state, started = start_timer(replace(state, candidate=block, blocks={key: block}))
        return state, (*effects, *started, ValidateBlock(block))
    if round_number == 0:
        return state, (*effects, AwaitPeriod(number))
    return state, (*effects, *send_round_change(state))


def _subject(state: State, message: Message) -> bytes:
    """The digest that an own message bound us to; empty for a ROUND-CHANGE, which binds nothing."""
    payload = message.signed.payload
    match payload:
        case ProposalPayload():
            return state.digest(payload.block, payload.round)
        case RoundChangePayload():
            return b""
    return payload.digest


def _on_message(state: State, message: Message) -> Step:
    """Sort by author and height (5.9), then by kind."""
    author, number = message.signed.author, _height(message)
    if author not in state.height.validators:
        return state, ()
    if number > state.height.number:
        return _on_future(state, message)
    if number < state.height.number:
        late = isinstance(message, RoundChange) and author != state.config.address
        return state, (OfferBlock(author, number),) if late else ()
    if state.done:
        return state, ()
    match message:
        case Proposal():
            return _then_leave(on_proposal(state, message))
        case Prepare():
            return on_prepare(state, message)
        case Commit():
            return on_commit(state, message)
        case RoundChange():
            return on_round_change(state, message)


def _then_leave(step: Step) -> Step:
    """The step, and out of the round when its proposal is invalid here (5.3)."""
    state, effects = step
    state, more = leave_rejected(state)
    return state, effects + more


def _on_future(state: State, message: Message) -> Step:
    """Keep a message of a later height, within bounds; its author knows what we lack (5.9)."""
    number, author = _height(message), message.signed.author
    behind = number > state.height.number + 1 or not state.done
    effects: Effects = (RequestBlocks(author, state.height.number),) if behind else ()
    key = _slot(message)
    size = _block_bytes(message)
    mine = [item for item in state.future if item.signed.author == author]
    if (
        number > state.height.number + FUTURE_HEIGHTS
        or len(mine) >= FUTURE_MESSAGES // len(state.height.validators)
        or any(_slot(item) == key for item in mine)
        or (size and sum(map(_block_bytes, mine)) + size > FUTURE_BLOCK_BYTES)
    ):
        return state, effects
    return replace(state, future=(*state.future, message)), effects


def _on_period(state: State) -> Step:
    """Round 0 begins for us: its timer starts, and its proposer builds (5.1)."""
    if not state.waiting or state.round > 0:
        return state, ()
    state, effects = start_timer(state)
    if state.is_proposer and (0, Code.PROPOSAL) not in state.cast:
        state = replace(state, evidence=())
        effects += (BuildBlock(state.height.number, 0),)
    return state, effects


def _on_timer(state: State, event: TimerFired) -> Step:
    if (event.height, event.round) != (state.height.number, state.round) or not state.voting:
        return state, ()
    if event.timer is Timer.ROUND:
        return on_round_timer(state)
    return on_resend_timer(state)


def _height(message: Message) -> int:
    return message.signed.payload.height


def _slot(message: Message) -> tuple[type[Message], int, int]:
    """One message per author is kept under each of these."""
    return type(message), _height(message), message.signed.payload.round


def _block_bytes(message: Message) -> int:
    match message:
        case Proposal():
            return len(message.signed.payload.block.encoded)
        case RoundChange(block=block):
            return 0 if block is None else len(block.encoded)
    return 0
