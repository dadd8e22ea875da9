"""Two and more nodes over real TLS sockets on the loopback interface."""

import asyncio
import logging
from contextlib import suppress
from dataclasses import replace

import aiohttp
import pytest

from consensus.network.identity import Identity, Network, PeerAddress, client_context
from consensus.network.limits import Penalty
from consensus.network.peer import MAX_QUEUED_FRAMES, Rates
from consensus.network.wire import LIMITS, Code
from tests.consensus.pools import (
    IDENTITIES,
    NETWORK,
    at,
    greet_and_leave,
    open_pool,
    raw_session,
    run,
    until,
)


def test_two_nodes_connect_and_exchange_frames() -> None:
    async def story() -> None:
        server, heard = await open_pool(0)
        client, _ = await open_pool(1, static_peers=(at(server, identified=False),))
        await until(lambda: server.peers and client.peers)
        assert list(server.peers) == [IDENTITIES[1].node_id]
        assert list(client.peers) == [IDENTITIES[0].node_id]
        big = bytes(LIMITS[Code.PROPOSAL])
        bodies = ((Code.BLOCKS, b"range"), (Code.PROPOSAL, big), (Code.PREPARE, b"vote"))
        assert client.broadcast(*bodies[0]) == 1
        for code, body in bodies[1:]:
            assert client.send(IDENTITIES[0].node_id, code, body)
        for code, body in reversed(bodies):  # votes first, then what is urgent
            assert await heard.frames.get() == (IDENTITIES[1].node_id, code, body)
        assert not client.send(b"\0" * 20, Code.PREPARE, b"nobody")
        await client.close()
        await until(lambda: heard.disconnects)
        assert not server.peers
        await server.close()

    run(story)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_ip_literals(host: str) -> None:
    async def story() -> None:
        try:
            server, _ = await open_pool(0, listen_host=host)
        except OSError:
            pytest.skip(f"{host} is not available here")
        client, _ = await open_pool(1, static_peers=(at(server, host=host),), listen_host=None)
        await until(lambda: client.peers)
        await client.close()
        await server.close()

    run(story)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (replace(NETWORK, genesis_hash=b"\x22" * 32), "genesis 0x2222"),
        (replace(NETWORK, chain_id=7), "chain id 7"),
        (replace(NETWORK, protocol_version=3), "protocol version 3"),
    ],
)
def test_another_chain_is_refused_with_the_reason(
    other: Network, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def story() -> None:
        server, recorder = await open_pool(0)
        client, _ = await open_pool(1, network=other, static_peers=(at(server),))
        await until(lambda: "refused by the other side: " + reason in caplog.text)
        assert not recorder.connects
        await client.close()
        await server.close()

    run(story)


def test_the_wrong_node_behind_an_address_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def story() -> None:
        server, _ = await open_pool(0)
        wrong = replace(at(server), node_id=IDENTITIES[2].node_id)
        client, _ = await open_pool(1, static_peers=(wrong,))
        await until(lambda: f"expected node 0x{IDENTITIES[2].node_id.hex()}" in caplog.text)
        assert not client.peers
        await client.close()
        await server.close()

    run(story)


async def relay(target: PeerAddress, identity: Identity) -> tuple[aiohttp.web.AppRunner, int]:
    """A machine in the middle: own certificate, all frames passed on unchanged."""

    async def serve(request: aiohttp.web.Request) -> aiohttp.web.WebSocketResponse:
        near = aiohttp.web.WebSocketResponse()
        await near.prepare(request)
        connector = aiohttp.TCPConnector(ssl=client_context())
        async with aiohttp.ClientSession(connector=connector) as session:
            far = await session.ws_connect(f"wss://{target.host}:{target.port}/")

            async def pump(source: aiohttp.ClientWebSocketResponse) -> None:
                async for message in source:
                    await near.send_bytes(message.data)
                await near.close()

            task = asyncio.create_task(pump(far))
            async for message in near:
                await far.send_bytes(message.data)
            await far.close()
            await task
        return near

    application = aiohttp.web.Application()
    application.router.add_get("/", serve)
    runner = aiohttp.web.AppRunner(application, shutdown_timeout=1.0)
    await runner.setup()
    site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0, ssl_context=identity.server_context)
    await site.start()
    return runner, runner.addresses[0][1]


def test_a_relay_with_its_own_certificate_is_caught(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def story() -> None:
        server, recorder = await open_pool(0)
        runner, port = await relay(at(server), IDENTITIES[3])
        through = PeerAddress("127.0.0.1", port, IDENTITIES[0].node_id)
        client, _ = await open_pool(1, static_peers=(through,))
        await until(lambda: "does not prove node id" in caplog.text)
        assert not recorder.connects
        assert not client.peers
        await client.close()
        await runner.cleanup()
        await server.close()

    run(story)


def test_simultaneous_dials_end_with_one_connection() -> None:
    async def story() -> None:
        pools = [await open_pool(n) for n in range(4)]
        for pool, _ in pools:
            for other, _ in pools:
                pool.dial(at(other))  # itself included
        await until(lambda: all(len(pool.peers) == 3 for pool, _ in pools))
        await asyncio.sleep(0.3)
        for pool, recorder in pools:
            assert len(pool.peers) == 3
            live = {i: recorder.connects.count(i) - recorder.disconnects.count(i)
                    for i in recorder.connects}  # fmt: skip
            assert set(live.values()) == {1}
        for low, _ in pools:
            for node_id, peer in low.peers.items():
                other = next(p for p, _ in pools if p.settings.identity.node_id == node_id)
                mirror = other.peers[low.settings.identity.node_id]
                assert peer.outbound != mirror.outbound
        for pool, _ in pools:
            await pool.close()

    run(story)


def test_a_restarted_peer_is_found_again() -> None:
    async def story() -> None:
        server, _ = await open_pool(0)
        client, recorder = await open_pool(1, static_peers=(at(server),))
        await until(lambda: client.peers)
        port = server.port
        await server.close()
        await until(lambda: not client.peers)
        server, _ = await open_pool(0, listen_port=port)
        await until(lambda: client.peers)
        assert recorder.connects == [IDENTITIES[0].node_id] * 2
        await client.close()
        await server.close()

    run(story)


@pytest.mark.parametrize(
    "frame",
    [
        b"\x7fjunk",
        b"",
        bytes([Code.PREPARE]) + bytes(LIMITS[Code.PREPARE] + 1),
        bytes([Code.HELLO]),
    ],
)
def test_bad_frames_cost_points_until_the_peer_is_banned(
    frame: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        server, recorder = await open_pool(0)
        session, socket = await raw_session(server, 1)
        for _ in range(20):
            await socket.send_bytes(frame)
        await until(lambda: recorder.disconnects)
        assert "banned for 600 s" in caplog.text
        await session.close()
        with pytest.raises(Exception, match="banned for another"):
            await greet_and_leave(server, 1)
        assert recorder.frames.empty()
        await server.close()

    run(story)


def test_a_text_or_oversize_message_ends_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def story() -> None:
        server, recorder = await open_pool(0)
        for payload in ("text", bytes(16 << 20)):
            session, socket = await raw_session(server, 1)
            seen = len(recorder.disconnects)
            send = socket.send_str if isinstance(payload, str) else socket.send_bytes
            with suppress(ConnectionError):  # cut off in the middle, as it should
                await send(payload)  # type: ignore[arg-type]
            await until(lambda seen=seen: len(recorder.disconnects) > seen)
            await session.close()
        assert "text message" in caplog.text
        assert recorder.frames.empty()
        await server.close()

    run(story)


def test_a_flood_at_ten_times_the_limit_is_cut_off() -> None:
    async def story() -> None:
        server, recorder = await open_pool(0, rates=Rates(votes=20.0))
        session, socket = await raw_session(server, 1)
        with suppress(ConnectionError):  # cut off in the middle, as it should
            for _ in range(400):
                await socket.send_bytes(bytes([Code.PREPARE]) + b"x")
        await until(lambda: recorder.disconnects)
        assert recorder.frames.qsize() <= 60
        await session.close()
        await server.close()

    run(story)


def test_silence_in_the_handshake_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consensus.network.session.HANDSHAKE_SECONDS", 0.2)

    async def story() -> None:
        server, _ = await open_pool(0)
        session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=client_context()))
        socket = await session.ws_connect(f"wss://127.0.0.1:{server.port}/")
        message = await socket.receive(timeout=3)
        assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
        await session.close()
        await server.close()

    run(story)


def test_who_connects_and_says_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consensus.network.listener.GREETING_SECONDS", 0.3)

    async def story() -> None:
        server, _ = await open_pool(0)
        for context in (None, client_context()):  # before TLS, and before a request
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
            with suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
        await server.close()

    run(story)


def test_one_address_cannot_make_us_shake_hands_all_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consensus.network.standing.ATTEMPTS_BURST", 3.0)
    monkeypatch.setattr("consensus.network.standing.ATTEMPTS_PER_SECOND", 0.001)

    async def story() -> None:
        server, recorder = await open_pool(0)
        for _ in range(3):
            await greet_and_leave(server, 1)
        with pytest.raises(aiohttp.WSServerHandshakeError, match="429"):
            await greet_and_leave(server, 2)
        await until(lambda: len(recorder.disconnects) == 3)
        assert not server.peers
        await server.close()

    run(story)


def test_every_drop_says_who_where_why_and_the_score(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def story() -> None:
        server, recorder = await open_pool(0)
        session, socket = await raw_session(server, 1)
        await socket.send_bytes(b"")
        await until(lambda: "loses 10 points: empty frame; score -10" in caplog.text)
        await socket.close()
        await session.close()
        await until(lambda: recorder.disconnects)
        await server.close()
        node = IDENTITIES[1].node_id.hex()
        line = f"dropped peer 0x{node} at 127.0.0.1: closed by the other side; score -"
        assert any(text.startswith(line) for text in caplog.messages), caplog.text

    run(story)


def test_a_full_send_queue_disconnects_instead_of_dropping(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)

    async def story() -> None:
        server, recorder = await open_pool(0)
        client, _ = await open_pool(1, static_peers=(at(server),), listen_host=None)
        await until(lambda: server.peers)
        peer = next(iter(server.peers.values()))
        sent = 0
        while peer.send(Code.PREPARE, b"x"):  # nothing is written before we yield
            sent += 1
        assert sent == MAX_QUEUED_FRAMES
        await until(lambda: recorder.disconnects)
        assert "send queue full" in caplog.text
        await client.close()
        await server.close()

    run(story)


def test_slowness_never_bans_a_validator() -> None:
    async def story() -> None:
        server, _ = await open_pool(0, is_validator=lambda _: True)
        client, _ = await open_pool(1, static_peers=(at(server),))
        await until(lambda: server.peers)
        peer = next(iter(server.peers.values()))
        for _ in range(100):
            server.penalize(peer, Penalty.TIMEOUT, "slow")
        assert not peer.closing
        server.penalize(peer, Penalty.INVALID_BLOCK, "forged")
        assert peer.closing
        await client.close()
        await server.close()

    run(story)


def test_a_taken_port_is_a_clear_error() -> None:
    async def story() -> None:
        server, _ = await open_pool(0)
        with pytest.raises(OSError, match=rf"cannot listen on 127.0.0.1:{server.port}"):
            await open_pool(1, listen_port=server.port)
        await server.close()

    run(story)
