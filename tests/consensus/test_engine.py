"""Validators in one process over real sockets: agreement, faults, restarts, divergence."""

import asyncio
import logging
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path

import pytest

from chain.genesis_block import genesis_block
from chain.head_feed import HeadFeed
from chain.mempool import Mempool
from chain.store import Store
from consensus.errors import SignerError
from consensus.local_chain import LocalChain
from consensus.service import ConsensusService, ServiceSettings
from tests.consensus.mesh import (
    ADDRESSES,
    KEYS,
    Node,
    PlainExecutor,
    fast_clock,
    mesh,
    reach,
    run,
    running,
    spec_for,
    until,
)


def agree(nodes: list[Node]) -> None:
    """All chains are proven, and one is a prefix of the other."""
    chains = sorted((node.check_chain() for node in nodes), key=len)
    for shorter, longer in pairwise(chains):
        assert longer[: len(shorter)] == shorter


def test_a_single_validator_works_alone(tmp_path: Path) -> None:
    async def story(stack: AsyncExitStack) -> None:
        nodes = await mesh(stack, spec_for(1), tmp_path, [0])
        await reach(nodes, 3)
        agree(nodes)
        assert nodes[0].service.voting
        assert nodes[0].service.validators == (ADDRESSES[0],)

    run(story)


def test_four_validators_agree(tmp_path: Path) -> None:
    async def story(stack: AsyncExitStack) -> None:
        spec = spec_for(4)
        nodes = await mesh(stack, spec, tmp_path, range(4))
        await reach(nodes, 6)
        agree(nodes)
        proposers = {nodes[0].store.header_by_number(n).coinbase for n in range(2, 6)}  # type: ignore[union-attr]
        assert proposers == set(ADDRESSES[:4])
        for node in nodes:
            assert len(node.service.peers) == 3
            assert node.service.height > 6
            assert not node.service.diverged
            for number in range(1, 6):
                header = node.store.header_by_number(number)
                parent = node.store.header_by_number(number - 1)
                assert header is not None
                assert parent is not None
                assert header.timestamp >= parent.timestamp + spec.qbft.block_period_seconds

    run(story)


def test_one_silent_validator_of_four_does_not_stop_the_chain(tmp_path: Path) -> None:
    async def story(stack: AsyncExitStack) -> None:
        nodes = await mesh(stack, spec_for(4), tmp_path, range(3))
        await reach(nodes, 6)
        agree(nodes)
        rounds = [
            node.store.certificate(h).round  # type: ignore[union-attr]
            for node in nodes[:1]
            for h in node.check_chain()
        ]
        assert any(rounds)  # the silent one's turns were taken over in a later round

    run(story)


def test_seven_validators_bear_two_faults(tmp_path: Path) -> None:
    async def story(stack: AsyncExitStack) -> None:
        spec = spec_for(7)
        nodes = await mesh(stack, spec, tmp_path, range(6))
        await reach(nodes, 2)
        nodes[5].executor.refuse = lambda block: "gas_used 1, computed 2"
        await reach(nodes[:5], nodes[0].chain.height + 8)
        agree(nodes)
        assert nodes[5].service.diverged

    run(story)


def test_two_of_four_stop_and_the_third_brings_the_chain_back(tmp_path: Path) -> None:
    async def story(stack: AsyncExitStack) -> None:
        spec = spec_for(4)
        nodes = await mesh(stack, spec, tmp_path, range(3))
        await reach(nodes, 1)
        async with running(spec, 3, tmp_path / "3", [node.address for node in nodes]) as fourth:
            await reach([*nodes, fourth], 3)
        # three of four again; now one more leaves, and nothing may be decided
        async with AsyncExitStack() as short:
            pair = tmp_path / "pair"
            spec = spec_for(4, request_timeout_cap_ms=1999)  # the keys vote on the other chain
            two = await mesh(short, spec, pair, [0, 1])
            await until(lambda: all(node.service.round >= 1 for node in two))
            assert all(node.chain.height == 0 for node in two)
            third = await short.enter_async_context(
                running(spec, 2, pair / "2", [node.address for node in two])
            )
            await reach([*two, third], 2)
            agree([*two, third])

    run(story)


def test_a_restarted_validator_goes_on_with_its_journal(tmp_path: Path) -> None:
    async def story(stack: AsyncExitStack) -> None:
        spec = spec_for(4)
        nodes = await mesh(stack, spec, tmp_path, range(3))
        peers = [node.address for node in nodes]
        for _ in range(3):
            async with running(spec, 3, tmp_path / "3", peers) as fourth:
                await reach([fourth], nodes[0].chain.height + 1)
                await until(lambda fourth=fourth: fourth.service.voting)
                agree([*nodes, fourth])

    run(story)


def test_all_validators_restart_at_once(tmp_path: Path) -> None:
    async def story(stack: AsyncExitStack) -> None:
        spec = spec_for(4)
        height = 0
        for _ in range(3):
            async with AsyncExitStack() as generation:
                nodes = await mesh(generation, spec, tmp_path, range(4))
                assert nodes[0].chain.height >= height
                height += 2
                await reach(nodes, height)
                agree(nodes)

    run(story)


def test_a_node_whose_results_differ_stays_behind_loudly(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(stack: AsyncExitStack) -> None:
        nodes = await mesh(stack, spec_for(4), tmp_path, range(4))
        wrong = nodes[3]
        await reach(nodes, 1)
        wrong.executor.refuse = lambda block: (
            "receipts_root 0x11, computed 0x22" if block.header.coinbase != ADDRESSES[3] else ""
        )
        await until(lambda: wrong.service.diverged)
        stuck = wrong.chain.height
        await reach(nodes[:3], stuck + 4)
        assert wrong.chain.height == stuck
        assert not wrong.service.voting
        assert wrong.chain.divergence is not None
        assert wrong.chain.divergence.height == stuck + 1
        assert "DIVERGED" in caplog.text
        assert "receipts_root 0x11, computed 0x22" in caplog.text
        assert "voting against block" in caplog.text
        agree(nodes)

    caplog.set_level(logging.INFO)
    run(story)


def test_a_proposal_from_the_future_waits_for_the_clock(tmp_path: Path) -> None:
    async def story(stack: AsyncExitStack) -> None:
        nodes = await mesh(stack, spec_for(4), tmp_path, range(4))
        await reach(nodes, 1)
        behind = nodes[2].chain
        original = behind.clock
        behind.clock = lambda: original() - 4.0  # slow by four seconds of the test's time
        await reach(nodes, 6)
        agree(nodes)

    run(story)


@pytest.mark.parametrize("ahead", [[1], [1, 2, 3]])
def test_clocks_that_are_an_hour_ahead(
    tmp_path: Path, ahead: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    """One such proposer gets no block; if a quorum has such clocks, the others follow by sync."""

    async def story(stack: AsyncExitStack) -> None:
        nodes = await mesh(stack, spec_for(4), tmp_path, range(4))
        await reach(nodes, 1)
        for index in ahead:
            nodes[index].chain.clock = lambda: fast_clock() + 3600
        height = max(node.chain.height for node in nodes)
        await reach(nodes, height + 6)
        agree(nodes)
        assert not any(node.service.diverged for node in nodes)
        head = nodes[0].store.head()
        if ahead == [1]:
            assert head.timestamp < fast_clock() + 2
            assert nodes[0].store.header_by_number(height + 6) is not None
        else:
            assert head.timestamp > fast_clock() + 3000
            assert "check the clock" in caplog.text
        assert "ahead of our clock" in caplog.text

    run(story)


def test_a_node_that_cannot_note_its_votes_stops(tmp_path: Path) -> None:
    async def story(stack: AsyncExitStack) -> None:
        nodes = await mesh(stack, spec_for(4), tmp_path, range(4))
        await reach(nodes, 1)
        await asyncio.to_thread((tmp_path / "3").rename, tmp_path / "unmounted")
        nodes[3].fault_expected = True
        with pytest.raises(SignerError, match="cannot write"):
            await nodes[3].supervisor
        height = nodes[0].chain.height
        await reach(nodes[:3], height + 3)

    run(story)


def test_two_processes_cannot_vote_with_one_key(tmp_path: Path) -> None:
    async def story(stack: AsyncExitStack) -> None:
        spec = spec_for(1)
        await mesh(stack, spec, tmp_path, [0])
        with Store(tmp_path / "second") as store:
            store.write_genesis(*genesis_block(spec))
            mempool = Mempool(spec, store.head(), store.state(store.head()))
            chain = LocalChain(spec, store, PlainExecutor(store), mempool, HeadFeed())
            with pytest.raises(SignerError, match="another process votes with this key"):
                ConsensusService(ServiceSettings(KEYS[0], tmp_path / "0"), chain)

    run(story)
