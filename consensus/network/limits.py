"""How much one peer may send, and what misbehaviour costs it."""

from dataclasses import dataclass
from enum import IntEnum

BAN_SCORE = -100.0
BAN_SECONDS = 600.0
RECOVERY_PER_SECOND = 1.0


class Penalty(IntEnum):
    """Points lost; at -100 the peer is banned for ten minutes, one point a second returns."""

    TIMEOUT = 2
    SPAM = 10
    BAD_SIGNATURE = 50
    INVALID_BLOCK = 100


class TokenBucket:
    """Allows ``rate`` units a second with bursts of ``burst``; time is handed in (seconds)."""

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self.rate = rate
        self.burst = burst
        self._tokens = burst
        self._updated = now

    def take(self, now: float, amount: float = 1.0) -> bool:
        """Spend ``amount`` if it is there; otherwise spend nothing and return False."""
        self._refill(now)
        if self._tokens < amount:
            return False
        self._tokens -= amount
        return True

    def spend(self, now: float, amount: float) -> None:
        """Spend ``amount`` in any case; what is missing has to refill first."""
        self._refill(now)
        self._tokens -= amount

    def available(self, now: float) -> float:
        """Units that could be spent now; negative after an overdraft."""
        self._refill(now)
        return self._tokens

    def _refill(self, now: float) -> None:
        elapsed = max(0.0, now - self._updated)
        self._tokens = min(self.burst, self._tokens + elapsed * self.rate)
        self._updated = now


@dataclass(slots=True)
class Score:
    """Standing of one node id; 0 is clean."""

    points: float = 0.0
    updated: float = 0.0

    def penalize(self, now: float, points: int) -> bool:
        """Subtract points; True when the node has to be banned."""
        self.points = self.current(now) - points
        self.updated = now
        return self.points <= BAN_SCORE

    def current(self, now: float) -> float:
        """Points by now: one comes back each second."""
        recovered = max(0.0, now - self.updated) * RECOVERY_PER_SECOND
        return min(0.0, self.points + recovered)


class RecentSet:
    """The last ``capacity`` items added, for duplicates: oldest leaves first."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._items: dict[bytes, None] = {}

    def add(self, item: bytes) -> bool:
        """True when the item is new."""
        if item in self._items:
            return False
        self._items[item] = None
        if len(self._items) > self.capacity:
            del self._items[next(iter(self._items))]
        return True

    def discard(self, item: bytes) -> None:
        """Forget an item."""
        self._items.pop(item, None)

    def __contains__(self, item: object) -> bool:
        return item in self._items

    def __len__(self) -> int:
        return len(self._items)
