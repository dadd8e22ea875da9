"""One WebSocket connection: calls in; replies and notifications out, in the right order."""

import asyncio
import logging
from typing import Final

from aiohttp import WSCloseCode, WSMsgType, web

from rpc.hub import Hub
from rpc.jsonrpc import Methods, answer
from rpc.subscriptions import Subscriber

QUEUE_MESSAGES: Final = 4_096
"""Undelivered messages; a client that reads more slowly is disconnected."""
CONCURRENT_CALLS: Final = 32

_LOG = logging.getLogger("assay.rpc")


class WebSocketConnection:
    """Lives as long as the socket.

    Args:
        socket: already prepared.
        methods: the table that HTTP uses too; eth_subscribe and eth_unsubscribe are added.
        hub: source of notifications.
    """

    def __init__(self, socket: web.WebSocketResponse, methods: Methods, hub: Hub) -> None:
        self._socket = socket
        self._methods = methods
        self._hub = hub
        self._outbox: asyncio.Queue[bytes] = asyncio.Queue(QUEUE_MESSAGES)
        self._overrun = asyncio.Event()
        self._free_calls = asyncio.Semaphore(CONCURRENT_CALLS)
        self._subscriber = Subscriber(self._send, hub.watch_pool)

    async def serve(self) -> None:
        """Answer until the peer closes, fails, or reads too slowly."""
        self._hub.add(self._subscriber)
        calls: set[asyncio.Task[None]] = set()
        writer = asyncio.create_task(self._write())
        try:
            async for message in self._socket:
                if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                    break
                await self._free_calls.acquire()
                call = asyncio.create_task(self._answer(message.data))
                calls.add(call)
                call.add_done_callback(calls.discard)
        finally:
            self._hub.remove(self._subscriber)
            for task in (writer, *calls):
                task.cancel()
            await asyncio.gather(writer, *calls, return_exceptions=True)

    async def _answer(self, body: bytes | str) -> None:
        try:
            created: list[str] = []
            own = self._subscriber.methods(created)
            reply = await answer(body, lambda name: own.get(name) or self._methods.get(name))
            if reply is not None:
                self._send(reply)
            self._subscriber.start(created)  # only now: the reply goes out before the first event
        finally:
            self._free_calls.release()

    def _send(self, message: bytes) -> None:
        try:
            self._outbox.put_nowait(message)
        except asyncio.QueueFull:
            self._overrun.set()

    async def _write(self) -> None:
        overrun = asyncio.create_task(self._overrun.wait())
        try:
            while not self._overrun.is_set():
                message = await self._outbox.get()
                sending = asyncio.create_task(self._socket.send_str(message.decode()))
                await asyncio.wait((sending, overrun), return_when=asyncio.FIRST_COMPLETED)
                if not sending.done():
                    sending.cancel()
                    break
                sending.result()
        except ConnectionError:
            return
        finally:
            overrun.cancel()
        _LOG.info("WebSocket client reads too slowly: %d messages waiting", QUEUE_MESSAGES)
        await self._socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"reads too slowly")
