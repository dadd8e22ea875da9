"""Catch up: find out who is ahead, fetch sealed blocks in order, hand them to the importer.

Every block is proven (seals of the set after its parent) before it is executed; that is the
importer's part. What is here decides whom to ask, for what, and how long to wait.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Protocol

from chain.errors import InvalidBlock, UnknownParent
from consensus.network.limits import Penalty
from consensus.network.peer import Peer
from consensus.network.wire import (
    BLOCKS_TARGET,
    MAX_BLOCKS,
    MAX_FRAME,
    BlockRange,
    BlockRequest,
    Code,
    SealedBlock,
    Status,
    decode_block_range,
    decode_block_request,
    decode_sealed,
    decode_status,
    encode_block_range,
    encode_block_request,
    encode_sealed,
)
from consensus.view import SyncView

log = logging.getLogger(__name__)

GRACE_SECONDS = 0.3
"""A node that is one block behind is probably writing it; it is left alone for so long."""
ANSWER_SECONDS = 10.0
REPORT_SECONDS = 5.0
OFFER_SECONDS = 1.0
SILENCE_SECONDS = 60.0
"""The claims of who did not answer count for nothing so long, while others are connected."""
MAX_SILENT = 1024
MAX_GIFTS = 8
"""Unasked blocks kept until their turn; sync fetches what is dropped."""


class SealedChain(Protocol):
    """The local chain as sync sees it."""

    @property
    def height(self) -> int:
        """Height of the head."""

    def canonical_hash(self, height: int) -> bytes | None:
        """Hash of the final block at a height; None above the head."""

    def sealed_block(self, height: int) -> SealedBlock | None:
        """A canonical block above genesis with its certificate."""

    async def import_sealed(self, sealed: SealedBlock, *, last: bool) -> None:
        """Prove, execute and write the block after the head; one that is there already is fine.

        ``last``: no further block is known, so this node may vote on the next height.

        Raises:
            UnknownParent: it does not follow the head.
            InvalidBlock: the sender's fault.
        """

    @property
    def diverged(self) -> bool:
        """True when this node cannot follow the chain."""


class Syncer:
    """Follows the best chain that peers prove. Run ``run`` as a task.

    Args:
        peers: connected peers by node id; the pool's own mapping.
        chain: the local chain.
        penalize: scores a peer.
        on_caught_up: called when a catch-up ends, successful or not.

    Attributes:
        progress: the catch-up under way, else None.
    """

    def __init__(
        self,
        peers: Mapping[bytes, Peer],
        chain: SealedChain,
        penalize: Callable[[Peer, Penalty, str], None],
        on_caught_up: Callable[[], None] = lambda: None,
    ) -> None:
        self._on_caught_up = on_caught_up
        self._peers = peers
        self._chain = chain
        self._penalize = penalize
        self._claims: dict[bytes, int] = {}
        self._wake = asyncio.Event()
        self._requests = 0
        self._answers: dict[int, tuple[bytes, asyncio.Future[BlockRange]]] = {}
        self._offered: dict[bytes, tuple[int, float]] = {}
        self._silent: dict[bytes, float] = {}
        self._gifts: deque[tuple[Peer, SealedBlock]] = deque(maxlen=MAX_GIFTS)
        self.progress: SyncView | None = None

    def best_claim(self) -> int:
        """Highest head that a connected peer claims; 0 without any."""
        return max(self._claims.values(), default=0)

    def claimed(self, node_id: bytes, height: int) -> None:
        """A peer showed that it has the block at ``height``; ignored when it is not connected."""
        if node_id not in self._peers or self._is_silent(node_id):
            return
        if height > self._claims.get(node_id, 0):
            self._claims[node_id] = height
            self._wake.set()

    def on_disconnect(self, peer: Peer) -> None:
        """Forget its claim, and stop waiting for its answer."""
        self._claims.pop(peer.node_id, None)
        for node_id, answer in list(self._answers.values()):
            if node_id == peer.node_id and not answer.done():
                answer.set_exception(TimeoutError("disconnected"))

    def offer(self, node_id: bytes, height: int) -> None:
        """Send a sealed block to a peer that still votes at its height, at most once a second."""
        now = time.monotonic()
        last = self._offered.get(node_id)
        if last is not None and last[0] == height and now - last[1] < OFFER_SECONDS:
            return
        peer, sealed = self._peers.get(node_id), self._chain.sealed_block(height)
        if peer is not None and sealed is not None:
            self._offered[node_id] = (height, now)
            peer.send(Code.NEW_BLOCK, encode_sealed(sealed))

    async def on_frame(self, peer: Peer, code: Code, body: bytes) -> None:
        """Handle STATUS, NEW_BLOCK, GET_BLOCKS and BLOCKS; FrameError when malformed."""
        if code is Code.STATUS:
            self._on_status(peer, decode_status(body))
        elif code is Code.GET_BLOCKS:
            self._on_request(peer, decode_block_request(body))
        elif code is Code.NEW_BLOCK:
            self._gifts.append((peer, decode_sealed(body)))
            self._wake.set()
        else:
            self._on_blocks(peer, decode_block_range(body))

    async def run(self) -> None:
        """Follow claims, for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._gifts:
                peer, sealed = self._gifts.popleft()
                await self._import(peer, sealed, last=self.best_claim() <= self._chain.height + 1)
            if self.best_claim() == self._chain.height + 1:
                await asyncio.sleep(GRACE_SECONDS)
            await self.catch_up()

    async def catch_up(self) -> None:
        """Fetch and import until no peer claims more, or none of them delivers."""
        start = self._chain.height
        reported = began = time.monotonic()
        while (target := self.best_claim()) > self._chain.height and not self._chain.diverged:
            self.progress = SyncView(start, self._chain.height, target)
            peer = self._choose()
            if peer is None or not await self._fetch(peer):
                continue
            if time.monotonic() - reported > REPORT_SECONDS:
                reported = time.monotonic()
                self._report(start, reported - began)
        if self.progress is not None:
            self.progress = None
            self._on_caught_up()
            done = self._chain.height - start
            if done > 1:
                seconds = time.monotonic() - began
                log.info("caught up: %d blocks in %.1f s, head %d", done, seconds, start + done)

    def _choose(self) -> Peer | None:
        """The connected peer with the highest claim; claims of others are dropped."""
        node_id = max(self._claims, key=lambda item: self._claims[item])
        peer = self._peers.get(node_id)
        if peer is None or peer.closing:
            del self._claims[node_id]
            return None
        return peer

    def _is_silent(self, node_id: bytes) -> bool:
        """True for who left a request unanswered lately: it may not keep us waiting again."""
        now = time.monotonic()
        others = any(self._silent.get(item, 0.0) <= now for item in self._peers if item != node_id)
        return others and self._silent.get(node_id, 0.0) > now

    async def _fetch(self, peer: Peer) -> bool:
        """One request and its import; a claim that is not made good is dropped."""
        claim = self._claims[peer.node_id]
        if await self._deliver(peer, claim):
            return True
        if self._claims.get(peer.node_id) == claim:  # else it has a newer one
            del self._claims[peer.node_id]
        return False

    async def _deliver(self, peer: Peer, claim: int) -> bool:
        first = self._chain.height + 1
        try:
            answer = await self._ask(peer, first, min(MAX_BLOCKS, claim - first + 1))
        except TimeoutError:
            self._penalize(peer, Penalty.TIMEOUT, f"no blocks from {first} on")
            self._silent.pop(peer.node_id, None)
            if len(self._silent) >= MAX_SILENT:
                del self._silent[next(iter(self._silent))]
            self._silent[peer.node_id] = time.monotonic() + SILENCE_SECONDS
            return False
        self._silent.pop(peer.node_id, None)
        if not answer.blocks:
            log.debug("peer %s claims block %d and does not serve it", peer.name, first)
            return False
        last = self._chain.height + len(answer.blocks) >= self.best_claim()
        for index, sealed in enumerate(answer.blocks):
            is_last = last and index == len(answer.blocks) - 1
            if not await self._import(peer, sealed, last=is_last) or self._chain.diverged:
                return False
        return True

    async def _ask(self, peer: Peer, first: int, count: int) -> BlockRange:
        """Send GET_BLOCKS; TimeoutError without an answer in ten seconds."""
        self._requests += 1
        number = self._requests
        answer: asyncio.Future[BlockRange] = asyncio.get_running_loop().create_future()
        self._answers[number] = (peer.node_id, answer)
        try:
            request = BlockRequest(number, first, count)
            if not peer.send(Code.GET_BLOCKS, encode_block_request(request)):
                raise TimeoutError("disconnected")
            async with asyncio.timeout(ANSWER_SECONDS):
                return await answer
        finally:
            del self._answers[number]

    async def _import(self, peer: Peer, sealed: SealedBlock, *, last: bool) -> bool:
        try:
            await self._chain.import_sealed(sealed, last=last)
        except UnknownParent as error:
            log.debug("peer %s: %s", peer.name, error)
            return False
        except InvalidBlock as error:
            self._penalize(peer, Penalty.INVALID_BLOCK, f"bad sealed block: {error}")
            return False
        return True

    def _on_status(self, peer: Peer, status: Status) -> None:
        peer.status = status
        ours = self._chain.canonical_hash(status.height)
        if ours is not None and ours != status.head_hash:
            reason = f"block {status.height} is 0x{status.head_hash.hex()}, here 0x{ours.hex()}"
            self._penalize(peer, Penalty.SPAM, f"STATUS of another chain: {reason}")
        if status.height > self._chain.height:
            self.claimed(peer.node_id, status.height)

    def _on_request(self, peer: Peer, request: BlockRequest) -> None:
        if peer.queued_bytes > MAX_FRAME:
            self._penalize(peer, Penalty.SPAM, "asks for blocks and does not read them")
        else:
            peer.send(Code.BLOCKS, encode_block_range(self._serve(request)))

    def _on_blocks(self, peer: Peer, answer: BlockRange) -> None:
        expected = self._answers.get(answer.request_id)
        if expected is None or expected[0] != peer.node_id or expected[1].done():
            late = 0 < answer.request_id <= self._requests
            penalty = Penalty.TIMEOUT if late else Penalty.SPAM
            self._penalize(peer, penalty, "BLOCKS that nobody waits for")
            return
        expected[1].set_result(answer)

    def _serve(self, request: BlockRequest) -> BlockRange:
        blocks: list[SealedBlock] = []
        size = 0
        for height in range(request.first, request.first + request.count):
            sealed = self._chain.sealed_block(height)
            if sealed is None:
                break
            size += len(sealed.block) + len(sealed.certificate)
            if blocks and size > BLOCKS_TARGET:
                break
            blocks.append(sealed)
        return BlockRange(request.request_id, tuple(blocks))

    def _report(self, start: int, seconds: float) -> None:
        height, target = self._chain.height, self.best_claim()
        rate = (height - start) / seconds
        left = f"{(target - height) / rate:.0f} s left" if rate > 0 else "no progress"
        log.info("syncing: block %d of %d, %.1f blocks/s, %s", height, target, rate, left)
