"""Follows the chain and the pool for everybody who waits: subscriptions, filters, sync sends.

One task follows the head feed; while somebody wants pending transactions, another looks at the pool
ten times a second. Transactions of a committed block that were never seen in the pool are reported
as well, so nobody misses a transaction that was included at once.
"""

import asyncio
import logging
from typing import Final

import orjson

from chain.blocks import Block
from chain.head_feed import Committed, Follower
from chain.header import Header
from chain.transactions import Transaction
from rpc import encode
from rpc.context import NodeContext
from rpc.filters import Filter, FilterKind, FilterTable, PendingLog
from rpc.logs import matching
from rpc.subscriptions import Subscriber, Subscription, Topic

POOL_POLL_SECONDS: Final = 0.1

_LOG = logging.getLogger("assay.rpc")


class Hub:
    """Use as an async context manager: leaving stops its tasks.

    Attributes:
        filters: polling filters.
        pending: hashes seen in the pool while somebody wanted them.
    """

    def __init__(self, node: NodeContext) -> None:
        self.filters = FilterTable()
        self.pending = PendingLog()
        self._node = node
        self._subscribers: set[Subscriber] = set()
        self._watching_pool = False
        self._waiting: dict[bytes, set[asyncio.Future[None]]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Hub":
        heads = self._node.head_feed.follow()
        self._tasks = [
            asyncio.create_task(self._follow_heads(heads), name="rpc heads"),
            asyncio.create_task(self._follow_pool(), name="rpc pool"),
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def add(self, subscriber: Subscriber) -> None:
        """Serve a connection."""
        self._subscribers.add(subscriber)

    def remove(self, subscriber: Subscriber) -> None:
        """Forget a connection."""
        self._subscribers.discard(subscriber)

    def watch_pool(self) -> None:
        """Report pending transactions from now on, until nobody wants them any more."""
        if not self._watching_pool:
            self._watching_pool = True
            self.pending.append(self._node.mempool.hashes())  # old news

    def add_pending_filter(self) -> str:
        """A filter of pending transactions that starts now; returns its id."""
        self.watch_pool()
        self.poll_pending()
        return self.filters.add(Filter(FilterKind.PENDING, self.pending.end))

    def poll_pending(self) -> None:
        """Report what is new in the pool."""
        new = self.pending.append(self._node.mempool.hashes())
        if new:
            mempool = self._node.mempool
            found = [tx for item in new if (tx := mempool.get(item)) is not None]
            self._announce_pending([(tx, None, 0) for tx in found])

    async def included(self, transaction_hash: bytes, timeout_seconds: float) -> bool:
        """Wait until a transaction is in a block; False when the time is over."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiters = self._waiting.setdefault(transaction_hash, set())
        waiters.add(waiter)
        try:
            if self._node.store.transaction_location(transaction_hash) is None:
                await asyncio.wait_for(waiter, timeout_seconds)
        except TimeoutError:
            return False
        finally:
            waiters.discard(waiter)
            if not waiters:
                self._waiting.pop(transaction_hash, None)
        return True

    async def _follow_heads(self, heads: Follower) -> None:
        last = self._node.chain.head().number
        async for committed in heads:
            try:
                for number in range(last + 1, committed.header.number):
                    self._catch_up(number)
                self._on_committed(committed)
            except Exception:  # the RPC boundary: the next block is announced all the same
                _LOG.exception("block %d was not announced", committed.header.number)
            last = max(last, committed.header.number)

    def _catch_up(self, number: int) -> None:
        """Announce a block that the feed left out because we were slow."""
        header = self._node.chain.header(number)
        executed = None if header is None else self._node.chain.executed(header.hash)
        if executed is not None:
            block, receipts = executed
            self._on_committed(Committed(block.header, block.transactions, receipts))

    async def _follow_pool(self) -> None:
        while True:
            await asyncio.sleep(POOL_POLL_SECONDS)
            if not self._watching_pool:
                continue
            self._watching_pool = self.filters.any_pending() or any(
                subscriber.wants_pending() for subscriber in self._subscribers
            )
            self.poll_pending()

    def _on_committed(self, committed: Committed) -> None:
        for tx in committed.transactions:
            for waiter in self._waiting.get(tx.hash, ()):
                if not waiter.done():
                    waiter.set_result(None)
        if self._watching_pool:
            self.poll_pending()
            new = set(self.pending.append([tx.hash for tx in committed.transactions]))
            self._announce_pending(
                [
                    (tx, committed.header, index)
                    for index, tx in enumerate(committed.transactions)
                    if tx.hash in new
                ]
            )
        self._announce_head(committed.header)
        self._announce_logs(committed)

    def _announce_pending(self, seen: list[tuple[Transaction, Header | None, int]]) -> None:
        for subscriber, identity, subscription in self._subscriptions(Topic.PENDING):
            for tx, header, index in seen:
                full = subscription.full
                event = encode.transaction(tx, header, index) if full else encode.data(tx.hash)
                subscriber.notify(identity, orjson.dumps(event))

    def _announce_head(self, header: Header) -> None:
        event = orjson.dumps(encode.header(header))
        for subscriber, identity, _ in self._subscriptions(Topic.NEW_HEADS):
            subscriber.notify(identity, event)

    def _announce_logs(self, committed: Committed) -> None:
        block = Block(committed.header, committed.transactions)
        for subscriber, identity, subscription in self._subscriptions(Topic.LOGS):
            if subscription.query.may_match(committed.header.logs_bloom):
                for log in matching(block, committed.receipts, subscription.query):
                    subscriber.notify(identity, orjson.dumps(encode.log(log)))

    def _subscriptions(self, topic: Topic) -> list[tuple[Subscriber, str, Subscription]]:
        return [
            (subscriber, identity, subscription)
            for subscriber in list(self._subscribers)
            for identity, subscription in subscriber.started(topic)
        ]
