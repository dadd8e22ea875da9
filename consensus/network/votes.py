"""Consensus messages: pushed to every peer, and passed on once by whoever heard the author."""

import hashlib

from consensus.network.peer import Peer
from consensus.network.pool import Pool
from consensus.network.wire import Code

SEEN_MESSAGES = 20_000


class VoteGossip:
    """Push and one-hop relay with a cache of what has passed.

    A copy from the author itself is always handed on: it repeats ROUND-CHANGEs because somebody may
    have missed them. Copies from others count once.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._authors: dict[bytes, bytes] = {}

    def push(self, code: Code, body: bytes, author: bytes) -> None:
        """Send an own message to every peer."""
        self._remember(_digest(code, body), author)
        self._pool.broadcast(code, body)

    def is_echo(self, peer: Peer, code: Code, body: bytes) -> bool:
        """True for a relayed copy of something that came already; it is not worth decoding."""
        author = self._authors.get(_digest(code, body))
        return author is not None and author != peer.node_id

    def relay(self, peer: Peer, code: Code, body: bytes, author: bytes) -> None:
        """Pass a valid message on, the first time and only when its author sent it to us."""
        is_new = self._remember(_digest(code, body), author)
        if is_new and author == peer.node_id:
            self._pool.broadcast(code, body, exclude=(author,))

    def _remember(self, digest: bytes, author: bytes) -> bool:
        if digest in self._authors:
            return False
        self._authors[digest] = author
        if len(self._authors) > SEEN_MESSAGES:
            del self._authors[next(iter(self._authors))]
        return True


def _digest(code: Code, body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=16, salt=bytes([code])).digest()
