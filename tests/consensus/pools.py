"""Connection pools over real TLS sockets on the loopback interface, and clients that misbehave."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace

import aiohttp

from consensus.network.identity import (
    Identity,
    Network,
    PeerAddress,
    client_context,
    create_identity,
)
from consensus.network.peer import Peer
from consensus.network.pool import Pool, PoolSettings
from consensus.network.session import greet_server
from consensus.network.wire import Code

NETWORK = Network(1, 4242, b"\x11" * 32)
IDENTITIES = [create_identity(bytes([n]) * 32) for n in range(1, 9)]


class Recorder:
    """Keeps what the pool reports; a handler may be slowed down."""

    def __init__(self) -> None:
        self.frames: asyncio.Queue[tuple[bytes, Code, bytes]] = asyncio.Queue()
        self.connects: list[bytes] = []
        self.disconnects: list[bytes] = []

    def on_connect(self, peer: Peer) -> None:
        self.connects.append(peer.node_id)

    async def on_frame(self, peer: Peer, code: Code, body: bytes) -> None:
        self.frames.put_nowait((peer.node_id, code, body))

    def on_disconnect(self, peer: Peer) -> None:
        self.disconnects.append(peer.node_id)


async def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - the conditions are not events
            await asyncio.sleep(0.01)


async def open_pool(index: int, **changes: object) -> tuple[Pool, Recorder]:
    recorder = Recorder()
    settings = PoolSettings(IDENTITIES[index], NETWORK)
    pool = Pool(replace(settings, **changes), recorder)  # type: ignore[arg-type]
    await pool.start()
    return pool, recorder


def at(pool: Pool, *, identified: bool = True, host: str = "127.0.0.1") -> PeerAddress:
    return PeerAddress(host, pool.port, pool.settings.identity.node_id if identified else None)


def run(story: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(30):
            await story()

    asyncio.run(bounded())


async def raw_session(
    server: Pool, index: int
) -> tuple[aiohttp.ClientSession, aiohttp.ClientWebSocketResponse]:
    """A client that speaks the handshake and then whatever it likes."""
    return await intrude(server.port, IDENTITIES[index], NETWORK)


async def intrude(
    port: int, identity: Identity, network: Network
) -> tuple[aiohttp.ClientSession, aiohttp.ClientWebSocketResponse]:
    """As raw_session, into any node."""
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=client_context()))
    try:
        socket = await session.ws_connect(
            f"wss://127.0.0.1:{port}/",
            max_msg_size=0,
            autoping=False,
            timeout=aiohttp.ClientWSTimeout(ws_close=0.2),
        )
        try:
            await greet_server(socket, identity, network, b"raw-test", "raw", None)
        except BaseException:
            await socket.close()
            raise
    except BaseException:
        await session.close()
        raise
    return session, socket


async def greet_and_leave(server: Pool, index: int) -> None:
    session, socket = await raw_session(server, index)
    await socket.close()
    await session.close()


async def opened(stack: AsyncExitStack, index: int, **changes: object) -> Pool:
    """A pool that is closed with ``stack``."""
    pool, _ = await open_pool(index, **changes)
    stack.push_async_callback(pool.close)
    return pool


def tell(story: Callable[[AsyncExitStack], Awaitable[None]]) -> None:
    """``run`` a story that closes what it opened, whatever happens."""

    async def cleaned() -> None:
        async with AsyncExitStack() as stack:
            await story(stack)

    run(cleaned)
