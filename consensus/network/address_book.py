"""The peer records that a node keeps: at most 1,000, the newest of each node.

Plain bookkeeping: time and randomness are handed in. ``encode`` and ``load`` are its file.
"""

import random
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from chain import rlp
from consensus.network.admission import subnet
from consensus.network.errors import FrameError
from consensus.network.identity import Network
from consensus.network.records import (
    MAX_RECORD,
    Endpoint,
    PeerRecord,
    decode_records,
    encode_records,
)

MAX_RECORDS = 1000
MAX_RECORDS_PER_SUBNET = 10
"""Of one /24 or /56 of public addresses: one attacker's network cannot fill the book."""
MAX_BOOK_BYTES = (MAX_RECORDS + 1) * MAX_RECORD
FIRST_PAUSE = 2.0
LONGEST_PAUSE = 600.0
FORGET_AFTER = 8
"""Failed dials in a row after which a record goes, half an hour after the first of them."""
UNSHARED_AFTER = 3


@dataclass(slots=True)
class Entry:
    """A record and what dialling it was like.

    Attributes:
        failures: failed dials since the last success.
        next_try: not dialled before this time, in seconds of the caller's clock.
        proven: True once the node has answered there.
    """

    record: PeerRecord
    failures: int = 0
    next_try: float = 0.0
    proven: bool = False
    subnets: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        nets = (subnet(str(item.ip)) for item in self.record.endpoints)
        self.subnets = frozenset(net for net in nets if net is not None)


class AddressBook:
    """Peer records by node id.

    Args:
        own_id: never taken.
        choose: source of the random subsets and evictions.
        private: also take and share addresses that are not public.
        is_validator: node ids that always find room and are never forgotten.
    """

    def __init__(
        self,
        own_id: bytes,
        choose: random.Random,
        *,
        private: bool = False,
        is_validator: Callable[[bytes], bool] = lambda _: False,
    ) -> None:
        self._own_id = own_id
        self._private = private
        self._is_validator = is_validator
        self._choose = choose
        self._entries: dict[bytes, Entry] = {}
        self._crowd: Counter[str] = Counter()
        self.changed = False

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, node_id: object) -> bool:
        return node_id in self._entries

    def accepts(self, endpoint: Endpoint) -> bool:
        """Whether an address may be kept, shared and dialled."""
        return self._private or endpoint.is_public

    def add(self, record: PeerRecord) -> bool:
        """Keep a record whose signature is checked; True when it is new or newer.

        A full book gives up an entry that never answered; if all have answered, nothing is taken.
        """
        if record.node_id == self._own_id or not all(map(self.accepts, record.endpoints)):
            return False
        old = self._entries.get(record.node_id)
        if old is not None and old.record.sequence >= record.sequence:
            return False
        entry = Entry(record)
        if self._is_crowded(entry, old) and not self._is_validator(record.node_id):
            return False
        if old is None and not self._make_room():
            return False
        self.forget(record.node_id)
        self._entries[record.node_id] = entry
        self._crowd.update(entry.subnets)
        self.changed = True
        return True

    def sample(self, count: int, exclude: Collection[bytes] = ()) -> list[PeerRecord]:
        """A random subset of what is worth telling others."""
        fit = [
            entry.record
            for node_id, entry in self._entries.items()
            if entry.failures < UNSHARED_AFTER and node_id not in exclude
        ]
        return self._choose.sample(fit, min(count, len(fit)))

    def due(self, now: float, exclude: Collection[bytes]) -> list[PeerRecord]:
        """Whom to dial, in random order."""
        found = [
            entry.record
            for node_id, entry in self._entries.items()
            if entry.next_try <= now and node_id not in exclude
        ]
        self._choose.shuffle(found)
        return found

    def answered(self, node_id: bytes) -> None:
        """The node was reached where its record says."""
        entry = self._entries.get(node_id)
        if entry is not None:
            self.changed |= not entry.proven
            entry.failures, entry.next_try, entry.proven = 0, 0.0, True

    def pause(self, node_id: bytes, now: float) -> None:
        """Do not dial a node at once again."""
        entry = self._entries.get(node_id)
        if entry is not None:
            entry.next_try = now + FIRST_PAUSE

    def failed(self, node_id: bytes, now: float, *, alone: bool, alive: bool) -> None:
        """The node was not reached: pause, and forget it after many times.

        Args:
            node_id: of the record.
            now: time, in seconds.
            alone: nobody else is reached either: the fault is more likely on this side.
            alive: it answered and had no room: it is asked less often, and kept.
        """
        entry = self._entries.get(node_id)
        if entry is None:
            return
        if alone:
            self.pause(node_id, now)
            return
        entry.failures = entry.failures + 1
        if alive or self._is_validator(node_id):
            entry.failures = min(entry.failures, FORGET_AFTER - 1)
        if entry.failures >= FORGET_AFTER:
            self.forget(node_id)
            return
        pause = min(FIRST_PAUSE * 4 ** (entry.failures - 1), LONGEST_PAUSE)
        entry.next_try = now + pause * self._choose.uniform(0.8, 1.2)

    def forget(self, node_id: bytes) -> None:
        """Remove a record."""
        entry = self._entries.pop(node_id, None)
        if entry is not None:
            self._crowd.subtract(entry.subnets)
            self._crowd += Counter()  # without the zeros
            self.changed = True

    def encode(self, own: PeerRecord | None) -> bytes:
        """File content: this node's own record, if any, then those that answered, then others."""
        ordered = sorted(self._entries.values(), key=lambda entry: not entry.proven)
        records = [entry.record for entry in ordered]
        return rlp.encode([encode_records([own] if own else []), encode_records(records)])

    def load(self, content: bytes, network: Network) -> PeerRecord | None:
        """Take what ``encode`` wrote; returns the own record.

        Raises:
            FrameError: not such a file, or one of another chain.
        """
        try:
            own, others = rlp.bytes_list(rlp.decode(content))
        except (rlp.RlpError, ValueError) as error:
            raise FrameError(f"malformed address book: {error}") from None
        for record in decode_records(others, network, MAX_RECORDS):
            self.add(record)
        self.changed = False
        mine = decode_records(own, network, 1)
        return mine[0] if mine and mine[0].node_id == self._own_id else None

    def _is_crowded(self, entry: Entry, old: Entry | None) -> bool:
        known = old.subnets if old is not None else frozenset()
        return any(self._crowd[net] >= MAX_RECORDS_PER_SUBNET for net in entry.subnets - known)

    def _make_room(self) -> bool:
        if len(self._entries) < MAX_RECORDS:
            return True
        unproven = [
            node_id
            for node_id, entry in self._entries.items()
            if not entry.proven and not self._is_validator(node_id)
        ]
        if not unproven:
            return False
        worst = max(self._entries[node_id].failures for node_id in unproven)
        self.forget(
            self._choose.choice([i for i in unproven if self._entries[i].failures == worst])
        )
        return True
