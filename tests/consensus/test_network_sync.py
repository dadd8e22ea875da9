"""Peers that waste a syncing node's time, or its memory."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from consensus.network.identity import Network, create_identity
from consensus.network.wire import (
    BlockRequest,
    Code,
    Status,
    encode_block_request,
    encode_frame,
    encode_status,
)
from tests.consensus.mesh import mesh, reach, run, running, spec_for, until
from tests.consensus.pools import intrude


def test_a_silent_liar_does_not_keep_a_follower_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It claims the highest head all the time and never answers: it is asked once a minute."""
    monkeypatch.setattr("consensus.network.sync.ANSWER_SECONDS", 0.5)

    async def story(stack: AsyncExitStack) -> None:
        spec = spec_for(1)
        (maker,) = await mesh(stack, spec, tmp_path, [0])
        follower = await stack.enter_async_context(
            running(spec, 5, tmp_path / "5", [maker.address], first_contact_seconds=0)
        )
        await reach([follower], 2)
        network = Network(1, 4242, maker.chain.genesis_hash)
        liar = create_identity(b"\x44" * 32)
        session, socket = await intrude(follower.service.port, liar, network)
        stack.push_async_callback(session.close)
        stack.push_async_callback(socket.close)
        asked = 0

        async def lie() -> None:
            nonlocal asked
            while True:
                claim = encode_status(Status(10**9, b"\x01" * 32))
                await socket.send_bytes(encode_frame(Code.STATUS, claim))
                await asyncio.sleep(0.05)

        async def listen() -> None:
            nonlocal asked
            async for message in socket:
                asked += bytes(message.data[:1]) == bytes([Code.GET_BLOCKS])

        tasks = [asyncio.create_task(lie()), asyncio.create_task(listen())]
        await until(lambda: "no blocks from" in caplog.text or asked)
        height = follower.chain.height
        await reach([follower], height + 12)
        assert asked == 1
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run(story)


def test_who_asks_for_blocks_and_does_not_read_loses_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("consensus.network.sync.MAX_FRAME", 1000)

    async def story(stack: AsyncExitStack) -> None:
        (maker,) = await mesh(stack, spec_for(1), tmp_path, [0])
        await reach([maker], 3)
        network = Network(1, 4242, maker.chain.genesis_hash)
        identity = create_identity(b"\x44" * 32)
        session, socket = await intrude(maker.service.port, identity, network)
        stack.push_async_callback(session.close)
        stack.push_async_callback(socket.close)
        await until(lambda: identity.node_id in maker.service.connections)
        peer = maker.service.connections[identity.node_id]
        while peer.queued_bytes < 2000:  # nothing is written before we yield
            peer.send(Code.BLOCKS, bytes(500))
        body = encode_block_request(BlockRequest(1, 1, 3))
        await maker.service.on_frame(peer, Code.GET_BLOCKS, body)
        assert "loses 10 points: asks for blocks and does not read them" in caplog.text

    run(story)
