"""One authenticated connection: a reading loop, a writing loop and a bounded queue between."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from consensus.network.errors import FrameError
from consensus.network.handshake import Greeting
from consensus.network.limits import Penalty, RecentSet, TokenBucket
from consensus.network.session import Socket, receive_frame
from consensus.network.wire import (
    CONSENSUS_CODES,
    HANDSHAKE_CODES,
    MIB,
    TRANSACTION_CODES,
    URGENT_CODES,
    VOTE_CODES,
    Code,
    Status,
    encode_frame,
    split_frame,
)

log = logging.getLogger(__name__)

MAX_QUEUED_FRAMES = 4096
MAX_QUEUED_BYTES = 32 * MIB
KNOWN_TRANSACTIONS = 16_384
CLOSE_SECONDS = 0.5
VOLUME_PER_SECOND = 32.0 * MIB
"""Bytes read from a peer; a larger volume waits in the kernel and slows the sender."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Frames that a peer may send per second; bursts are twice that.

    Attributes:
        votes: consensus messages.
        requests: GET_BLOCKS and GET_PEERS.
        transaction_frames: ANNOUNCE, GET_TRANSACTIONS and TRANSACTIONS.
        other: the rest, and WebSocket pings and pongs.
    """

    votes: float = 200.0
    requests: float = 10.0
    transaction_frames: float = 100.0
    other: float = 50.0


class Peer:
    """A connected node.

    Args:
        address: host:port dialled, or the host that dialled us.
        host: IP address of the other end.

    Attributes:
        status: its newest STATUS, None before the first.
    """

    def __init__(
        self,
        socket: Socket,
        greeting: Greeting,
        address: str,
        host: str,
        outbound: bool,
        rates: Rates,
    ) -> None:
        self.node_id = greeting.node_id
        self.instance = greeting.instance
        self.client = greeting.client
        self.address = address
        self.host = host
        self.outbound = outbound
        self.connected_at = time.time()
        self.status: Status | None = None
        self.known_transactions = RecentSet(KNOWN_TRANSACTIONS)
        self.close_reason = ""
        self.ended = asyncio.Event()
        self._socket = socket
        self._queues: tuple[deque[bytes], ...] = (deque(), deque(), deque())
        self._queued_bytes = 0
        self._wake = asyncio.Event()
        self._closing = asyncio.Event()
        self._buckets = _buckets(rates, time.monotonic())
        self._volume = TokenBucket(VOLUME_PER_SECOND, 2 * VOLUME_PER_SECOND, time.monotonic())

    @property
    def name(self) -> str:
        """Short form for log lines."""
        return f"0x{self.node_id.hex()[:8]} ({self.address})"

    @property
    def closing(self) -> bool:
        """True once the connection is being given up."""
        return self._closing.is_set()

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait to be written."""
        return self._queued_bytes

    def send(self, code: Code, body: bytes) -> bool:
        """Queue a frame; False when the connection is going. An overfull queue closes it.

        Nothing is ever dropped in silence: a peer that does not keep up is disconnected and
        catches up by syncing.
        """
        return not self.closing and self.send_frame(code, encode_frame(code, body))

    def send_frame(self, code: Code, frame: bytes) -> bool:
        """As ``send``, of an encoded frame, which several peers may share."""
        if self.closing:
            return False
        queue = self._queues[0 if code in VOTE_CODES else 1 if code in URGENT_CODES else 2]
        if len(queue) >= MAX_QUEUED_FRAMES or self._queued_bytes + len(frame) > MAX_QUEUED_BYTES:
            self.close(f"send queue full ({len(queue)} frames, {self._queued_bytes} bytes)")
            return False
        queue.append(frame)
        self._queued_bytes += len(frame)
        self._wake.set()
        return True

    def close(self, reason: str) -> None:
        """Ask the connection to end; the first reason is the one that is logged."""
        if not self.closing:
            self.close_reason = reason
            self._closing.set()

    async def run(
        self,
        handle: Callable[["Peer", Code, bytes], Awaitable[None]],
        penalize: Callable[["Peer", Penalty, str], None],
    ) -> None:
        """Serve the connection until either side ends it; returns when it is closed."""
        loops = [
            asyncio.create_task(self._read(handle, penalize)),
            asyncio.create_task(self._write()),
            asyncio.create_task(self._closing.wait()),
        ]
        try:
            await asyncio.wait(loops, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in loops:
                task.cancel()
            try:
                results = await asyncio.gather(*loops, return_exceptions=True)
                self.close(_failure(results) or "closed by the other side")
            finally:  # also when cancelled a second time
                await self._close_socket()
                self.ended.set()
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, _EXPECTED):
                log.error("handling a frame of %s failed", self.name, exc_info=result)

    async def _read(
        self,
        handle: Callable[["Peer", Code, bytes], Awaitable[None]],
        penalize: Callable[["Peer", Penalty, str], None],
    ) -> None:
        def on_control() -> None:
            if not self._buckets["other"].take(time.monotonic()):
                penalize(self, Penalty.SPAM, "more pings than allowed per second")

        while not self.closing:
            frame = await receive_frame(self._socket, on_control)
            if frame is None:
                return
            try:
                code, body = split_frame(frame)
                if code in HANDSHAKE_CODES:
                    raise FrameError(f"{code.name} after the handshake")
                if not self._buckets[_bucket(code)].take(time.monotonic()):
                    penalize(self, Penalty.SPAM, f"more {code.name} than allowed per second")
                    continue
                await handle(self, code, body)
            except FrameError as error:
                penalize(self, error.penalty, str(error))
            await self._rest(len(frame))

    async def _rest(self, size: int) -> None:
        """Let others run, and wait when the peer has sent more bytes than it may."""
        now = time.monotonic()
        self._volume.spend(now, size)
        await asyncio.sleep(max(0.0, -self._volume.available(now) / VOLUME_PER_SECOND))

    async def _write(self) -> None:
        while True:
            while frame := self._next_frame():
                await self._socket.send_bytes(frame)
            self._wake.clear()
            await self._wake.wait()

    def _next_frame(self) -> bytes | None:
        for queue in self._queues:
            if queue:
                frame = queue.popleft()
                self._queued_bytes -= len(frame)
                return frame
        return None

    async def _close_socket(self) -> None:
        with suppress(TimeoutError, ConnectionError, RuntimeError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._socket.close(message=self.close_reason.encode()[:120])


_EXPECTED = (ConnectionError, FrameError)


def _bucket(code: Code) -> str:
    if code in CONSENSUS_CODES:
        return "votes"
    if code in (Code.GET_BLOCKS, Code.GET_PEERS):
        return "requests"
    return "transactions" if code in TRANSACTION_CODES else "other"


def _buckets(rates: Rates, now: float) -> dict[str, TokenBucket]:
    table = {
        "votes": rates.votes,
        "requests": rates.requests,
        "transactions": rates.transaction_frames,
        "other": rates.other,
    }
    return {name: TokenBucket(rate, 2 * rate, now) for name, rate in table.items()}


def _failure(results: Sequence[object]) -> str:
    for result in results:
        if isinstance(result, Exception):
            return str(result) or type(result).__name__
    return ""
