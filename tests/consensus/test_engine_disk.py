"""An engine whose files fail it: a full journal, a journal that lost a lock."""

import asyncio
import errno
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from chain.extra_data import commit_digest
from chain.genesis_block import genesis_block
from chain.head_feed import HeadFeed
from chain.mempool import Mempool
from chain.store import Store
from consensus.codec import Domain
from consensus.core.messages import Code, CommitPayload, Draft
from consensus.core.types import Config
from consensus.engine import Engine
from consensus.errors import JournalError
from consensus.local_chain import LocalChain
from consensus.signer import Signer
from consensus.voter import Voter
from consensus.wal import Journal
from tests.consensus.mesh import (
    KEYS,
    PlainExecutor,
    fast_clock,
    mesh,
    reach,
    run,
    running,
    spec_for,
    until,
)


class Wire:
    """Keeps what an engine would have sent."""

    def __init__(self) -> None:
        self.pushed: list[Code] = []

    def push(self, code: Code, body: bytes) -> None:
        self.pushed.append(code)

    def request_blocks(self, author: bytes, height: int) -> None:
        raise AssertionError("there are no others")

    def offer_block(self, author: bytes, height: int) -> None:
        raise AssertionError("there are no others")

    def misbehaved(self, author: bytes, reason: str) -> None:
        raise AssertionError(reason)


@pytest.mark.parametrize("room", [0, 1, 2, 5])
def test_a_full_journal_stops_the_engine_before_it_speaks(tmp_path: Path, room: int) -> None:
    """``room`` writes are synced before the disk is full; what is not synced is not sent."""
    syncs = 0

    def sync(_: int) -> None:
        nonlocal syncs
        syncs += 1
        if syncs > room + 2:  # two when it is created
            raise OSError(errno.ENOSPC, "No space left on device")

    async def story(_: AsyncExitStack) -> None:
        spec = spec_for(1)
        with Store(tmp_path / "chain") as store:
            block, nodes = genesis_block(spec)
            store.write_genesis(block, nodes)
            mempool = Mempool(spec, store.head(), store.state(store.head()))
            executor = PlainExecutor(store)
            chain = LocalChain(spec, store, executor, mempool, HeadFeed(), fast_clock)
            domain = Domain(1, spec.chain_id, chain.genesis_hash)
            with Signer(tmp_path / "signer.json", KEYS[0], domain) as signer:
                journal = Journal(tmp_path / "journal", domain, signer.address, sync)
                wire = Wire()
                config = Config(signer.address, commit_digest, 500, 2_000)
                engine = Engine(config, chain, Voter(signer, journal), wire)
                chain.on_head = lambda committed, last: engine.on_head(voting=last)
                engine.begin()
                with pytest.raises(JournalError, match="No space left on device"):
                    await engine.run()
                journal.close()
                assert len(wire.pushed) <= room
                if room == 0:
                    assert chain.height == 0

    run(story)


def test_a_node_whose_journal_lost_a_lock_lets_that_height_pass(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The journal was deleted; the signer file knows that this key committed to a block."""

    async def story(stack: AsyncExitStack) -> None:
        spec = spec_for(4)
        nodes = await mesh(stack, spec, tmp_path, range(3))
        peers, folder = [node.address for node in nodes], tmp_path / "3"
        async with running(spec, 3, folder, peers) as fourth:
            await reach([fourth], nodes[0].chain.height + 1)
            await until(lambda: fourth.service.voting)
            domain = Domain(spec.qbft.protocol_version, spec.chain_id, fourth.chain.genesis_hash)
        lost = nodes[0].chain.height + 12
        with Signer(folder / "signer.json", KEYS[3], domain) as signer:
            signer.sign(Draft(CommitPayload(lost, 0, bytes(32))))
        await asyncio.to_thread((folder / "journal").unlink)
        async with running(spec, 3, folder, peers) as fourth:
            voted: list[int] = []

            def passed() -> bool:
                if fourth.service.voting:
                    voted.append(fourth.chain.height + 1)
                return fourth.chain.height > lost + 1

            await until(passed, 40)
            assert voted
            assert min(voted) > lost
        assert f"lost this key's lock at block {lost}" in caplog.text

    run(story)
