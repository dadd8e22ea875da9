"""A node's view of a chain that somebody else writes: ``assay node --consensus none``."""

import asyncio
from typing import Final

from chain.head_feed import HeadFeed
from chain.mempool import Mempool
from chain.requests import Committed
from chain.store import Store
from chain.transactions import decode_transaction

POLL_SECONDS: Final = 0.25


class ChainFollower:
    """Tells pool and listeners about blocks that appear in the database.

    Args:
        store: read-only view; ``assay import`` may write beside it.
        mempool: of this node; nothing is mined from it.
        feed: told about every new block.
    """

    def __init__(self, store: Store, mempool: Mempool, feed: HeadFeed) -> None:
        self._store, self._mempool, self._feed = store, mempool, feed
        self._head = store.head()

    async def run(self) -> None:
        """Look for new blocks until cancelled."""
        while True:  # noqa: ASYNC110 - another process writes: no event of it reaches us
            await asyncio.sleep(0 if self.advance() else POLL_SECONDS)

    def advance(self) -> bool:
        """Take over the next block, if there is one; whether there was."""
        if self._store.head_hash() == self._head.hash:
            return False
        block_hash = self._store.canonical_hash(self._head.number + 1) or b""
        block, receipts = self._store.block(block_hash), self._store.receipts(block_hash)
        if block is None or receipts is None:
            return False
        self._head = block.header
        if self._store.head_hash() == block_hash:  # the pool reads states; only the newest is sure
            self._mempool.set_head(
                block.header, self._store.state(block.header), block.transactions
            )
        self._feed.publish(Committed(block.header, block.transactions, receipts))
        return True

    async def submit(self, raw: bytes) -> bytes:
        """Take a raw transaction into the pool; returns its hash.

        Raises:
            InvalidTransaction: and nothing has changed.
        """
        transaction = decode_transaction(raw)
        self._mempool.add(transaction)
        return transaction.hash
