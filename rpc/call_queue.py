"""The way to the reader processes: bounded, so that calls cannot pile up for ever."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

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
        self._waiting = 0

    async def call(self, request: CallRequest) -> CallResult:
        """As ``ReaderClient.call``; raises RpcError -32005 when the queue is full."""
        return await self._enter(lambda: self._reader.call(request))

    async def estimate_gas(self, request: CallRequest) -> int:
        """As ``ReaderClient.estimate_gas``; raises RpcError -32005 when the queue is full."""
        return await self._enter(lambda: self._reader.estimate_gas(request))

    async def create_access_list(self, request: CallRequest) -> AccessListResult:
        """As ``ReaderClient.create_access_list``; raises RpcError -32005 when the queue is full."""
        return await self._enter(lambda: self._reader.create_access_list(request))

    async def _enter(self, start: Callable[[], Awaitable[T]]) -> T:
        if self._waiting >= self._limit:
            raise RpcError(LIMIT_EXCEEDED, f"too many calls are waiting: limit {self._limit}")
        self._waiting += 1
        try:
            return await start()
        finally:
            self._waiting -= 1
