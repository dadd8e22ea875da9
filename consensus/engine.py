"""Drives the QBFT core: one task takes events from a queue and performs effects in their order.

Journal before network: a vote leaves only after signer and journal are on disk. Building,
executing and writing blocks happens in background tasks that post their results as events, so votes
and timers never wait for the executor.
"""

import asyncio
import logging
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from chain.certificate import CommitCertificate
from chain.errors import InvalidBlock
from chain.requests import BlockVerdict
from consensus.codec import encode_message
from consensus.core.events import (
    AwaitPeriod,
    BlockBuilt,
    BlockValidated,
    Broadcast,
    BuildBlock,
    CommitBlock,
    Diverged,
    Effect,
    Entry,
    Event,
    MessageReceived,
    NewHeight,
    OfferBlock,
    PeriodElapsed,
    Persist,
    Rejected,
    RequestBlocks,
    Resend,
    RoundEntered,
    StartTimer,
    Timer,
    TimerFired,
    ValidateBlock,
)
from consensus.core.height import start, transition
from consensus.core.messages import Code, Message
from consensus.core.state import State
from consensus.core.types import Config, Height, ProposedBlock
from consensus.errors import SigningRefused
from consensus.local_chain import LocalChain
from consensus.voter import Voter

log = logging.getLogger(__name__)

CLOCK_TOLERANCE_SECONDS = 1.0
"""How far ahead of the local clock a proposal's timestamp may be; earlier ones are waited for."""
EARLY_MESSAGES = 1_000
TRANSACTION_POLL_SECONDS = 0.05


class Outlet(Protocol):
    """Where the engine's words go: gossip, sync and scoring."""

    def push(self, code: Code, body: bytes) -> None:
        """Send an own message to everybody."""

    def request_blocks(self, author: bytes, height: int) -> None:
        """``author`` has blocks from ``height`` on that we lack."""

    def offer_block(self, author: bytes, height: int) -> None:
        """``author`` lacks the sealed block at ``height``."""

    def misbehaved(self, author: bytes, reason: str) -> None:
        """A validly signed message of ``author`` broke the protocol."""


@dataclass(frozen=True, slots=True)
class EngineView:
    """Where the engine stands: height being decided, round, whether it votes, last execution."""

    height: int
    round: int
    voting: bool
    execution_seconds: float


class Engine:
    """One node's consensus. Run ``run`` as a task, then ``begin`` once peers were asked.

    Args:
        config: of the core.
        chain: head and executor.
        voter: signer and journal; used by this engine alone until ``run`` has returned.
        outlet: network.
        empty_blocks: False lets the proposer wait for a transaction.
    """

    def __init__(
        self,
        config: Config,
        chain: LocalChain,
        voter: Voter,
        outlet: Outlet,
        *,
        empty_blocks: bool = True,
    ) -> None:
        self._config = config
        self._chain = chain
        self._voter = voter
        self._outlet = outlet
        self._empty_blocks = empty_blocks
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._early: list[Message] = []
        self._state: State | None = None
        self._tasks = asyncio.TaskGroup()
        self._period: asyncio.Task[None] | None = None
        self._timers: dict[Timer, asyncio.TimerHandle] = {}
        self._disk = ThreadPoolExecutor(1, "journal")
        self._verdicts: dict[bytes, BlockVerdict] = {}
        self._untimely: set[bytes] = set()
        self._own: dict[tuple[int, Code], bytes] = {}
        self._new_transaction = asyncio.Event()
        self._execution_seconds = 0.0

    @property
    def view(self) -> EngineView:
        """Snapshot for RPC and logs."""
        state, number = self._state, self._chain.height + 1
        voting = state is not None and state.voting and not self._chain.diverged
        current = state is not None and state.height.number == number
        round_number = state.round if state is not None and current else 0
        return EngineView(number, round_number, voting, self._execution_seconds)

    @property
    def own_messages(self) -> tuple[tuple[Code, bytes], ...]:
        """Messages of this height for a peer that has just connected."""
        return tuple((code, body) for (_, code), body in sorted(self._own.items()))

    def begin(self) -> None:
        """Vote on the block after the head, at the start and after every catch-up.

        A height on which this node votes already goes on undisturbed.
        """
        self._post(self._new_height(voting=True))

    def on_head(self, *, voting: bool) -> None:
        """The chain has a new head; ``voting``: nobody is known to be further."""
        self._post(self._new_height(voting=voting))

    def receive(self, message: Message) -> None:
        """A message whose signatures are checked."""
        if self._state is not None:
            self._post(MessageReceived(message))
        elif len(self._early) < EARLY_MESSAGES:
            self._early.append(message)

    def on_transaction(self) -> None:
        """The mempool has grown: a proposer that waits for a transaction looks again."""
        self._new_transaction.set()

    async def run(self) -> None:
        """Process events until cancelled.

        Raises:
            ExecutorFault, SignerError, JournalError: the node must stop.
        """
        try:
            async with self._tasks:
                while True:
                    await self._step(await self._events.get())
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:
            for handle in self._timers.values():
                handle.cancel()
            self._disk.shutdown(wait=True)

    def _post(self, event: Event) -> None:
        self._events.put_nowait(event)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self._tasks.create_task(work)

    def _new_height(self, *, voting: bool) -> NewHeight:
        head = self._chain.head
        recovered = self._voter.recovered
        number = head.number + 1
        height = Height(number, head.hash, head.coinbase, self._chain.validators)
        may_vote = voting and self._voter.may_vote(number) and not self._chain.diverged
        return NewHeight(height, may_vote, recovered)

    async def _step(self, event: Event) -> None:
        if isinstance(event, NewHeight):
            if self._is_stale(event):
                return
            await self._enter(event)
        if self._state is None:
            if not isinstance(event, NewHeight):
                return
            self._state, effects = start(self._config, event)
            for message in self._early:
                self._post(MessageReceived(message))
            self._early.clear()
        else:
            self._state, effects = transition(self._state, event)
        for effect in effects:
            await self._perform(effect)

    def _is_stale(self, event: NewHeight) -> bool:
        """A past height, or one on which we vote: beginning it anew would forget its lock."""
        if self._state is None:
            return False
        number = self._state.height.number
        return event.height.number < number or (
            event.height.number == number and (self._state.voting or not event.voting)
        )

    async def _enter(self, event: NewHeight) -> None:
        """Forget timers, waits and votes of the heights that are in the database."""
        number = event.height.number
        for handle in self._timers.values():
            handle.cancel()
        self._timers.clear()
        if self._period is not None:
            self._period.cancel()
        if self._state is not None and self._state.height.number < number:
            self._own.clear()
            self._verdicts.clear()
            self._untimely.clear()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._disk, self._voter.committed, number - 1)
        if number == self._voter.lost_lock:
            log.error(
                "the journal has lost this key's lock at block %d: no vote before the next block",
                number,
            )

    async def _perform(self, effect: Effect) -> None:  # noqa: C901 - one arm per effect
        match effect:
            case Broadcast():
                await self._broadcast(effect)
            case Persist(entry):
                self._persist(entry)
            case Resend(message):
                self._push(message)
            case StartTimer():
                self._start_timer(effect)
            case AwaitPeriod(height):
                self._period = self._spawn(self._await_period(height))
            case BuildBlock():
                self._spawn(self._build(effect))
            case ValidateBlock(block):
                self._spawn(self._validate(block))
            case CommitBlock():
                self._spawn(self._commit(effect))
            case Diverged(block):
                self._diverged(block)
            case RequestBlocks(author, height):
                self._outlet.request_blocks(author, height)
            case OfferBlock(author, height):
                self._outlet.offer_block(author, height)
            case Rejected(author, reason):
                self._outlet.misbehaved(author, reason)

    def _persist(self, entry: Entry) -> None:
        if isinstance(entry, RoundEntered):
            log.info("block %d: round %d", entry.height, entry.round)
        self._voter.persist(entry)

    async def _broadcast(self, effect: Broadcast) -> None:
        """Sign and journal on the disk thread; the event loop goes on meanwhile."""
        if self._chain.diverged:
            return
        loop = asyncio.get_running_loop()
        try:
            message = await loop.run_in_executor(self._disk, self._voter.sign, effect.draft)
        except SigningRefused as error:
            log.warning("not signed: %s", error)
            return
        self._push(message)
        self._post(MessageReceived(message))

    def _push(self, message: Message) -> None:
        code, body = encode_message(message)
        self._own[message.signed.payload.round, code] = body
        self._outlet.push(code, body)

    def _start_timer(self, effect: StartTimer) -> None:
        running = self._timers.pop(effect.timer, None)
        if running is not None:
            running.cancel()
        fired = TimerFired(effect.timer, effect.height, effect.round)
        loop = asyncio.get_running_loop()
        self._timers[effect.timer] = loop.call_later(effect.delay_ms / 1000, self._post, fired)

    async def _await_period(self, height: int) -> None:
        await self._wait_for_clock(self._chain.next_timestamp)
        while not self._empty_blocks and not self._chain.has_transactions():
            self._new_transaction.clear()
            await self._new_transaction.wait()
            await asyncio.sleep(TRANSACTION_POLL_SECONDS)  # not at every single one of a burst
        self._post(PeriodElapsed(height))

    async def _wait_for_clock(self, timestamp: float) -> None:
        """Sleep until the local clock shows ``timestamp``; the clock may be set meanwhile."""
        while (left := timestamp - self._chain.clock()) > 0:  # noqa: ASYNC110 - no event: a clock
            await asyncio.sleep(min(left, 0.1))

    async def _build(self, effect: BuildBlock) -> None:
        await self._wait_for_clock(self._chain.next_timestamp)
        if not self._is_current(effect.height):
            return
        try:
            block = await self._chain.build(self._config.address)
        except InvalidBlock as error:
            log.warning("no proposal for block %d: %s", effect.height, error)
            return
        self._post(BlockBuilt(effect.round, block))

    async def _validate(self, block: ProposedBlock) -> None:
        """Wait for the clock if the block is a little early, then execute it."""
        if not await self._is_timely(block):
            ahead = block.timestamp - self._chain.clock()
            log.warning("block %d is %.1f s ahead of our clock", block.height, ahead)
            self._untimely.add(block.encoded)
            self._post(BlockValidated(block, False))
            return
        started = time.monotonic()
        verdict = await self._chain.validate(block)
        self._note_execution(block, time.monotonic() - started)
        if not verdict.valid:
            self._verdicts[block.encoded] = verdict
            log.error(
                "voting against block %d of 0x%s: %s%s",
                block.height,
                block.coinbase.hex(),
                verdict.reason,
                f" (evidence: {verdict.evidence})" if verdict.evidence else "",
            )
        self._post(BlockValidated(block, verdict.valid))

    async def _is_timely(self, block: ProposedBlock) -> bool:
        """Whether the timestamp is within the tolerance, now or within half a round's time."""
        ready = block.timestamp - CLOCK_TOLERANCE_SECONDS
        patience = self._config.base_timeout_ms / 2000
        if ready - self._chain.clock() > patience:
            return False
        await self._wait_for_clock(ready)
        return True

    def _note_execution(self, block: ProposedBlock, seconds: float) -> None:
        self._execution_seconds = seconds
        limit = self._config.base_timeout_ms / 2000
        if seconds > limit:
            log.warning(
                "executing block %d took %.2f s; above %.2f s rounds will time out",
                block.height,
                seconds,
                limit,
            )

    async def _commit(self, effect: CommitBlock) -> None:
        await self._chain.commit(effect.block, CommitCertificate(effect.round, effect.seals))

    def _diverged(self, block: ProposedBlock) -> None:
        if block.encoded in self._untimely:
            log.error(
                "a quorum decided block %d with timestamp %d, our clock shows %d: check the clock; "
                "this node follows by sync",
                block.height,
                block.timestamp,
                self._chain.clock(),
            )
            return
        verdict = self._verdicts.get(block.encoded, BlockVerdict(False, "found invalid"))
        self._chain.decided_against_us(block, verdict)

    def _is_current(self, height: int) -> bool:
        return self._chain.height + 1 == height
