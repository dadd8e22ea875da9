"""Find other nodes: exchange signed records, dial what they say, remember it over restarts."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from consensus.files import replace_file
from consensus.network.address_book import MAX_BOOK_BYTES, AddressBook
from consensus.network.errors import FrameError, HandshakeError, Refused
from consensus.network.identity import Identity, Network, PeerAddress
from consensus.network.peer import Peer
from consensus.network.records import (
    Endpoint,
    PeerRecord,
    decode_records,
    encode_records,
    sign_record,
)
from consensus.network.wire import MAX_PEER_RECORDS, Code

log = logging.getLogger(__name__)

TARGET_PEERS = 25
"""Connections up to which a node dials others; validators dial all validators beyond it."""
MAX_DIALS = 8
TICK_SECONDS = 1.0
ASK_SECONDS = 30.0
SAVE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class DiscoverySettings:
    """How a node finds others, and lets itself be found.

    Attributes:
        enabled: False: no records are sent, taken or dialled.
        bootnodes: dialled while fewer than enough peers are connected; ordinary peers otherwise.
        external: IP addresses to advertise, as geth's ``--nat extip:``; empty: those of the
            listener, or of the machine's interfaces when it listens on all; None: none.
        private: advertise, keep, share and dial addresses that are not public as well.
        file: where records are kept over restarts; None forgets.
    """

    enabled: bool = True
    bootnodes: tuple[PeerAddress, ...] = ()
    external: tuple[str, ...] | None = ()
    private: bool = False
    file: Path | None = None


class Discovery:
    """Peer exchange of one node. Call ``start``, run ``run`` as a task, then ``close``.

    Args:
        peers: connected peers by node id; the pool's own mapping.
        connect: dials once and serves the connection until it ends.
        is_welcome: False for nodes that would be refused, as banned ones.
        is_validator: whom a validator always dials.
        target: connections up to which others are dialled.
    """

    def __init__(
        self,
        settings: DiscoverySettings,
        identity: Identity,
        network: Network,
        peers: Mapping[bytes, Peer],
        connect: Callable[[PeerAddress], Awaitable[bytes]],
        *,
        is_welcome: Callable[[bytes], bool] = lambda _: True,
        is_validator: Callable[[bytes], bool] = lambda _: False,
        target: int = TARGET_PEERS,
    ) -> None:
        self._settings = settings
        self._identity = identity
        self._network = network
        self._peers = peers
        self._connect = connect
        self._is_welcome = is_welcome
        self._is_validator = is_validator
        self._target = target
        self._choose = random.Random()  # noqa: S311 - picks peers, not secrets
        self.book = AddressBook(
            identity.node_id, self._choose, private=settings.private, is_validator=is_validator
        )
        self.own: PeerRecord | None = None
        self._asked: dict[bytes, Peer] = {}
        self._dialling: dict[bytes, asyncio.Task[None]] = {}
        self._news = asyncio.Event()

    def wants_peers(self) -> bool:
        """True while fewer peers than the target are connected."""
        return len(self._peers) < self._target

    def start(self, endpoints: Sequence[Endpoint]) -> None:
        """Load the file and make this node's record, with a higher number if it has moved."""
        old = self._load()
        if not endpoints:
            return
        if old is not None and old.endpoints == tuple(endpoints):
            self.own = old
            return
        sequence = max(int(time.time()), 0 if old is None else old.sequence + 1)
        self.own = sign_record(self._identity, self._network, sequence, endpoints)
        self.book.changed = True
        log.info("advertising %s", ", ".join(str(item) for item in self.own.addresses()))

    async def run(self) -> None:
        """Dial, ask and save, for ever."""
        asked = saved = time.monotonic()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS):
                    await self._news.wait()
            self._news.clear()
            now = time.monotonic()
            self._dial_due(now)
            if now - asked > ASK_SECONDS and self._peers:
                asked = now
                self._ask(self._choose.choice(list(self._peers.values())))
            if now - saved > SAVE_SECONDS and self.book.changed:
                saved = now
                await asyncio.to_thread(self._write, self._content())

    async def close(self) -> None:
        """Stop dialling and save."""
        tasks = list(self._dialling.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self.book.changed:
            self._write(self._content())

    def on_connect(self, peer: Peer) -> None:
        """Introduce ourselves and ask whom the peer knows."""
        if not self._settings.enabled:
            return
        if peer.outbound:
            self.book.answered(peer.node_id)
        if self.own is not None:
            peer.send(Code.RECORD, encode_records([self.own]))
        self._ask(peer)

    def on_disconnect(self, peer: Peer) -> None:
        """Expect no answer any more."""
        if self._asked.get(peer.node_id) is peer:
            del self._asked[peer.node_id]

    def on_frame(self, peer: Peer, code: Code, body: bytes) -> None:
        """Handle RECORD, GET_PEERS and PEERS.

        Raises:
            FrameError: malformed, forged, or not asked for.
        """
        if not self._settings.enabled:
            return
        if code is Code.GET_PEERS:
            if body:
                raise FrameError("GET_PEERS with a body")
            known = self.book.sample(MAX_PEER_RECORDS, (peer.node_id,))
            peer.send(Code.PEERS, encode_records(known))
        elif code is Code.PEERS:
            if self._asked.pop(peer.node_id, None) is not peer:
                raise FrameError("PEERS that were not asked for")
            self._take(decode_records(body, self._network, MAX_PEER_RECORDS))
        else:
            records = decode_records(body, self._network, 1)
            if [record.node_id for record in records] != [peer.node_id]:
                raise FrameError("RECORD of somebody else")
            self._take(records)

    def _ask(self, peer: Peer) -> None:
        if peer.node_id not in self._asked and peer.send(Code.GET_PEERS, b""):
            self._asked[peer.node_id] = peer

    def _take(self, records: Sequence[PeerRecord]) -> None:
        new = sum([self.book.add(record) for record in records])
        if new:
            log.debug("%d new peer records, %d kept", new, len(self.book))
            self._news.set()

    def _dial_due(self, now: float) -> None:
        """Validators first, if this node is one; others up to the target."""
        busy = {*self._peers, *self._dialling}
        is_peer_validator = self._is_validator(self._identity.node_id)
        due = [item for item in self.book.due(now, busy) if self._is_welcome(item.node_id)]
        due.sort(key=lambda item: not self._is_validator(item.node_id))
        pending = sum(1 for node_id in self._dialling if node_id not in self._peers)
        for record in due[: MAX_DIALS - pending]:
            must = is_peer_validator and self._is_validator(record.node_id)
            if must or len(self._peers) + pending < self._target:
                pending += 1
                self._dialling[record.node_id] = asyncio.create_task(self._dial(record))

    async def _dial(self, record: PeerRecord) -> None:
        try:
            await self._try_addresses(record)
        finally:
            del self._dialling[record.node_id]

    async def _try_addresses(self, record: PeerRecord) -> None:
        """Returns when the connection has ended, or none came."""
        reason: Exception | None = None
        for address in record.addresses():
            try:
                await self._connect(address)
            except (HandshakeError, aiohttp.ClientError, OSError, TimeoutError) as error:
                reason = error
                if record.node_id in self._peers:
                    return
            else:
                self.book.pause(record.node_id, time.monotonic())
                return
        log.debug("cannot reach %s: %s", record.addresses()[0], reason)
        self.book.failed(
            record.node_id,
            time.monotonic(),
            alone=not self._peers,
            alive=isinstance(reason, Refused),
        )

    def _content(self) -> bytes:
        self.book.changed = False
        return self.book.encode(self.own)

    def _write(self, content: bytes) -> None:
        if self._settings.file is None:
            return
        try:
            replace_file(self._settings.file, content)
        except OSError as error:
            log.warning("cannot save peer records: %s", error)

    def _load(self) -> PeerRecord | None:
        file = self._settings.file
        if file is None or not self._settings.enabled or not file.exists():
            return None
        try:
            with file.open("rb") as source:
                own = self.book.load(source.read(MAX_BOOK_BYTES), self._network)
        except (OSError, FrameError) as error:
            log.warning("peer records in %s are not usable, starting without: %s", file, error)
            return None
        log.info("%d peer records from %s", len(self.book), file.name)
        return own
