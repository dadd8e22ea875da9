"""Polling filters (``eth_newFilter`` and its family).

Blocks are final when they are committed, so a filter is only a position: the last block it has
reported. Nothing is collected between polls, except hashes of pending transactions (`PendingLog`).
"""

import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from rpc.errors import LIMIT_EXCEEDED, SERVER_ERROR, RpcError
from rpc.logs import LogQuery

EXPIRY_SECONDS: Final = 300.0
"""A filter that nobody polls is dropped, as in geth."""
MAX_FILTERS: Final = 2_000
PENDING_HASHES: Final = 65_536


class FilterKind(Enum):
    """What a filter reports."""

    LOGS = "logs"
    BLOCKS = "blocks"
    PENDING = "pending transactions"


@dataclass(frozen=True, slots=True)
class Filter:
    """One filter.

    Attributes:
        kind: what it reports.
        position: last block reported, or the position in the pending log.
        query: of a log filter.
        first, last: block range of a log filter; last None follows the head.
        polled_at: clock reading of the last use, seconds.
    """

    kind: FilterKind
    position: int
    query: LogQuery | None = None
    first: int = 0
    last: int | None = None
    polled_at: float = 0.0


class PendingLog:
    """The latest hashes of pending transactions, each once, numbered from 0."""

    def __init__(self, size: int = PENDING_HASHES) -> None:
        self._size = size
        self._hashes: deque[bytes] = deque()
        self._known: set[bytes] = set()
        self._end = 0

    @property
    def end(self) -> int:
        """Number of the next hash."""
        return self._end

    def append(self, hashes: Iterable[bytes]) -> list[bytes]:
        """Add hashes in the order seen; returns those that were not known."""
        new = [item for item in dict.fromkeys(hashes) if item not in self._known]
        self._hashes.extend(new)
        self._known.update(new)
        self._end += len(new)
        while len(self._hashes) > self._size:
            self._known.discard(self._hashes.popleft())
        return new

    def since(self, position: int) -> list[bytes]:
        """Hashes from a position on, without those dropped meanwhile."""
        start = max(0, len(self._hashes) - (self._end - position))
        return list(self._hashes)[start:]


class FilterTable:
    """All filters of the node, by id.

    Args:
        clock: seconds; only differences matter.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._filters: dict[str, Filter] = {}

    def __len__(self) -> int:
        return len(self._filters)

    def add(self, new: Filter) -> str:
        """Store a filter; returns its id.

        Raises:
            RpcError: `MAX_FILTERS` are in use.
        """
        now = self._clock()
        self._drop_expired(now)
        if len(self._filters) >= MAX_FILTERS:
            raise RpcError(LIMIT_EXCEEDED, f"too many filters: limit {MAX_FILTERS}")
        identity = "0x" + secrets.token_hex(16)
        self._filters[identity] = replace(new, polled_at=now)
        return identity

    def get(self, identity: str) -> Filter:
        """A filter, which counts as polled.

        Raises:
            RpcError: geth's ``filter not found``.
        """
        now = self._clock()
        self._drop_expired(now)
        if identity not in self._filters:
            raise RpcError(SERVER_ERROR, "filter not found")
        found = self._filters[identity] = replace(self._filters[identity], polled_at=now)
        return found

    def move(self, identity: str, position: int) -> None:
        """Note what has been reported; a filter removed meanwhile stays removed."""
        if identity in self._filters:
            self._filters[identity] = replace(self._filters[identity], position=position)

    def remove(self, identity: str) -> bool:
        """Drop a filter; tells whether it existed."""
        return self._filters.pop(identity, None) is not None

    def any_pending(self) -> bool:
        """Whether somebody wants hashes of pending transactions."""
        return any(item.kind is FilterKind.PENDING for item in self._filters.values())

    def _drop_expired(self, now: float) -> None:
        old = [i for i, f in self._filters.items() if now - f.polled_at > EXPIRY_SECONDS]
        for identity in old:
            del self._filters[identity]
