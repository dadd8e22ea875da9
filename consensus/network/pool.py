"""All connections of this node: listen, dial, admit, score, ban, broadcast."""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

import aiohttp
from aiohttp import web

from consensus.network.admission import Candidate, origin, refusal, subnet, survives
from consensus.network.dialer import Dialer
from consensus.network.discovery import TARGET_PEERS, Discovery, DiscoverySettings
from consensus.network.errors import HandshakeError
from consensus.network.identity import Identity, Network, PeerAddress, client_context
from consensus.network.limits import BAN_SECONDS, Penalty
from consensus.network.listener import Listener, advertised, bind
from consensus.network.peer import Peer, Rates
from consensus.network.records import plain_ip
from consensus.network.session import (
    HEARTBEAT_SECONDS,
    Socket,
    accept,
    greet_client,
    greet_server,
    refuse,
)
from consensus.network.standing import Standing
from consensus.network.wire import MAX_FRAME, PEER_CODES, Code, encode_frame

log = logging.getLogger(__name__)

MAX_PENDING = 16
"""Handshakes at once; a stranger can make us hold one message of MAX_FRAME bytes in each."""
CONNECT_SECONDS = 5.0


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
        listen_host: address to listen on, ``::`` for IPv6 and IPv4; None: dial only.
        listen_port: 0 picks a free port; see Pool.port.
        static_peers: dialled for ever, never refused for lack of room.
        is_validator: node ids that always find room and are never banned for slowness.
        discovery: how to find others and be found.
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
    discovery: DiscoverySettings = field(default_factory=DiscoverySettings)


class Pool:
    """The connected peers by node id. Use ``start`` and ``close`` once each."""

    def __init__(self, settings: PoolSettings, handler: PeerHandler) -> None:
        self.settings = settings
        self.port = settings.listen_port
        self.peers: dict[bytes, Peer] = {}
        self.started_instance = os.urandom(8)
        self._handler = handler
        self._standing = Standing()
        self._pending = 0
        self._listener: Listener | None = None
        self._session: aiohttp.ClientSession | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._closing = False
        self.discovery = Discovery(
            settings.discovery,
            settings.identity,
            settings.network,
            self.peers,
            self._connect,
            is_welcome=lambda node_id: not self._standing.banned_for(node_id, time.monotonic()),
            is_validator=settings.is_validator,
            target=min(TARGET_PEERS, max(1, settings.max_peers // 2)),
        )

    async def start(self) -> None:
        """Listen and begin to dial; OSError when the port is taken."""
        settings = self.settings
        connector = aiohttp.TCPConnector(ssl=client_context(), limit=0)
        if settings.listen_host is not None:
            sockets = bind(settings.listen_host, settings.listen_port)
            self.port = sockets[0].getsockname()[1]
            self._listener = Listener(self._serve)
            await self._listener.start(sockets, settings.identity.server_context)
        self._session = aiohttp.ClientSession(connector=connector)
        for address in settings.static_peers:
            self.dial(address)
        if settings.discovery.enabled:
            host, external = settings.listen_host or "", settings.discovery.external
            private = settings.discovery.private
            self.discovery.start(advertised(host, self.port, external, private=private))
            for address in settings.discovery.bootnodes:
                self.dial(address, self.discovery.wants_peers)
            self._spawn(self.discovery.run())

    async def close(self) -> None:
        """Say goodbye to every peer and stop listening."""
        self._closing = True
        for task in self._tasks:
            task.cancel()
        for peer in list(self.peers.values()):
            peer.close("this node is shutting down")
        await asyncio.gather(*self._tasks, self.discovery.close(), return_exceptions=True)
        ended = [peer.ended.wait() for peer in list(self.peers.values())]
        await asyncio.gather(*ended)
        if self._listener is not None:
            await self._listener.close()
        if self._session is not None:
            await self._session.close()

    def dial(self, address: PeerAddress, wanted: Callable[[], bool] = lambda: True) -> None:
        """Keep a connection to an address for as long as the pool lives, while it is wanted."""
        dialer = Dialer(address, self._connect, lambda node_id: self.peers.get(node_id), wanted)
        self._spawn(dialer.run())

    def broadcast(self, code: Code, body: bytes, exclude: Iterable[bytes] = ()) -> int:
        """Queue a frame for every peer but the excluded; returns how many."""
        left_out = set(exclude)
        targets = [peer for peer in self.peers.values() if peer.node_id not in left_out]
        frame = encode_frame(code, body)  # one copy, shared by all queues
        return sum([peer.send_frame(code, frame) for peer in targets])

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
        now = time.monotonic()
        banned = self._standing.penalize(peer.node_id, penalty, now)
        score = self._standing.score(peer.node_id, now)
        log.warning(
            "peer %s loses %d points: %s; score %.0f", peer.name, penalty, reason, score
        )  # fmt: skip
        if banned:
            shared = subnet(peer.host) is None  # a private address may be everybody's
            self._standing.ban(peer.node_id, None if shared else origin(peer.host), now)
            log.warning("peer %s is banned for %g s", peer.name, BAN_SECONDS)
            peer.close(f"banned for {BAN_SECONDS:g} s with score {score:.0f}: {reason}")

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        host = str(plain_ip(request.remote or "") or request.remote)
        if not self._standing.may_connect(origin(host), time.monotonic()):
            log.debug("refused %s: too many connections per second", host)
            raise web.HTTPTooManyRequests
        if self._pending >= MAX_PENDING or self._closing:
            raise web.HTTPServiceUnavailable(text="too many handshakes at once")
        socket = web.WebSocketResponse(
            max_msg_size=MAX_FRAME,
            heartbeat=HEARTBEAT_SECONDS,
            autoping=False,
            compress=False,
            timeout=1.0,
        )
        await socket.prepare(request)
        try:
            await self._welcome(socket, host)
        finally:
            if request.transport is not None:
                request.transport.abort()  # what is unread or unwritten would stay for 30 s
        return socket

    async def _welcome(self, socket: web.WebSocketResponse, host: str) -> None:
        """Shake hands with who dialled us, and serve the connection while it lasts."""
        settings = self.settings
        self._pending += 1
        try:
            greeting = await greet_client(
                socket, settings.identity, settings.network, self.started_instance, settings.client
            )
        except HandshakeError as error:
            log.info("refused %s: %s", host, error)
            await socket.close()
            return
        finally:
            self._pending -= 1
        peer = Peer(socket, greeting, host, host, False, settings.rates)
        await self._admit(peer, socket)

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
                autoping=False,
                compress=0,
                timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
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
        except BaseException:  # a cancelled dial must not leave a connection behind either
            await socket.close()
            raise
        remote = str(socket.get_extra_info("peername", ("",))[0])
        peer = Peer(socket, greeting, f"{host}:{address.port}", remote, True, settings.rates)
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
            self._on_disconnect(old)
        side = "dialled" if peer.outbound else "accepted"
        log.info("%s %s, %s; %d peers", side, peer.name, peer.client, len(self.peers))
        try:
            self._handler.on_connect(peer)
            self.discovery.on_connect(peer)
            await peer.run(self._on_frame, self.penalize)
        finally:
            if self.peers.get(peer.node_id) is peer:
                del self.peers[peer.node_id]
                self._on_disconnect(peer)
            log.info(
                "dropped peer 0x%s at %s: %s; score %.0f, %d peers",
                peer.node_id.hex(),
                peer.address,
                peer.close_reason,
                self._standing.score(peer.node_id, time.monotonic()),
                len(self.peers),
            )

    async def _on_frame(self, peer: Peer, code: Code, body: bytes) -> None:
        if code in PEER_CODES:
            self.discovery.on_frame(peer, code, body)
        else:
            await self._handler.on_frame(peer, code, body)

    def _on_disconnect(self, peer: Peer) -> None:
        self.discovery.on_disconnect(peer)
        self._handler.on_disconnect(peer)

    def _refusal(self, peer: Peer) -> str:
        if self._closing:
            return "this node is shutting down"
        now = time.monotonic()
        left = self._standing.banned_for(peer.node_id, now)
        if left > 0:
            return f"banned for another {left:.0f} s"
        new = self._candidate(peer)
        left = 0.0 if new.configured else self._standing.banned_for(origin(peer.host), now)
        if left > 0:
            return f"address banned for another {left:.0f} s"
        old = self.peers.get(peer.node_id)
        own_id = self.settings.identity.node_id
        if old is not None and not survives(new, self._candidate(old), own_id):
            return "already connected"
        connected = map(self._candidate, self.peers.values())
        return refusal(new, connected, self.settings.max_peers)

    def _configured(self, node_id: bytes) -> bool:
        static = any(address.node_id == node_id for address in self.settings.static_peers)
        return static or self.settings.is_validator(node_id)

    def _candidate(self, peer: Peer) -> Candidate:
        configured = self._configured(peer.node_id)
        return Candidate(peer.node_id, peer.instance, peer.host, peer.outbound, configured)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        task.add_done_callback(_report)
        self._tasks.append(task)


def _report(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("dialling or discovery failed", exc_info=error)
