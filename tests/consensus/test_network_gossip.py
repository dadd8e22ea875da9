"""Transactions and votes between real nodes."""

import asyncio
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest
from eth_account import Account

from chain.errors import InvalidTransaction
from consensus.network.errors import HandshakeError
from consensus.network.identity import create_identity
from consensus.network.wire import (
    Code,
    decode_hashes,
    decode_transactions,
    encode_hashes,
    encode_transactions,
)
from precompiles.hashing import keccak256
from tests.consensus.mesh import (
    KEYS,
    RICH_KEY,
    Node,
    mesh,
    reach,
    run,
    running,
    spec_for,
    until,
)
from tests.consensus.test_sync import STRANGER, Stranger, stranger


def transfer(nonce: int, **changes: object) -> bytes:
    fields = {
        "chainId": 4242,
        "nonce": nonce,
        "to": "0x" + "35" * 20,
        "value": 1,
        "gas": 21_000,
        "maxFeePerGas": 10**10,
        "maxPriorityFeePerGas": 1,
        **changes,
    }
    return bytes(Account.sign_transaction(fields, RICH_KEY).raw_transaction)


def test_transactions_reach_every_mempool_once(tmp_path: Path) -> None:
    async def story(stack: AsyncExitStack) -> None:
        nodes = await mesh(stack, spec_for(4), tmp_path, range(4))
        await reach(nodes, 1)
        raws = [transfer(nonce) for nonce in range(300)]
        for raw in raws:
            assert await nodes[0].service.submit(raw) == keccak256(raw)
        await until(lambda: all(len(node.chain.mempool) == 300 for node in nodes))
        with pytest.raises(InvalidTransaction, match="already known"):
            await nodes[1].service.submit(raws[0])
        with pytest.raises(InvalidTransaction, match="nonce too high"):
            await nodes[0].service.submit(transfer(10**6))
        assert all(len(node.service.peers) == 3 for node in nodes)

    run(story)


def test_a_restarted_node_gets_the_pool_back(tmp_path: Path) -> None:
    async def story(stack: AsyncExitStack) -> None:
        spec = spec_for(4)
        nodes = await mesh(stack, spec, tmp_path, range(3))
        for nonce in range(20):
            await nodes[0].service.submit(transfer(nonce))
        late = await stack.enter_async_context(running(spec, 3, tmp_path / "3", [nodes[1].address]))
        await until(lambda: len(late.chain.mempool) == 20)

    run(story)


def test_no_block_without_a_transaction_where_empty_ones_are_off(tmp_path: Path) -> None:
    async def story(stack: AsyncExitStack) -> None:
        nodes = await mesh(stack, spec_for(4, empty_blocks=False), tmp_path, range(4))
        await until(lambda: all(node.service.voting for node in nodes))
        await asyncio.sleep(1.0)  # ten periods, two round timeouts
        assert all(node.chain.height == 0 for node in nodes)
        assert all(node.service.round == 0 for node in nodes)
        await nodes[2].service.submit(transfer(0))
        await reach(nodes, 1)

    run(story)


async def outsider(stack: AsyncExitStack, tmp_path: Path) -> tuple[Node, Stranger]:
    (node,) = await mesh(stack, spec_for(1), tmp_path, [0])
    return node, await stranger(stack, node)


def test_bodies_are_pulled_and_only_what_was_asked_for_counts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(stack: AsyncExitStack) -> None:
        node, peer = await outsider(stack, tmp_path)
        asked_for, pushed = transfer(0), transfer(1)
        await peer.send(Code.ANNOUNCE, encode_hashes([keccak256(asked_for)]))
        wanted = decode_hashes(await peer.expect(Code.GET_TRANSACTIONS))
        assert wanted == [keccak256(asked_for)]
        await peer.send(Code.TRANSACTIONS, encode_transactions([asked_for]))
        await until(lambda: len(node.chain.mempool) == 1)
        await peer.send(Code.TRANSACTIONS, encode_transactions([pushed]))
        await until(lambda: "was not asked for" in caplog.text)
        assert len(node.chain.mempool) == 1
        await peer.send(Code.GET_TRANSACTIONS, encode_hashes([keccak256(asked_for), bytes(32)]))
        assert decode_transactions(await peer.expect(Code.TRANSACTIONS)) == [asked_for]

    run(story)


def test_a_partial_answer_is_asked_for_again(tmp_path: Path) -> None:
    async def story(stack: AsyncExitStack) -> None:
        node, peer = await outsider(stack, tmp_path)
        raws = [transfer(nonce) for nonce in range(3)]
        await peer.send(Code.ANNOUNCE, encode_hashes([keccak256(raw) for raw in raws]))
        for raw in raws:
            assert keccak256(raw) in decode_hashes(await peer.expect(Code.GET_TRANSACTIONS))
            await peer.send(Code.TRANSACTIONS, encode_transactions([raw]))
        await until(lambda: len(node.chain.mempool) == 3)

    run(story)


def test_a_malformed_transaction_costs_points_and_an_unfunded_one_does_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(stack: AsyncExitStack) -> None:
        node, peer = await outsider(stack, tmp_path)
        unfunded = transfer(0, value=10**30)
        for raw in (unfunded, b"\x02junk"):
            await peer.send(Code.ANNOUNCE, encode_hashes([keccak256(raw)]))
            await peer.expect(Code.GET_TRANSACTIONS)
            await peer.send(Code.TRANSACTIONS, encode_transactions([raw]))
        await until(lambda: "loses 10 points" in caplog.text)
        assert caplog.text.count("loses 10 points") == 1
        assert keccak256(b"\x02junk").hex() in caplog.text
        assert len(node.chain.mempool) == 0

    run(story)


def test_a_bad_vote_costs_points_and_an_outsiders_vote_is_dropped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from consensus.codec import Domain, encode_message
    from consensus.core.messages import Draft, PreparePayload
    from consensus.signer import Signer

    async def story(stack: AsyncExitStack) -> None:
        node, peer = await outsider(stack, tmp_path)
        domain = Domain(1, 4242, node.chain.genesis_hash)
        with Signer(tmp_path / "outsider.json", KEYS[STRANGER], domain) as signer:
            message = signer.sign(Draft(PreparePayload(1, 0, b"\x01" * 32)))
        code, body = encode_message(message)
        await peer.send(Code(code), body)
        await peer.send(Code(code), body[:-1])
        await until(lambda: "loses 50 points: PREPARE" in caplog.text)
        assert caplog.text.count("points") == 1
        await reach([node], node.chain.height + 2)

    run(story)


def test_votes_are_relayed_one_hop(tmp_path: Path) -> None:
    """Four validators in a star: only the centre is connected to all."""

    async def story(stack: AsyncExitStack) -> None:
        spec = spec_for(4)
        (centre,) = await mesh(stack, spec, tmp_path, [0])
        leaves = [
            await stack.enter_async_context(
                running(spec, i, tmp_path / str(i), [centre.address], first_contact_seconds=0.5)
            )
            for i in (1, 2, 3)
        ]
        await reach([centre, *leaves], 5)
        assert all(len(leaf.service.peers) == 1 for leaf in leaves)
        assert centre.check_chain()[:5] == leaves[0].check_chain()[:5]

    run(story)


def test_floods_do_not_stop_the_chain(tmp_path: Path) -> None:
    """A stranger announces far above every limit and never reads what it is sent."""

    async def story(stack: AsyncExitStack) -> None:
        nodes = await mesh(stack, spec_for(4), tmp_path, range(4))
        await reach(nodes, 1)
        flooder = await stranger(stack, nodes[0])
        height = nodes[0].chain.height
        with suppress(ConnectionError):
            for number in range(600):
                hashes = [keccak256(b"%d %d" % (number, item)) for item in range(64)]
                await flooder.send(Code.ANNOUNCE, encode_hashes(hashes))
        identity = create_identity(KEYS[STRANGER])
        await until(lambda: identity.node_id not in nodes[0].service.connections)
        await reach(nodes, height + 4)
        with pytest.raises(HandshakeError, match="banned for another"):
            await stranger(stack, nodes[0])

    run(story)
