"""Whatever bytes a peer sends, the node sorts them as bad frames and goes on deciding blocks."""

import random
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from consensus.network.errors import FrameError
from consensus.network.wire import (
    HANDSHAKE_CODES,
    BlockRange,
    BlockRequest,
    Code,
    Status,
    encode_block_range,
    encode_block_request,
    encode_hashes,
    encode_sealed,
    encode_status,
    encode_transactions,
)
from precompiles.hashing import keccak256
from tests.consensus.mesh import Node, mesh, reach, run, spec_for, until
from tests.consensus.test_network_decoders import bend_bytes
from tests.consensus.test_network_gossip import transfer
from tests.consensus.test_sync import stranger

ROUNDS = 1_500


def bodies(node: Node) -> list[tuple[Code, bytes]]:
    """A well-formed body of every code."""
    sealed = node.chain.sealed_block(1)
    assert sealed is not None
    raw = transfer(0)
    votes = [(Code(code), body) for code, body in node.service.own_messages]
    return [
        (Code.STATUS, encode_status(Status(1, bytes(32)))),
        (Code.NEW_BLOCK, encode_sealed(sealed)),
        (Code.GET_BLOCKS, encode_block_request(BlockRequest(1, 1, 64))),
        (Code.BLOCKS, encode_block_range(BlockRange(1, (sealed, sealed)))),
        (Code.ANNOUNCE, encode_hashes([keccak256(raw)])),
        (Code.GET_TRANSACTIONS, encode_hashes([keccak256(raw)])),
        (Code.TRANSACTIONS, encode_transactions([raw])),
        *votes,
    ]


def test_no_frame_breaks_a_node(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def story(stack: AsyncExitStack) -> None:
        (node,) = await mesh(stack, spec_for(1), tmp_path, [0])
        await reach([node], 2)
        await stranger(stack, node)
        await until(lambda: node.service.peers)
        peer = next(iter(node.service.connections.values()))
        choose = random.Random(7)
        codes = [code for code in Code if code not in HANDSHAKE_CODES]
        await until(lambda: len(node.service.own_messages) >= 3)
        corpus = bodies(node)
        assert {code for code, _ in corpus} >= {Code.PROPOSAL, Code.PREPARE, Code.COMMIT}
        refused = 0
        for _ in range(ROUNDS):
            code, body = choose.choice(corpus)
            if choose.random() < 0.1:
                code = choose.choice(codes)
            bent = bend_bytes(body, choose) if choose.randrange(4) else body
            try:
                await node.service.on_frame(peer, code, bent)
            except FrameError:
                refused += 1
        assert refused > ROUNDS // 10
        await reach([node], node.chain.height + 3)
        assert "failed" not in caplog.text

    run(story)
