"""The way to the reader processes: bounded, so that calls cannot pile up for ever."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from chain.requests import AccessListResult, CallRequest, CallResult
from chain.worker_client import ReaderClient
from rpc.errors import LIMIT_EXCEEDED, RpcError

MAX_WAITING: Final = 512
"""Calls that run or wait; one call takes 1 ms to 30 s of a reader."""

T = TypeVar("T")


class CallQueue:
    """Calls and estimates of all clients.

    Args:
        reader: runs them in other processes.
        limit: calls that may run or wait.
    """

    def __init__(self, reader: ReaderClient, limit: int = MAX_WAITING) -> None:
        self._reader = reader
        self._limit = limit
        self._calls: set[asyncio.Task[Any]] = set()

    async def call(self, request: CallRequest) -> CallResult:
        """As ``ReaderClient.call``; raises RpcError -32005 when the queue is full."""
        return await self._enter(self._reader.call(request))

    async def estimate_gas(self, request: CallRequest) -> int:
        """As ``ReaderClient.estimate_gas``; raises RpcError -32005 when the queue is full."""
        return await self._enter(self._reader.estimate_gas(request))

    async def create_access_list(self, request: CallRequest) -> AccessListResult:
        """As ``ReaderClient.create_access_list``; raises RpcError -32005 when the queue is full."""
        return await self._enter(self._reader.create_access_list(request))

    async def _enter(self, call: Coroutine[Any, Any, T]) -> T:
        """Run a call to its end even when nobody waits for it any more.

        A cancelled call would cost its reader process, so a client that hangs up cancels nothing.
        """
        if len(self._calls) >= self._limit:
            call.close()
            raise RpcError(LIMIT_EXCEEDED, f"too many calls are waiting: limit {self._limit}")
        task = asyncio.create_task(call)
        self._calls.add(task)
        task.add_done_callback(self._leave)
        return await asyncio.shield(task)

    def _leave(self, task: asyncio.Task[Any]) -> None:
        self._calls.discard(task)
        if not task.cancelled():
            task.exception()  # whoever still waits gets it; nobody else needs to hear of it
