"""Four validators with the product's executor processes: transfers, proofs, a kill -9."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from eth_account import Account

from chain.errors import ExecutorFault
from chain.head_feed import HeadFeed
from chain.mempool import Mempool
from chain.store import Store
from chain.worker_client import ExecutorClient
from consensus.local_chain import LocalChain
from consensus.network.identity import PeerAddress
from consensus.service import ConsensusService, ServiceSettings
from genesis.addresses import VALIDATOR_SET
from genesis.predeploys import new_genesis
from genesis.spec import GenesisSpec, format_genesis
from precompiles.hashing import keccak256
from tests.consensus.mesh import ADDRESSES, KEYS, RICH, fast_clock, until
from tests.consensus.test_network_gossip import transfer

pytestmark = pytest.mark.e2e


@dataclass
class Node:
    store: Store
    executor: ExecutorClient
    chain: LocalChain
    service: ConsensusService
    supervisor: "asyncio.Task[None]"

    @property
    def address(self) -> PeerAddress:
        return PeerAddress("127.0.0.1", self.service.port, self.service.address)


@asynccontextmanager
async def running(
    spec: GenesisSpec,
    index: int,
    folder: Path,
    peers: Sequence[PeerAddress],
    clock: Callable[[], float] = time.time,
) -> AsyncIterator[Node]:
    executor = await ExecutorClient.start(folder, folder.parent / "genesis.json")
    try:
        with Store(folder / "chain", readonly=True) as store:
            mempool = Mempool(spec, store.head(), store.state(store.head()))
            chain = LocalChain(spec, store, executor, mempool, HeadFeed(), clock)
            settings = ServiceSettings(KEYS[index], folder, static_peers=tuple(peers))
            service = ConsensusService(settings, chain)
            await service.start()
            supervisor = asyncio.create_task(service.run())
            try:
                yield Node(store, executor, chain, service, supervisor)
            finally:
                await service.close()
                supervisor.cancel()
                await asyncio.gather(supervisor, return_exceptions=True)
    finally:
        await executor.close()


def test_four_validators_with_executor_processes(tmp_path: Path) -> None:
    async def story() -> None:
        accounts = {RICH: 10**24}
        spec = new_genesis(4242, ADDRESSES[:4], accounts, timestamp=int(time.time()) - 5)
        await asyncio.to_thread((tmp_path / "genesis.json").write_text, format_genesis(spec))
        async with asyncio.timeout(120), AsyncExitStack() as stack:
            nodes: list[Node] = []
            for index in range(4):
                peers = [node.address for node in nodes]
                context = running(spec, index, tmp_path / str(index), peers)
                nodes.append(await stack.enter_async_context(context))
            await until(lambda: all(node.chain.height >= 1 for node in nodes), 60)
            raws = [transfer(nonce) for nonce in range(200)]
            for raw in raws:
                await nodes[0].service.submit(raw)
            hashes = [keccak256(raw) for raw in raws]
            await until(
                lambda: all(
                    node.store.transaction_location(item) is not None
                    for node in nodes
                    for item in hashes
                ),
                30,
            )
            height = min(node.chain.height for node in nodes)
            assert len({node.store.canonical_hash(height) for node in nodes}) == 1
            recipient = bytes.fromhex("35" * 20)
            for node in nodes:
                state = node.store.state(node.store.head())
                assert state.account(recipient).balance == 200
                assert not node.service.diverged
            await until(lambda: all(len(node.chain.mempool) == 0 for node in nodes))

            # A dead executor stops its node loudly; the other three go on.
            os.kill(nodes[3].executor.pid, signal.SIGKILL)
            with pytest.raises(ExecutorFault):
                await nodes[3].supervisor
            height = nodes[0].chain.height
            await until(lambda: all(n.chain.height >= height + 2 for n in nodes[:3]), 30)

    asyncio.run(story())


def vote(voter: int, nonce: int, candidate: int, *, add: bool) -> bytes:
    """A validator's transaction to the ValidatorSet contract."""
    selector = keccak256(b"vote(address,bool)")[:4]
    fields = {
        "chainId": 4242,
        "nonce": nonce,
        "to": VALIDATOR_SET,
        "data": selector + bytes(12) + ADDRESSES[candidate] + int(add).to_bytes(32, "big"),
        "gas": 500_000,
        "maxFeePerGas": 10**10,
        "maxPriorityFeePerGas": 1,
    }
    return bytes(Account.sign_transaction(fields, KEYS[voter]).raw_transaction)


def test_validators_are_added_and_removed_under_load(tmp_path: Path) -> None:
    async def story() -> None:
        accounts = dict.fromkeys([RICH, *ADDRESSES[:5]], 10**24)
        spec = new_genesis(4242, ADDRESSES[:4], accounts, timestamp=int(fast_clock()))
        await asyncio.to_thread((tmp_path / "genesis.json").write_text, format_genesis(spec))
        async with asyncio.timeout(120), AsyncExitStack() as stack:
            nodes: list[Node] = []
            for index in range(5):
                peers = [node.address for node in nodes]
                context = running(spec, index, tmp_path / str(index), peers, fast_clock)
                nodes.append(await stack.enter_async_context(context))
            await until(lambda: all(node.chain.height >= 1 for node in nodes), 60)
            assert not nodes[4].service.voting
            for nonce in range(100):
                await nodes[1].service.submit(transfer(nonce))
            for voter in range(3):
                await nodes[voter].service.submit(vote(voter, 0, 4, add=True))
            await until(lambda: all(len(n.service.validators) == 5 for n in nodes), 30)
            await until(lambda: nodes[4].service.voting, 30)
            await until(lambda: nodes[0].chain.head.coinbase == ADDRESSES[4], 30)
            for voter in range(3):
                await nodes[voter].service.submit(vote(voter, 1, 3, add=False))
            await until(lambda: all(len(n.service.validators) == 4 for n in nodes), 30)
            height = nodes[0].chain.height
            await until(lambda: all(n.chain.height >= height + 6 for n in nodes), 30)
            assert not nodes[3].service.voting
            assert ADDRESSES[3] not in nodes[0].service.validators
            assert len(nodes[0].store.validator_change_heights()) == 3
            assert len({n.store.canonical_hash(height + 6) for n in nodes}) == 1
            assert not any(n.service.diverged for n in nodes)

    asyncio.run(story())
