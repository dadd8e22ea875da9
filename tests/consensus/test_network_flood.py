"""One peer sends ten times what each limit allows: it is banned, and blocks keep coming."""

import asyncio
import gc
import itertools
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import aiohttp
import pytest

from consensus.codec import Domain, encode_message
from consensus.core.messages import Draft, PreparePayload
from consensus.network.errors import HandshakeError
from consensus.network.identity import Network, create_identity
from consensus.network.peer import VOLUME_PER_SECOND, Rates
from consensus.network.transactions import ANNOUNCED_PER_SECOND, SERVED_PER_SECOND
from consensus.network.wire import (
    LIMITS,
    MAX_ANNOUNCED,
    MAX_REQUESTED,
    MIB,
    BlockRange,
    BlockRequest,
    Code,
    SealedBlock,
    Status,
    encode_block_range,
    encode_block_request,
    encode_frame,
    encode_status,
    encode_transactions,
)
from consensus.signer import Signer
from precompiles.hashing import keccak256
from tests.consensus.mesh import Node, mesh, reach, run, spec_for, until
from tests.consensus.pools import intrude

PING = b""
"""Stands for a WebSocket ping in a flood."""
RATES = Rates()
PEAK_LIMIT = 320 * MIB
"""Of four nodes and eleven flooders in one process; 190 MiB when measured. The large floods hold
some frames of 9 MiB at a time on each side; what they send is several GiB."""
REST_LIMIT = 40 * MIB
"""Afterwards; 5 MiB of the nodes when measured, the rest are frames of the flooders."""


def hashes(count: int, salt: int) -> bytes:
    return b"".join(keccak256(b"%d %d" % (salt, item)) for item in range(count))


def outsiders_votes(folder: Path, node: Node) -> Iterator[bytes]:
    """Well-signed messages of somebody who may not vote."""
    domain = Domain(1, 4242, node.chain.genesis_hash)
    with Signer(folder / "outsider.json", b"\x66" * 32, domain) as signer:
        code, body = encode_message(signer.sign(Draft(PreparePayload(1, 0, b"\x01" * 32))))
    yield from itertools.repeat(encode_frame(Code(code), body))


def announcements(_: Path, __: Node) -> Iterator[bytes]:
    for salt in itertools.count():
        yield encode_frame(Code.ANNOUNCE, hashes(4, salt))


def long_announcements(_: Path, __: Node) -> Iterator[bytes]:
    head = hashes(MAX_ANNOUNCED - 1, 0)
    for salt in itertools.count():
        yield encode_frame(Code.ANNOUNCE, head + hashes(1, salt))


def lookups(_: Path, __: Node) -> Iterator[bytes]:
    yield from itertools.repeat(encode_frame(Code.GET_TRANSACTIONS, hashes(MAX_REQUESTED, 1)))


def pushed_transactions(_: Path, __: Node) -> Iterator[bytes]:
    body = encode_transactions([bytes([1]) * 100_000] * 3)
    yield from itertools.repeat(encode_frame(Code.TRANSACTIONS, body))


def block_requests(_: Path, __: Node) -> Iterator[bytes]:
    for number in itertools.count():
        yield encode_frame(Code.GET_BLOCKS, encode_block_request(BlockRequest(number, 1, 64)))


def peer_requests(_: Path, __: Node) -> Iterator[bytes]:
    yield from itertools.repeat(encode_frame(Code.GET_PEERS, b""))


def statuses(_: Path, node: Node) -> Iterator[bytes]:
    status = Status(0, node.chain.genesis_hash)
    yield from itertools.repeat(encode_frame(Code.STATUS, encode_status(status)))


def pings(_: Path, __: Node) -> Iterator[bytes]:
    yield from itertools.repeat(PING)


def huge_ranges(_: Path, __: Node) -> Iterator[bytes]:
    """Blocks that nobody asked for, full of one-byte items."""
    body = b"\xfa" + (8 * MIB).to_bytes(3, "big") + b"\x01" * (8 * MIB)
    sealed = SealedBlock(body, b"\xc0")
    yield from itertools.repeat(
        encode_frame(Code.BLOCKS, encode_block_range(BlockRange(1 << 40, (sealed,))))
    )


def huge_nonsense(_: Path, __: Node) -> Iterator[bytes]:
    """The dearest proposal to decode: megabytes of nested lists."""
    size = LIMITS[Code.PROPOSAL] - 4
    items = b"\xc1\x01" * (size // 2)
    body = b"\xfa" + len(items).to_bytes(3, "big") + items
    yield from itertools.repeat(encode_frame(Code.PROPOSAL, body))


FLOODS: list[tuple[Callable[[Path, Node], Iterator[bytes]], float, str]] = [
    (outsiders_votes, RATES.votes, "more PREPARE than allowed"),
    (announcements, RATES.transaction_frames, "more ANNOUNCE than allowed"),
    (long_announcements, ANNOUNCED_PER_SECOND / MAX_ANNOUNCED, "more transactions announced"),
    (lookups, SERVED_PER_SECOND / MAX_REQUESTED, "more transactions asked for"),
    (pushed_transactions, 2 * MIB / 300_000, "not asked for"),
    (block_requests, RATES.requests, "more GET_BLOCKS than allowed"),
    (peer_requests, RATES.requests, "more GET_PEERS than allowed"),
    (statuses, RATES.other, "more STATUS than allowed"),
    (pings, RATES.other, "more pings than allowed"),
    (huge_ranges, VOLUME_PER_SECOND / (8 * MIB), "nobody waits for"),
    (huge_nonsense, VOLUME_PER_SECOND / (9 * MIB), "malformed PROPOSAL"),
]
"""What is sent, how much of it a second is allowed, and what it is punished for."""


async def flood(
    socket: aiohttp.ClientWebSocketResponse, frames: Iterator[bytes], per_second: float
) -> int:
    """Send at a steady rate until the other side hangs up; never read. Returns how many."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    sent = 0
    with suppress(ConnectionError):
        for sent in itertools.count():
            frame = next(frames)
            await (socket.ping() if frame is PING else socket.send_bytes(frame))
            await asyncio.sleep(max(0.0, began + sent / per_second - loop.time()))
    return sent


async def attack(
    node: Node, folder: Path, number: int, caplog: pytest.LogCaptureFixture
) -> tuple[str, int]:
    """One flood from a node of its own; returns what it was punished for, and its frames."""
    frames, allowed, reason = FLOODS[number]
    identity = create_identity(bytes([0xA0 + number]) * 32)
    network = Network(1, 4242, node.chain.genesis_hash)
    session, socket = await intrude(node.service.port, identity, network)
    try:
        await until(lambda: identity.node_id in node.service.connections)
        sent = await flood(socket, frames(folder, node), 10 * allowed)
    finally:
        await socket.close()
        await session.close()
    await until(lambda: identity.node_id not in node.service.connections)
    dropped = f"dropped peer 0x{identity.node_id.hex()} at 127.0.0.1: banned for 600 s"
    (line,) = [text for text in caplog.messages if text.startswith(dropped)]
    assert reason in line, line
    assert "score -1" in line
    with pytest.raises(HandshakeError, match="banned for another"):
        await intrude(node.service.port, identity, network)
    return reason, sent


def test_ten_times_each_limit_from_one_peer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="consensus.network")

    async def story(stack: AsyncExitStack) -> None:
        nodes = await mesh(stack, spec_for(4), tmp_path, range(4))
        await reach(nodes, 2)
        for number in range(len(FLOODS)):
            height = nodes[0].chain.height
            await attack(nodes[0], tmp_path, number, caplog)
            await reach(nodes, height + 2)
        assert all(len(node.service.peers) == 3 for node in nodes)
        assert all(item.check_chain() for item in nodes)

    run(story, 120)


@pytest.mark.slow
def test_memory_stays_bounded_and_blocks_come_during_a_flood(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """All floods at once, from eleven peers, at two nodes, again and again under new names."""
    caplog.set_level("INFO", logger="consensus.network")

    async def again(node: Node, number: int, stop: asyncio.Event) -> None:
        frames, allowed, _ = FLOODS[number]
        network = Network(1, 4242, node.chain.genesis_hash)
        for attempt in itertools.count(1):
            identity = create_identity(b"%c%c" % (number + 1, attempt % 256) + bytes(29) + b"\x01")
            try:
                session, socket = await intrude(node.service.port, identity, network)
            except (HandshakeError, aiohttp.ClientError, OSError):
                await asyncio.sleep(0.2)
                continue
            try:
                await flood(socket, frames(tmp_path, node), 10 * allowed)
            finally:
                await socket.close()
                await session.close()
            if stop.is_set():
                return

    async def story(stack: AsyncExitStack) -> None:
        nodes = await mesh(stack, spec_for(4), tmp_path, range(4))
        await reach(nodes, 2)
        tracemalloc.start()
        stack.callback(tracemalloc.stop)
        before, _ = tracemalloc.get_traced_memory()
        stop = asyncio.Event()
        height = nodes[0].chain.height
        floods = [
            asyncio.create_task(again(nodes[number % 2], number, stop))
            for number in range(len(FLOODS))
        ]
        await reach(nodes, height + 40, 240)
        _, peak = tracemalloc.get_traced_memory()
        stop.set()
        for task in floods:
            task.cancel()
        await asyncio.gather(*floods, return_exceptions=True)
        del task, floods  # with their tracebacks, which hold what was sent
        await until(lambda: all(len(node.service.peers) == 3 for node in nodes))
        await asyncio.sleep(2)  # closing handshakes end
        gc.collect()
        rest, _ = tracemalloc.get_traced_memory()
        banned = sum("is banned" in text for text in caplog.messages)
        mib = f"{(peak - before) / MIB:.0f} MiB at most, {(rest - before) / MIB:.0f} MiB after it"
        print(f"{banned} bans, {nodes[0].chain.height - height} blocks, {mib}")
        assert banned > len(FLOODS)
        assert peak - before < PEAK_LIMIT, mib
        assert rest - before < REST_LIMIT, mib

    run(story, 300)
