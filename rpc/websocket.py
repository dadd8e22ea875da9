"""One WebSocket connection: calls in; replies and notifications out, in the right order.

A client that reads slowly is treated by kind: its calls wait (it hears the answer later), but
notifications cannot wait, so when too much of them piles up the connection is closed.
"""

import asyncio
import logging
from collections import deque
from typing import Final

from aiohttp import WSCloseCode, WSMsgType, web

from rpc.hub import Hub
from rpc.jsonrpc import Methods, answer
from rpc.subscriptions import Subscriber

CONCURRENT_CALLS: Final = 32
"""Of one connection; further requests are not read until one of them is answered."""

_LOG = logging.getLogger("assay.rpc")


class Outbox:
    """Messages on their way to one client.

    Args:
        max_bytes: what may wait.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._messages: deque[bytes] = deque()
        self._size = 0
        self._filled, self._room = asyncio.Event(), asyncio.Event()
        self._room.set()

    async def wait_for_room(self) -> None:
        """Wait until less than ``max_bytes`` are queued."""
        await self._room.wait()

    def put(self, message: bytes) -> bool:
        """Queue a message; False when too much waits already."""
        if self._size >= self._max_bytes:
            return False
        self._messages.append(message)
        self._size += len(message)
        self._filled.set()
        if self._size >= self._max_bytes:
            self._room.clear()
        return True

    async def get(self) -> bytes:
        """The oldest message."""
        while not self._messages:
            self._filled.clear()
            await self._filled.wait()
        message = self._messages.popleft()
        self._size -= len(message)
        if self._size < self._max_bytes:
            self._room.set()
        return message


class WebSocketConnection:
    """Lives as long as the socket.

    Args:
        socket: already prepared.
        methods: the table that HTTP uses too; eth_subscribe and eth_unsubscribe are added.
        hub: source of notifications.
        max_queued_bytes: undelivered messages.
    """

    def __init__(
        self, socket: web.WebSocketResponse, methods: Methods, hub: Hub, max_queued_bytes: int
    ) -> None:
        self._socket = socket
        self._methods = methods
        self._hub = hub
        self._outbox = Outbox(max_queued_bytes)
        self._overrun = asyncio.Event()
        self._free_calls = asyncio.Semaphore(CONCURRENT_CALLS)
        self._subscriber = Subscriber(self._notify, hub.watch_pool)

    async def serve(self) -> None:
        """Answer until the peer closes, fails, or reads too slowly."""
        self._hub.add(self._subscriber)
        loops = [
            asyncio.create_task(self._read()),
            asyncio.create_task(self._write()),
            asyncio.create_task(self._overrun.wait()),
        ]
        try:
            await asyncio.wait(loops, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._hub.remove(self._subscriber)
            for task in loops:
                task.cancel()
            await asyncio.gather(*loops, return_exceptions=True)
        if self._overrun.is_set():
            _LOG.info("a WebSocket client reads too slowly and was disconnected")
            await self._socket.close(
                code=WSCloseCode.POLICY_VIOLATION, message=b"reads too slowly", drain=False
            )

    async def _read(self) -> None:
        calls: set[asyncio.Task[None]] = set()
        try:
            async for message in self._socket:
                if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                    return
                await self._free_calls.acquire()
                call = asyncio.create_task(self._answer(message.data))
                calls.add(call)
                call.add_done_callback(calls.discard)
        finally:
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)

    async def _answer(self, body: bytes | str) -> None:
        try:
            created: list[str] = []
            own = self._subscriber.methods(created)
            reply = await answer(body, lambda name: own.get(name) or self._methods.get(name))
            while reply is not None and not self._outbox.put(reply):
                await self._outbox.wait_for_room()
            self._subscriber.start(created)  # only now: the reply goes out before the first event
        finally:
            self._free_calls.release()

    def _notify(self, message: bytes) -> None:
        if not self._outbox.put(message):
            self._overrun.set()

    async def _write(self) -> None:
        try:
            while True:
                await self._socket.send_str((await self._outbox.get()).decode())
        except ConnectionError:
            return  # the client is gone
