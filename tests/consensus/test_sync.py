"""Catching up: late, wiped and lied-to nodes; what a local chain accepts from strangers."""

import asyncio
import logging
import shutil
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from chain import rlp
from chain.blocks import Block, decode_block
from chain.certificate import decode_certificate
from chain.errors import InvalidBlock, InvalidSeal, UnknownParent
from chain.requests import BlockVerdict
from consensus.codec import proposed_block
from consensus.network.identity import Network, client_context, create_identity
from consensus.network.session import greet_server
from consensus.network.wire import (
    BlockRange,
    BlockRequest,
    Code,
    SealedBlock,
    Status,
    decode_block_range,
    decode_block_request,
    decode_sealed,
    encode_block_range,
    encode_block_request,
    encode_frame,
    encode_sealed,
    encode_status,
    split_frame,
)
from consensus.service import YOUNG_CHAIN
from tests.consensus.mesh import KEYS, Node, mesh, reach, run, running, spec_for, until

STRANGER = 7


def test_a_late_validator_catches_up_and_votes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def story(stack: AsyncExitStack) -> None:
        spec = spec_for(4)
        nodes = await mesh(stack, spec, tmp_path, range(3))
        await reach(nodes, YOUNG_CHAIN + 1)
        late = await stack.enter_async_context(
            running(spec, 3, tmp_path / "3", [node.address for node in nodes])
        )
        await reach([late], YOUNG_CHAIN + 1)
        await until(lambda: "no signing history here: first vote at block" in caplog.text)
        assert "caught up" in caplog.text
        await until(lambda: late.service.voting)
        await until(lambda: late.store.head().coinbase == late.service.address)
        assert late.check_chain()[:8] == nodes[0].check_chain()[:8]
        assert late.service.syncing is None

    run(story)


def test_a_node_that_is_no_validator_follows(tmp_path: Path) -> None:
    async def story(stack: AsyncExitStack) -> None:
        spec = spec_for(4)
        nodes = await mesh(stack, spec, tmp_path, range(4))
        observer = await stack.enter_async_context(
            running(spec, 5, tmp_path / "5", [nodes[0].address], first_contact_seconds=0.2)
        )
        await reach([observer], nodes[0].chain.height + 4)
        assert not observer.service.voting
        head = observer.store.head()
        assert nodes[0].store.canonical_hash(head.number) == head.hash

    run(story)


def test_two_wiped_validators_of_four_rejoin(tmp_path: Path) -> None:
    async def story(stack: AsyncExitStack) -> None:
        spec = spec_for(4)
        nodes = await mesh(stack, spec, tmp_path, [0, 1])
        peers = [node.address for node in nodes]
        async with AsyncExitStack() as short:
            others = [
                await short.enter_async_context(running(spec, i, tmp_path / str(i), peers))
                for i in (2, 3)
            ]
            await reach([*nodes, *others], 4)
        height = nodes[0].chain.height
        shutil.rmtree(tmp_path / "2")
        shutil.rmtree(tmp_path / "3")
        others = [
            await stack.enter_async_context(running(spec, i, tmp_path / str(i), peers))
            for i in (2, 3)
        ]
        await reach([*nodes, *others], height + 2)
        assert others[0].check_chain()[:height] == nodes[0].check_chain()[:height]

    run(story)


def test_a_journal_ahead_of_the_database_keeps_the_node_from_voting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(stack: AsyncExitStack) -> None:
        spec = spec_for(4)
        nodes = await mesh(stack, spec, tmp_path, range(3))
        peers = [node.address for node in nodes]
        async with running(spec, 3, tmp_path / "3", peers) as fourth:
            await reach([fourth], 5)
            await until(lambda: len(fourth.service.own_messages) > 0)
        shutil.rmtree(tmp_path / "3" / "chain")
        async with running(spec, 3, tmp_path / "3", first_contact_seconds=0.1) as alone:
            await asyncio.sleep(0.5)
            assert alone.chain.height == 0
            assert not alone.service.voting
            assert not alone.service.own_messages
        async with running(spec, 3, tmp_path / "3", peers) as fourth:
            await reach([fourth], nodes[0].chain.height + 1)
            await until(lambda: fourth.service.voting)

    run(story)


async def sealed_chain(node: Node, height: int) -> list[SealedBlock]:
    await reach([node], height)
    blocks = [node.chain.sealed_block(number) for number in range(1, height + 1)]
    return [block for block in blocks if block is not None]


def test_what_a_chain_accepts_from_strangers(tmp_path: Path) -> None:
    async def story(stack: AsyncExitStack) -> None:
        spec = spec_for(1)
        (maker,) = await mesh(stack, spec, tmp_path / "maker", [0])
        first, second, _ = await sealed_chain(maker, 3)
        reader = await stack.enter_async_context(
            running(spec, 5, tmp_path / "reader", first_contact_seconds=0)
        )
        chain = reader.chain

        with pytest.raises(UnknownParent):
            await chain.import_sealed(second, last=True)
        bare = replace(decode_certificate(first.certificate), seals=())
        with pytest.raises(InvalidSeal, match="0 seals, want 1"):
            await chain.import_sealed(replace(first, certificate=bare.rlp), last=True)
        with pytest.raises(InvalidSeal):
            await chain.import_sealed(replace(first, certificate=second.certificate), last=True)
        with pytest.raises(InvalidBlock):
            await chain.import_sealed(replace(first, block=first.block[:-1]), last=True)
        parts = rlp.split_list(first.block)
        foreign = rlp.join_list([parts[0], rlp.join_list([legacy()]), *parts[2:]])
        executions = reader.executor.executions
        with pytest.raises(InvalidBlock, match="transactions_root"):
            await chain.import_sealed(replace(first, block=foreign), last=True)
        assert not chain.diverged  # the body was the sender's fault
        chain.decided_against_us(proposed_block(foreign), BlockVerdict(False, "transactions"))
        assert not chain.diverged  # its proposer sent us another body than the quorum
        header = decode_block(first.block).header
        forged = Block(replace(header, gas_used=1), ())
        with pytest.raises(InvalidSeal):
            await chain.import_sealed(replace(first, block=forged.rlp), last=True)
        assert reader.executor.executions == executions + 1  # nothing unproven was executed

        assert chain.height == 0
        await chain.import_sealed(first, last=False)
        await chain.import_sealed(first, last=False)
        with pytest.raises(InvalidBlock, match="final here is"):
            await chain.import_sealed(replace(first, block=forged.rlp), last=True)
        reader.executor.refuse = lambda block: "state_root 0x1, computed 0x2"
        await chain.import_sealed(second, last=False)
        assert chain.height == 1
        assert chain.divergence is not None
        assert chain.divergence.reason == "state_root 0x1, computed 0x2"

    run(story)


def legacy() -> bytes:
    """Any well-formed transaction of another block (the example of EIP-155)."""
    return bytes.fromhex(
        "f86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764000080"
        "25a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761a"
        "ecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83"
    )


class Stranger:
    """An authenticated peer of our own making, to say whatever a test wants."""

    def __init__(self, session: aiohttp.ClientSession, socket: aiohttp.ClientWebSocketResponse):
        self.session, self.socket = session, socket

    async def send(self, code: Code, body: bytes) -> None:
        await self.socket.send_bytes(encode_frame(code, body))

    async def expect(self, wanted: Code) -> bytes:
        async with asyncio.timeout(10):
            while True:
                code, body = split_frame(await self.socket.receive_bytes())
                if code is wanted:
                    return body


async def stranger(stack: AsyncExitStack, node: Node) -> Stranger:
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=client_context()))
    await stack.enter_async_context(session)
    socket = await session.ws_connect(f"wss://127.0.0.1:{node.service.port}/", max_msg_size=0)
    spec = node.chain.spec
    network = Network(spec.qbft.protocol_version, spec.chain_id, node.chain.genesis_hash)
    identity = create_identity(KEYS[STRANGER])
    await greet_server(socket, identity, network, b"stranger", "test", None)
    return Stranger(session, socket)


def test_ranges_are_served_within_bounds(tmp_path: Path) -> None:
    async def story(stack: AsyncExitStack) -> None:
        (maker,) = await mesh(stack, spec_for(1), tmp_path, [0])
        blocks = await sealed_chain(maker, 3)
        asking = await stranger(stack, maker)
        status = await asking.expect(Code.STATUS)
        assert status
        await asking.send(Code.GET_BLOCKS, encode_block_request(BlockRequest(7, 1, 3)))
        answer = decode_block_range(await asking.expect(Code.BLOCKS))
        assert answer == BlockRange(7, tuple(blocks))
        await asking.send(Code.GET_BLOCKS, encode_block_request(BlockRequest(8, 1000, 64)))
        assert decode_block_range(await asking.expect(Code.BLOCKS)) == BlockRange(8, ())

    run(story)


def test_a_liar_about_its_height_does_not_stop_a_node(tmp_path: Path) -> None:
    async def story(stack: AsyncExitStack) -> None:
        (maker,) = await mesh(stack, spec_for(1), tmp_path, [0])
        await reach([maker], 1)
        liar = await stranger(stack, maker)
        await liar.send(Code.STATUS, encode_status(Status(10**9, b"\x01" * 32)))
        request = decode_block_request(await liar.expect(Code.GET_BLOCKS))
        await liar.send(Code.BLOCKS, encode_block_range(BlockRange(request.request_id, ())))
        await reach([maker], maker.chain.height + 3)
        assert maker.service.syncing is None
        assert maker.service.voting

    run(story)


def test_a_vain_catch_up_does_not_restart_the_height(tmp_path: Path) -> None:
    """A height begun anew would forget the lock of the rounds before."""

    async def story(stack: AsyncExitStack) -> None:
        nodes = await mesh(stack, spec_for(4), tmp_path, [0, 1])  # no quorum
        await until(lambda: all(node.service.round >= 1 for node in nodes))
        liar = await stranger(stack, nodes[0])
        rounds = [node.service.round for node in nodes]
        for height in (5, 6):
            await liar.send(Code.STATUS, encode_status(Status(height, b"\x01" * 32)))
            request = decode_block_request(await liar.expect(Code.GET_BLOCKS))
            await liar.send(Code.BLOCKS, encode_block_range(BlockRange(request.request_id, ())))
        await asyncio.sleep(0.2)
        assert nodes[0].service.voting
        for node, before in zip(nodes, rounds, strict=True):
            assert node.service.round >= before

    run(story)


def test_a_forged_block_bans_its_sender(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def story(stack: AsyncExitStack) -> None:
        spec = spec_for(1)
        (maker,) = await mesh(stack, spec, tmp_path / "maker", [0])
        first, second, _ = await sealed_chain(maker, 3)
        reader = await stack.enter_async_context(
            running(spec, 5, tmp_path / "reader", first_contact_seconds=0)
        )
        forger = await stranger(stack, reader)
        await forger.send(Code.NEW_BLOCK, encode_sealed(first))
        await reach([reader], 1)
        header = decode_block(second.block).header
        forged = Block(replace(header, state_root=b"\x05" * 32), ()).rlp
        await forger.send(Code.NEW_BLOCK, encode_sealed(replace(second, block=forged)))
        await until(lambda: not reader.service.peers)
        assert "bad sealed block" in caplog.text
        assert "is banned" in caplog.text
        assert reader.chain.height == 1
        assert not reader.chain.diverged

    run(story)


def test_an_old_round_change_is_answered_with_the_block(tmp_path: Path) -> None:
    """A node that missed the last COMMITs would stall for ever otherwise."""

    async def story(stack: AsyncExitStack) -> None:
        (maker,) = await mesh(stack, spec_for(1), tmp_path, [0])
        await reach([maker], 2)
        asking = await stranger(stack, maker)
        await asking.expect(Code.STATUS)
        identity = create_identity(KEYS[STRANGER])
        for _ in range(5):
            maker.service.offer_block(identity.node_id, 1)  # the core's effect for such a message
        assert decode_sealed(await asking.expect(Code.NEW_BLOCK)) == maker.chain.sealed_block(1)
        maker.service.offer_block(identity.node_id, 2)
        answer = decode_sealed(await asking.expect(Code.NEW_BLOCK))
        assert answer == maker.chain.sealed_block(2)  # the repetitions for 1 were not sent

    run(story)
