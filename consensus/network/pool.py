"""All connections of this node: listen, dial, admit, score, ban, broadcast."""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

import aiohttp
from aiohttp import web

from consensus.network.admission import Candidate, refusal, survives
from consensus.network.dialer import Dialer
from consensus.network.errors import HandshakeError
from consensus.network.identity import Identity, Network, PeerAddress, client_context
from consensus.network.limits import BAN_SECONDS, Penalty, Score
from consensus.network.listener import bind, host_of
from consensus.network.peer import Peer, Rates
from consensus.network.session import (
    HEARTBEAT_SECONDS,
    Socket,
    accept,
    greet_client,
    greet_server,
    refuse,
)
from consensus.network.wire import MAX_FRAME, Code

log = logging.getLogger(__name__)

MAX_PENDING = 16
"""Handshakes at once; a stranger can make us hold one message of MAX_FRAME bytes in each."""
CONNECT_SECONDS = 5.0
MAX_REMEMBERED = 4096
"""Scores and bans kept; a stranger can come with any number of node ids."""


class PeerHandler(Protocol):
    """What the pool calls; all of it on the event loop."""

    def on_connect(self, peer: Peer) -> None:
        """A peer was admitted; frames may be sent to it."""

    async def on_frame(self, peer: Peer, code: Code, body: bytes) -> None:
        """One frame, in order; a slow handler slows only this peer. FrameError costs it points."""

    def on_disconnect(self, peer: Peer) -> None:
        """The peer is gone."""


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """How a node takes part in the network.

    Attributes:
        listen_host: address to listen on, None: dial only.
        listen_port: 0 picks a free port; see Pool.port.
        static_peers: dialled for ever, never refused for lack of room.
        is_validator: node ids that always find room and are never banned for slowness.
    """

    identity: Identity
    network: Network
    listen_host: str | None = "127.0.0.1"
    listen_port: int = 0
    static_peers: tuple[PeerAddress, ...] = ()
    client: str = "assay"
    max_peers: int = 50
    rates: Rates = field(default_factory=Rates)
    is_validator: Callable[[bytes], bool] = lambda _: False


class Pool:
    """The connected peers by node id. Use ``start`` and ``close`` once each."""

    def __init__(self, settings: PoolSettings, handler: PeerHandler) -> None:
        self.settings = settings
        self.port = settings.listen_port
        self.peers: dict[bytes, Peer] = {}
        self.started_instance = os.urandom(8)
        self._handler = handler
        self._scores: dict[bytes, Score] = {}
        self._banned: dict[bytes, float] = {}
        self._pending = 0
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None
        self._dialers: list[asyncio.Task[None]] = []
        self._closing = False

    async def start(self) -> None:
        """Listen and begin to dial; OSError when the port is taken."""
        if self.settings.listen_host is not None:
            listener = bind(self.settings.listen_host, self.settings.listen_port)
            application = web.Application()
            application.router.add_get("/", self._serve)
            self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
            await self._runner.setup()
            self.port = listener.getsockname()[1]
            context = self.settings.identity.server_context
            await web.SockSite(self._runner, listener, ssl_context=context).start()
        connector = aiohttp.TCPConnector(ssl=client_context(), limit=0)
        self._session = aiohttp.ClientSession(connector=connector)
        for address in self.settings.static_peers:
            self.dial(address)

    async def close(self) -> None:
        """Say goodbye to every peer and stop listening."""
        self._closing = True
        for task in self._dialers:
            task.cancel()
        for peer in list(self.peers.values()):
            peer.close("this node is shutting down")
        await asyncio.gather(*self._dialers, return_exceptions=True)
        ended = [peer.ended.wait() for peer in list(self.peers.values())]
        await asyncio.gather(*ended)
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    def dial(self, address: PeerAddress) -> None:
        """Keep a connection to an address for as long as the pool lives."""
        dialer = Dialer(address, self._connect, lambda node_id: self.peers.get(node_id))
        task = asyncio.create_task(dialer.run())
        task.add_done_callback(_report)
        self._dialers.append(task)

    def broadcast(self, code: Code, body: bytes, exclude: Iterable[bytes] = ()) -> int:
        """Queue a frame for every peer but the excluded; returns how many."""
        left_out = set(exclude)
        targets = [peer for peer in self.peers.values() if peer.node_id not in left_out]
        return sum(peer.send(code, body) for peer in targets)

    def send(self, node_id: bytes, code: Code, body: bytes) -> bool:
        """Queue a frame for one peer; False when it is not connected."""
        peer = self.peers.get(node_id)
        return peer is not None and peer.send(code, body)

    def penalize(self, peer: Peer, penalty: Penalty, reason: str) -> None:
        """Score misbehaviour; at -100 the peer is disconnected and refused for ten minutes."""
        if peer.closing:
            return
        if penalty is Penalty.TIMEOUT and self._configured(peer.node_id):
            log.info("peer %s is slow: %s", peer.name, reason)
            return
        score = self._scores.setdefault(peer.node_id, Score())
        _bound(self._scores)
        banned = score.penalize(time.monotonic(), penalty)
        log.warning("peer %s loses %d points: %s", peer.name, penalty, reason)
        if banned:
            self._banned[peer.node_id] = time.monotonic() + BAN_SECONDS
            _bound(self._banned)
            self._scores.pop(peer.node_id, None)
            log.warning("peer %s is banned for %g s", peer.name, BAN_SECONDS)
            peer.close(f"banned for {BAN_SECONDS:g} s: {reason}")

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        if self._pending >= MAX_PENDING or self._closing:
            raise web.HTTPServiceUnavailable(text="too many handshakes at once")
        socket = web.WebSocketResponse(
            max_msg_size=MAX_FRAME, heartbeat=HEARTBEAT_SECONDS, compress=False, timeout=1.0
        )
        await socket.prepare(request)
        host = request.remote or ""
        settings = self.settings
        self._pending += 1
        try:
            greeting = await greet_client(
                socket, settings.identity, settings.network, self.started_instance, settings.client
            )
        except HandshakeError as error:
            log.info("refused %s: %s", host, error)
            await socket.close()
            return socket
        finally:
            self._pending -= 1
        peer = Peer(socket, greeting, host, False, settings.rates)
        await self._admit(peer, socket)
        return socket

    async def _connect(self, address: PeerAddress) -> bytes:
        """Dial once and serve the connection until it ends; returns the node id found."""
        assert self._session is not None  # noqa: S101 - set by start
        settings = self.settings
        host = f"[{address.host}]" if ":" in address.host else address.host
        async with asyncio.timeout(CONNECT_SECONDS):
            socket = await self._session.ws_connect(
                f"wss://{host}:{address.port}/",
                max_msg_size=MAX_FRAME,
                heartbeat=HEARTBEAT_SECONDS,
                compress=0,
            )
        try:
            greeting = await greet_server(
                socket,
                settings.identity,
                settings.network,
                self.started_instance,
                settings.client,
                address.node_id,
            )
        except HandshakeError:
            await socket.close()
            raise
        peer = Peer(socket, greeting, f"{host}:{address.port}", True, settings.rates)
        await self._admit(peer, socket)
        return greeting.node_id

    async def _admit(self, peer: Peer, socket: Socket) -> None:
        """Keep or refuse an authenticated connection; serves it while it lasts."""
        reason = self._refusal(peer)
        if reason:
            log.info("refused %s: %s", peer.name, reason)
            await refuse(socket, reason)
            await socket.close()
            if peer.outbound:
                raise HandshakeError(reason)
            return
        if not peer.outbound:
            await accept(socket)
        old = self.peers.get(peer.node_id)
        self.peers[peer.node_id] = peer
        if old is not None:
            old.close("replaced by a newer connection")
            self._handler.on_disconnect(old)
        side = "dialled" if peer.outbound else "accepted"
        log.info("%s %s, %s; %d peers", side, peer.name, peer.client, len(self.peers))
        try:
            self._handler.on_connect(peer)
            await peer.run(self._handler.on_frame, self.penalize)
        finally:
            if self.peers.get(peer.node_id) is peer:
                del self.peers[peer.node_id]
                self._handler.on_disconnect(peer)
            log.info("lost %s: %s; %d peers", peer.name, peer.close_reason, len(self.peers))

    def _refusal(self, peer: Peer) -> str:
        if self._closing:
            return "this node is shutting down"
        left = self._banned.get(peer.node_id, 0.0) - time.monotonic()
        if left > 0:
            return f"banned for another {left:.0f} s"
        self._banned.pop(peer.node_id, None)
        new = _candidate(peer)
        old = self.peers.get(peer.node_id)
        own_id = self.settings.identity.node_id
        if old is not None and not survives(new, _candidate(old), own_id):
            return "already connected"
        if self._configured(peer.node_id):
            return ""
        return refusal(new, map(_candidate, self.peers.values()), self.settings.max_peers)

    def _configured(self, node_id: bytes) -> bool:
        static = any(address.node_id == node_id for address in self.settings.static_peers)
        return static or self.settings.is_validator(node_id)


def _candidate(peer: Peer) -> Candidate:
    return Candidate(peer.node_id, peer.instance, host_of(peer.address), peer.outbound)


def _bound(table: dict[bytes, Any]) -> None:
    """Forget the oldest entry of a table that strangers could fill."""
    if len(table) > MAX_REMEMBERED:
        del table[next(iter(table))]


def _report(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("a dialler failed", exc_info=error)
