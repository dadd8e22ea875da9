"""Tells every part of the node about final blocks, in order, without waiting for slow ones."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from chain.requests import Committed

__all__ = ["Committed", "HeadFeed", "Subscription"]

DEFAULT_CAPACITY = 256


class Subscription:
    """Blocks for one listener; iterate with ``async for``. Ends when it fell behind."""

    def __init__(self, capacity: int) -> None:
        self._queue: asyncio.Queue[Committed | None] = asyncio.Queue(capacity + 1)
        self.lagged = False

    def offer(self, committed: Committed | None) -> None:
        """Queue a block, or None for the end; a full queue ends the subscription."""
        if self.lagged:
            return
        if self._queue.qsize() >= self._queue.maxsize - 1:
            self.lagged, committed = True, None
        self._queue.put_nowait(committed)

    async def __aiter__(self) -> AsyncIterator[Committed]:
        while (committed := await self._queue.get()) is not None:
            yield committed


class HeadFeed:
    """Broadcaster in one event loop; ``latest`` is the newest block told, None at start."""

    def __init__(self) -> None:
        self.latest: Committed | None = None
        self._subscriptions: list[Subscription] = []

    def publish(self, committed: Committed) -> None:
        """Tell every subscriber; never blocks."""
        self.latest = committed
        for subscription in self._subscriptions:
            subscription.offer(committed)

    @contextmanager
    def subscribe(self, capacity: int = DEFAULT_CAPACITY) -> Iterator[Subscription]:
        """Blocks published from now on, until the block ends.

        Args:
            capacity: blocks that may wait; a slower listener's subscription ends with
                ``lagged`` set, so it must read the store from its last block and subscribe anew.
        """
        subscription = Subscription(capacity)
        self._subscriptions.append(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.remove(subscription)

    def close(self) -> None:
        """End every subscription."""
        for subscription in self._subscriptions:
            subscription.offer(None)
