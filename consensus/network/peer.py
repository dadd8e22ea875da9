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
    URGENT_CODES,
    Code,
    Status,
    encode_frame,
    split_frame,
)

log = logging.getLogger(__name__)

MAX_QUEUED_FRAMES = 4096
MAX_QUEUED_BYTES = 32 * MIB
KNOWN_TRANSACTIONS = 16_384
CLOSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Rates:
    """Frames that a peer may send per second; bursts are twice that."""

    votes: float = 200.0
    requests: float = 10.0
    transaction_frames: float = 100.0
    other: float = 50.0


class Peer:
    """A connected node. ``status`` is its newest STATUS, None before the first."""

    def __init__(
        self, socket: Socket, greeting: Greeting, address: str, outbound: bool, rates: Rates
    ) -> None:
        self.node_id = greeting.node_id
        self.instance = greeting.instance
        self.client = greeting.client
        self.address = address
        self.outbound = outbound
        self.connected_at = time.time()
        self.status: Status | None = None
        self.known_transactions = RecentSet(KNOWN_TRANSACTIONS)
        self.close_reason = ""
        self.ended = asyncio.Event()
        self._socket = socket
        self._urgent: deque[bytes] = deque()
        self._bulk: deque[bytes] = deque()
        self._queued_bytes = 0
        self._wake = asyncio.Event()
        self._closing = asyncio.Event()
        self._buckets = _buckets(rates, time.monotonic())

    @property
    def name(self) -> str:
        """Short form for log lines."""
        return f"0x{self.node_id.hex()[:8]} ({self.address})"

    @property
    def closing(self) -> bool:
        """True once the connection is being given up."""
        return self._closing.is_set()

    def send(self, code: Code, body: bytes) -> bool:
        """Queue a frame; False when the connection is going. An overfull queue closes it.

        Nothing is ever dropped in silence: a peer that does not keep up is disconnected and
        catches up by syncing.
        """
        if self.closing:
            return False
        frame = encode_frame(code, body)
        queue = self._urgent if code in URGENT_CODES else self._bulk
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
            results = await asyncio.gather(*loops, return_exceptions=True)
            self.close(_failure(results) or "closed by the other side")
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
        while not self.closing:
            frame = await receive_frame(self._socket)
            if frame is None:
                return
            try:
                code, body = split_frame(frame)
                if code in HANDSHAKE_CODES:
                    raise FrameError(f"{code.name} after the handshake")
                if not self._bucket(code).take(time.monotonic()):
                    penalize(self, Penalty.SPAM, f"more {code.name} than allowed per second")
                    continue
                await handle(self, code, body)
            except FrameError as error:
                penalize(self, Penalty.SPAM, str(error))

    async def _write(self) -> None:
        while True:
            while frame := self._next_frame():
                await self._socket.send_bytes(frame)
            self._wake.clear()
            await self._wake.wait()

    def _next_frame(self) -> bytes | None:
        queue = self._urgent or self._bulk
        if not queue:
            return None
        frame = queue.popleft()
        self._queued_bytes -= len(frame)
        return frame

    def _bucket(self, code: Code) -> TokenBucket:
        if code in CONSENSUS_CODES:
            return self._buckets["votes"]
        if code is Code.GET_BLOCKS:
            return self._buckets["requests"]
        if code in (Code.ANNOUNCE, Code.GET_TRANSACTIONS, Code.TRANSACTIONS):
            return self._buckets["transactions"]
        return self._buckets["other"]

    async def _close_socket(self) -> None:
        with suppress(TimeoutError, ConnectionError, RuntimeError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._socket.close(message=self.close_reason.encode()[:120])


_EXPECTED = (ConnectionError, FrameError)


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
