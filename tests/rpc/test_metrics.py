"""Counters, gauges and probes of a running node, read as Prometheus reads them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families

from chain.certificate import CommitCertificate
from chain.header import Header
from chain.requests import Committed, InferenceCounts
from consensus.view import PeerView, SyncView
from rpc.health import Health, create_operations_app
from rpc.metrics import Metrics, count_blocks, missed_proposers
from rpc.server import create_app, start_server
from tests.rpc.client import Client
from tests.rpc.local_chain import ACCOUNTS, VALIDATOR, LocalChain

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: str) -> Samples:
    """Value by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


@asynccontextmanager
async def operations(health: Health, metrics: Metrics) -> AsyncIterator[Any]:
    """``get(path) -> (status, text)`` of a listener for operators."""
    runner = await start_server(create_operations_app(health, metrics), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with ClientSession() as session:

        async def get(path: str) -> tuple[int, str]:
            async with session.get(url + path) as response:
                return response.status, await response.text()

        try:
            yield get
        finally:
            await runner.cleanup()


def test_a_scrape_of_a_running_node(chain: LocalChain, rpc: Client) -> None:
    metrics = Metrics("assay/test")
    metrics.watch(chain.node)
    before = rpc("eth_blockNumber")

    async def counted() -> AsyncIterator[Committed]:
        block = chain.node.store.block(chain.node.store.head_hash())
        receipts = chain.node.store.receipts(chain.node.store.head_hash())
        assert block is not None
        assert receipts is not None
        yield Committed(block.header, block.transactions, receipts)

    async def inferred() -> InferenceCounts:
        return InferenceCounts(3, 1, 2_500_000_000)

    async def scrape() -> str:
        await count_blocks(metrics, counted(), chain.node, inferred)
        async with operations(Health(), metrics) as get:
            status, text = await get("/metrics")
            assert status == 200
            return str(text)

    rpc.send(ACCOUNTS[0], to=ACCOUNTS[1].address, value=1)
    found = samples(asyncio.run(scrape()))
    assert value(found, "assay_head_block") == int(before, 16) + 1
    assert value(found, "assay_blocks_total") == 1
    assert value(found, "assay_transactions_total") == 1
    assert value(found, "assay_gas_used_total") == 21_000
    assert value(found, "assay_inferences_total") == 3
    assert value(found, "assay_inferences_cached_total") == 1
    assert value(found, "assay_inference_seconds_total") == 2.5
    assert value(found, "assay_mempool_transactions", state="pending") == 0
    assert value(found, "assay_database_bytes") > 4096
    assert value(found, "assay_build_info", version="assay/test") == 1
    assert not any(name.endswith("_created") for name, _ in found)
    assert not any(name.startswith("assay_consensus") for name, _ in found)


def test_requests_are_counted_by_method_and_outcome(chain: LocalChain) -> None:
    metrics = Metrics("assay/test")

    async def check() -> None:
        runner = await start_server(create_app(chain.node, metrics=metrics), "127.0.0.1", 0)
        client = Client(f"http://127.0.0.1:{runner.addresses[0][1]}")
        try:
            for body in (
                b'{"id":1,"method":"eth_chainId"}',
                b'[{"id":1,"method":"eth_chainId"},{"id":2,"method":"eth_call","params":[{}]}]',
                b'{"id":1,"method":"eth_getBalance"}',
                b'{"id":1,"method":"eth_noSuchMethod"}',
            ):
                await asyncio.to_thread(client.post, body)
        finally:
            await runner.cleanup()

    asyncio.run_coroutine_threadsafe(check(), chain.loop).result(60)
    found = samples(metrics.exposition().decode())
    name = "assay_rpc_requests_total"
    assert value(found, name, method="eth_chainId", outcome="ok") == 2
    assert value(found, name, method="eth_call", outcome="ok") == 1
    assert value(found, name, method="eth_getBalance", outcome="error") == 1
    assert value(found, "assay_rpc_seconds_count", method="eth_chainId") == 2
    assert {dict(labels).get("method") for sample, labels in found if sample == name} == {
        "eth_chainId", "eth_call", "eth_getBalance",
    }  # fmt: skip


class Kept:
    """The four reads of a store that the count of missed rounds makes, from plain values."""

    def __init__(self, parent: Header, rounds: int, validators: tuple[bytes, ...]) -> None:
        self._parent, self._rounds, self._validators = parent, rounds, validators

    def certificate(self, block_hash: bytes) -> CommitCertificate:
        return CommitCertificate(self._rounds, ())

    def header(self, block_hash: bytes) -> Header | None:
        return self._parent if block_hash == self._parent.hash else None

    def validators(self, number: int) -> tuple[bytes, ...]:
        assert number == self._parent.number
        return self._validators


@pytest.mark.parametrize("rounds", [0, 1, 3, 6])
def test_missed_rounds_are_their_proposers(rounds: int, chain: LocalChain) -> None:
    """After the parent's proposer comes the next address; round 0's proposer missed first."""
    members = tuple(bytes([i]) * 20 for i in (1, 2, 3, 4))
    base = chain.node.store.head()
    parent = replace(base, number=9, coinbase=members[1])
    block = replace(base, number=10, parent_hash=parent.hash)
    found = list(missed_proposers(block, Kept(parent, rounds, members)))  # type: ignore[arg-type]
    assert found == [members[(2 + i) % 4] for i in range(rounds)]


class Standing:
    """A ``ConsensusView`` with given values."""

    def __init__(self, peers: tuple[int | None, ...] = (), **values: Any) -> None:
        self.address = VALIDATOR
        self.validators: tuple[bytes, ...] = (VALIDATOR, b"\x01" * 20)
        self.height, self.round, self.voting, self.diverged = 8, 2, True, False
        self.syncing: SyncView | None = None
        self.peers = tuple(
            PeerView(bytes([i]) * 20, "host:1", i == 0, "test", height, None, 0.0)
            for i, height in enumerate(peers)
        )
        for name, given in values.items():
            setattr(self, name, given)


def with_consensus(chain: LocalChain, standing: Standing) -> Health:
    return Health(node=replace(chain.node, consensus=standing), started=True)


def test_gauges_of_consensus(chain: LocalChain) -> None:
    metrics = Metrics("assay/test")
    head = chain.node.store.head().number
    health = with_consensus(chain, Standing(peers=(head + 5, None, 1)))
    assert health.node is not None
    metrics.watch(health.node)
    found = samples(metrics.exposition().decode())
    assert value(found, "assay_consensus_height") == 8
    assert value(found, "assay_consensus_round") == 2
    assert value(found, "assay_consensus_voting") == 1
    assert value(found, "assay_validators") == 2
    assert value(found, "assay_is_validator") == 1
    assert value(found, "assay_peers", direction="inbound") == 2
    assert value(found, "assay_peers", direction="outbound") == 1
    assert value(found, "assay_sync_highest_block") == head + 5
    assert value(found, "assay_diverged") == 0


def test_probes(chain: LocalChain) -> None:
    head = chain.node.store.head().number

    async def probe(health: Health) -> tuple[int, str]:
        async with operations(health, Metrics("assay/test")) as get:
            assert await get("/livez") == (200, "ok\n")
            status, text = await get("/readyz")
            return status, text

    def ready(health: Health) -> tuple[int, str]:
        return asyncio.run(probe(health))

    assert ready(Health()) == (503, "starting\n")
    assert ready(Health(node=chain.node)) == (503, "starting\n")
    assert ready(Health(node=chain.node, started=True)) == (200, "ok\n")
    assert ready(Health(node=chain.node, started=True, stopping=True)) == (503, "stopping\n")
    dead = Health(node=chain.node, started=True, executor_alive=lambda: False)
    assert ready(dead) == (503, "the executor process has ended\n")
    assert ready(with_consensus(chain, Standing())) == (503, "0 peers, want 1\n")
    assert ready(with_consensus(chain, Standing(validators=(VALIDATOR,)))) == (200, "ok\n")
    near = Standing(peers=(head + 8,), syncing=SyncView(0, 1, 9))
    assert ready(with_consensus(chain, near)) == (200, "ok\n")
    far = with_consensus(chain, Standing(peers=(head + 9,)))
    assert ready(far) == (503, "9 blocks behind, at most 8\n")
    assert ready(replace(far, max_lag=9)) == (200, "ok\n")
    diverged = Standing(peers=(head,), diverged=True)
    expected = (503, "own results differ from the network's\n")
    assert ready(with_consensus(chain, diverged)) == expected
