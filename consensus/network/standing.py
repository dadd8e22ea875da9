"""Scores and bans, by node id and by address; they outlive connections."""

from typing import Any

from consensus.network.limits import BAN_SECONDS, Penalty, Score, TokenBucket

MAX_REMEMBERED = 4096
"""Entries per table; a stranger can come with any number of node ids."""
ATTEMPTS_PER_SECOND = 5.0
ATTEMPTS_BURST = 50.0
"""Connections that one address may open; validators behind one address share it."""


class Standing:
    """What this node thinks of others; time is handed in, in seconds."""

    def __init__(self) -> None:
        self._scores: dict[bytes, Score] = {}
        self._banned: dict[bytes | str, float] = {}
        self._attempts: dict[str, TokenBucket] = {}

    def score(self, node_id: bytes, now: float) -> float:
        """0 is clean, -100 banned."""
        found = self._scores.get(node_id)
        return 0.0 if found is None else found.current(now)

    def penalize(self, node_id: bytes, penalty: Penalty, now: float) -> bool:
        """Subtract points; True when the node has to be banned."""
        score = self._scores.pop(node_id, Score())  # newest last
        _bound(self._scores)
        self._scores[node_id] = score
        return score.penalize(now, penalty)

    def ban(self, node_id: bytes, host: str | None, now: float) -> None:
        """Refuse a node, and strangers from its address, for ten minutes."""
        for key in (node_id, host):
            if key is not None:
                self._banned.pop(key, None)
                _bound(self._banned)
                self._banned[key] = now + BAN_SECONDS

    def banned_for(self, key: bytes | str, now: float) -> float:
        """Seconds left for a node id or address; 0 when it is welcome."""
        until = self._banned.get(key)
        if until is None:
            return 0.0
        if until <= now:
            del self._banned[key]
            return 0.0
        return until - now

    def may_connect(self, host: str, now: float) -> bool:
        """Count an attempt of an address; False when it makes too many."""
        bucket = self._attempts.pop(host, None)
        if bucket is None:
            bucket = TokenBucket(ATTEMPTS_PER_SECOND, ATTEMPTS_BURST, now)
            _bound(self._attempts)
        self._attempts[host] = bucket
        return bucket.take(now)


def _bound(table: dict[Any, Any]) -> None:
    """Make room in a table that strangers could fill: the oldest entry goes."""
    if len(table) >= MAX_REMEMBERED:
        del table[next(iter(table))]
