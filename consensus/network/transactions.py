"""Transactions: hashes are announced in batches, bodies pulled by whoever lacks them."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from chain.errors import InvalidSignature, InvalidTransaction, MalformedTransaction
from chain.transactions import Transaction, decode_transaction
from consensus.network.limits import Penalty, RecentSet, TokenBucket
from consensus.network.peer import Peer
from consensus.network.wire import (
    MAX_ANNOUNCED,
    MAX_REQUESTED,
    MIB,
    TRANSACTIONS_TARGET,
    Code,
    decode_hashes,
    decode_transactions,
    encode_hashes,
    encode_transactions,
)
from precompiles.hashing import keccak256

log = logging.getLogger(__name__)

BATCH_SECONDS = 0.05
ANSWER_SECONDS = 5.0
MAX_OFFERS = 16_384
SEEN_TRANSACTIONS = 65_536
REFUSED_TRANSACTIONS = 8_192
PULLED_PER_SECOND = 500.0
PULLED_BYTES_PER_SECOND = 2.0 * MIB
ANNOUNCED_PER_SECOND = 4096.0
ANNOUNCED_BURST = 65_536.0
"""A peer announces its whole mempool, up to half of this, when it connects."""
SERVED_PER_SECOND = 1000.0
SERVED_BYTES_PER_SECOND = 4.0 * MIB
"""Twice what an honest peer asks for."""
DECODED_AT_ONCE = 16
"""Signatures recovered before other work of the event loop gets its turn, about 2 ms."""


class WaitingTransactions(Protocol):
    """The part of the mempool that gossip uses."""

    def add(self, transaction: Transaction) -> None:
        """Take a transaction or raise InvalidTransaction."""

    def get(self, transaction_hash: bytes) -> Transaction | None:
        """A waiting transaction."""

    def hashes(self) -> tuple[bytes, ...]:
        """All of them, oldest first."""


@dataclass(slots=True)
class _Pull:
    """What one peer has offered, and what it was asked for."""

    peer: Peer
    count: TokenBucket
    volume: TokenBucket
    announced: TokenBucket
    served: TokenBucket
    served_bytes: TokenBucket
    offers: dict[bytes, None] = field(default_factory=dict)
    asked: frozenset[bytes] = frozenset()
    deadline: float = 0.0


class TransactionGossip:
    """Spreads the mempool. Run ``run`` as a task; everything else is synchronous or per peer.

    Args:
        peers: connected peers by node id; the pool's own mapping.
        mempool: where transactions are added and looked up.
        penalize: scores a peer.
        on_added: told about every transaction that came from a peer and was taken.
    """

    def __init__(
        self,
        peers: Mapping[bytes, Peer],
        mempool: WaitingTransactions,
        penalize: Callable[[Peer, Penalty, str], None],
        on_added: Callable[[Transaction], None] = lambda _: None,
    ) -> None:
        self._peers = peers
        self._mempool = mempool
        self._penalize = penalize
        self._on_added = on_added
        self._outbox: list[bytes] = []
        self._pulls: dict[bytes, _Pull] = {}
        self._in_flight: set[bytes] = set()
        self._seen = RecentSet(SEEN_TRANSACTIONS)
        self._refused = RecentSet(REFUSED_TRANSACTIONS)

    def announce(self, transaction_hash: bytes) -> None:
        """Tell peers about a transaction of our mempool, within the next 50 ms."""
        self._seen.add(transaction_hash)
        self._outbox.append(transaction_hash)

    def on_connect(self, peer: Peer) -> None:
        """Announce everything that waits, so that a restarted node gets its pool back."""
        now = time.monotonic()
        self._pulls[peer.node_id] = _Pull(
            peer,
            TokenBucket(PULLED_PER_SECOND, 4 * PULLED_PER_SECOND, now),
            TokenBucket(PULLED_BYTES_PER_SECOND, 4 * PULLED_BYTES_PER_SECOND, now),
            TokenBucket(ANNOUNCED_PER_SECOND, ANNOUNCED_BURST, now),
            TokenBucket(SERVED_PER_SECOND, 4 * SERVED_PER_SECOND, now),
            TokenBucket(SERVED_BYTES_PER_SECOND, 4 * SERVED_BYTES_PER_SECOND, now),
        )
        self._tell(peer, self._mempool.hashes())

    def on_disconnect(self, peer: Peer) -> None:
        """What was asked of this peer may be asked of others."""
        pull = self._pulls.get(peer.node_id)
        if pull is not None and pull.peer is peer:
            self._in_flight -= pull.asked
            del self._pulls[peer.node_id]

    def on_head(self) -> None:
        """A new block: what was refused before may be valid now."""
        self._refused = RecentSet(REFUSED_TRANSACTIONS)

    async def on_frame(self, peer: Peer, code: Code, body: bytes) -> None:
        """Handle ANNOUNCE, GET_TRANSACTIONS and TRANSACTIONS; FrameError when malformed."""
        if code is Code.ANNOUNCE:
            self._on_announce(peer, decode_hashes(body))
        elif code is Code.GET_TRANSACTIONS:
            self._on_request(peer, decode_hashes(body))
        else:
            await self._on_bodies(peer, decode_transactions(body))

    async def run(self) -> None:
        """Send batches and give up on silent peers, for ever."""
        while True:
            await asyncio.sleep(BATCH_SECONDS)
            self._flush()
            now = time.monotonic()
            for pull in list(self._pulls.values()):
                if pull.asked and now > pull.deadline:
                    self._penalize(pull.peer, Penalty.TIMEOUT, "no answer to GET_TRANSACTIONS")
                    self._finish(pull, keep=False)
                self._pump(pull, now)

    def _flush(self) -> None:
        if not self._outbox:
            return
        batch, self._outbox = self._outbox, []
        for peer in list(self._peers.values()):
            self._tell(peer, batch)

    def _tell(self, peer: Peer, hashes: Iterable[bytes]) -> None:
        known = peer.known_transactions
        fresh = [item for item in hashes if known.add(item)]
        for start in range(0, len(fresh), MAX_ANNOUNCED):
            peer.send(Code.ANNOUNCE, encode_hashes(fresh[start : start + MAX_ANNOUNCED]))

    def _on_announce(self, peer: Peer, hashes: list[bytes]) -> None:
        pull = self._pulls.get(peer.node_id)
        if pull is None or pull.peer is not peer:
            return
        if not pull.announced.take(time.monotonic(), len(hashes)):
            self._penalize(peer, Penalty.SPAM, "more transactions announced than allowed")
            return
        for item in hashes:
            peer.known_transactions.add(item)
            if item not in self._seen and len(pull.offers) < MAX_OFFERS:
                pull.offers[item] = None
        self._pump(pull, time.monotonic())

    def _on_request(self, peer: Peer, hashes: list[bytes]) -> None:
        pull, now = self._pulls.get(peer.node_id), time.monotonic()
        if pull is None or pull.peer is not peer:
            return
        if not pull.served.take(now, len(hashes)) or pull.served_bytes.available(now) <= 0:
            self._penalize(peer, Penalty.SPAM, "more transactions asked for than allowed")
            return
        found: list[bytes] = []
        size = 0
        for item in hashes:
            transaction = self._mempool.get(item)
            if transaction is not None and size < TRANSACTIONS_TARGET:
                found.append(transaction.raw)
                size += len(transaction.raw)
                peer.known_transactions.add(item)
        pull.served_bytes.spend(now, size)
        peer.send(Code.TRANSACTIONS, encode_transactions(found))

    async def _on_bodies(self, peer: Peer, bodies: list[bytes]) -> None:
        pull = self._pulls.get(peer.node_id)
        if pull is None or pull.peer is not peer:
            return
        asked = pull.asked
        pull.volume.spend(time.monotonic(), sum(map(len, bodies)))
        for index, raw in enumerate(bodies):
            digest = keccak256(raw)
            if digest not in asked:
                self._penalize(peer, Penalty.SPAM, "a transaction that was not asked for")
                break
            self._take(peer, digest, raw)
            if index % DECODED_AT_ONCE == DECODED_AT_ONCE - 1:
                await asyncio.sleep(0)
        self._finish(pull, keep=bool(bodies))
        self._pump(pull, time.monotonic())

    def _take(self, peer: Peer, digest: bytes, raw: bytes) -> None:
        if not self._seen.add(digest):
            return
        try:
            transaction = decode_transaction(raw)
            self._mempool.add(transaction)
        except (MalformedTransaction, InvalidSignature) as error:
            self._penalize(peer, Penalty.SPAM, f"transaction 0x{digest.hex()}: {error}")
        except InvalidTransaction as error:
            self._seen.discard(digest)
            self._refused.add(digest)
            log.debug("transaction 0x%s of %s: %s", digest.hex(), peer.name, error)
        else:
            self._outbox.append(digest)
            self._on_added(transaction)

    def _pump(self, pull: _Pull, now: float) -> None:
        """Ask a peer for what it offers, unless it still owes an answer."""
        room = min(MAX_REQUESTED, int(pull.count.available(now)))
        if pull.asked or not pull.offers or room < 1 or pull.volume.available(now) <= 0:
            return
        wanted: list[bytes] = []
        for item in list(pull.offers):
            if item in self._seen or item in self._refused:
                del pull.offers[item]
            elif item not in self._in_flight:
                wanted.append(item)
                if len(wanted) == room:
                    break
        if wanted and pull.peer.send(Code.GET_TRANSACTIONS, encode_hashes(wanted)):
            pull.count.spend(now, len(wanted))
            pull.asked = frozenset(wanted)
            pull.deadline = now + ANSWER_SECONDS
            self._in_flight |= pull.asked

    def _finish(self, pull: _Pull, *, keep: bool) -> None:
        """End a request; ``keep``: the rest of a partial answer may be asked for again."""
        self._in_flight -= pull.asked
        if not keep:
            for item in pull.asked:
                pull.offers.pop(item, None)
        pull.asked = frozenset()
