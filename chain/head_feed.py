"""Tells every part of the node about final blocks, in order, without waiting for slow ones."""

import asyncio
from collections import deque
from weakref import WeakSet

from chain.requests import Committed

__all__ = ["Committed", "Follower", "HeadFeed"]

DEFAULT_CAPACITY = 1_024


class Follower:
    """Blocks for one listener: ``async for committed in feed.follow()``.

    When more than ``capacity`` blocks wait, the oldest are dropped; a listener that must not miss
    any compares ``header.number`` with the last one it saw and reads the gap from the store.
    """

    def __init__(self, capacity: int) -> None:
        self._waiting: deque[Committed] = deque(maxlen=capacity)
        self._news = asyncio.Event()
        self._closed = False

    def offer(self, committed: Committed) -> None:
        """Queue a block; never blocks."""
        self._waiting.append(committed)
        self._news.set()

    def close(self) -> None:
        """End the iteration after what waits."""
        self._closed = True
        self._news.set()

    def __aiter__(self) -> "Follower":
        return self

    async def __anext__(self) -> Committed:
        while not self._waiting:
            if self._closed:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return self._waiting.popleft()


class HeadFeed:
    """Broadcaster in one event loop; ``latest`` is the newest block told, None at start."""

    def __init__(self) -> None:
        self.latest: Committed | None = None
        self._followers: WeakSet[Follower] = WeakSet()

    def follow(self, capacity: int = DEFAULT_CAPACITY) -> Follower:
        """Blocks published from now on; forgotten when the listener drops the follower."""
        follower = Follower(capacity)
        self._followers.add(follower)
        return follower

    def publish(self, committed: Committed) -> None:
        """Tell every follower; never blocks."""
        self.latest = committed
        for follower in list(self._followers):
            follower.offer(committed)

    def close(self) -> None:
        """End every iteration."""
        for follower in list(self._followers):
            follower.close()
