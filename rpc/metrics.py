"""What an operator watches: counters of this node in Prometheus' text format.

Counters grow as things happen; gauges are read from the node when somebody asks. Nothing here is
read by consensus. Names and meanings: docs/guide/operator.md.
"""

import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, cast

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from chain.certificate import CommitCertificate
from chain.header import Header
from chain.requests import BlockAttributes, BlockVerdict, BuiltBlock, Committed, InferenceCounts
from chain.store import Store
from consensus.core.types import Height
from consensus.local_chain import Executor
from genesis.addresses import INFERENCE
from precompiles.abi import topic
from rpc.context import NodeContext
from rpc.decode import Params
from rpc.jsonrpc import Handler, Methods

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
MAX_COUNTED_ROUNDS: Final = 1_000
"""Missed rounds of one height that are told apart by proposer; more are a halt, not a statistic."""

_STEPS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_INFERENCE_TOPIC: Final = topic("Inference(bytes32,address,bytes32,bytes32,bytes,bytes)")


class Metrics:
    """The counters of one node, in a registry of its own.

    Args:
        version: as in ``web3_clientVersion``.
    """

    def __init__(self, version: str) -> None:
        # It would be a second series for every counter, which nobody reads.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # it lacks "-> None"
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.inferences = InferenceCounts(0, 0, 0)
        self._blocks = self._counter("assay_blocks", "Blocks written since the start.")
        self._own = self._counter("assay_blocks_proposed", "Of them, proposed by this node.")
        self._transactions = self._counter("assay_transactions", "Transactions in these blocks.")
        self._gas = self._counter("assay_gas_used", "Gas used by these blocks.")
        self._logged = self._counter("assay_inferences_logged", "Inference events in these blocks.")
        self._missed = self._counter(
            "assay_missed_rounds", "Rounds that passed without a decision, by proposer.", "proposer"
        )
        self._wrong = self._counter(
            "assay_wrong_inferences",
            "Inferences of a refused block that this node got wrong.",
            "model",
        )
        self._executor = Histogram(
            "assay_executor_seconds",
            "Time of build, execute and finalize (the write to disk) in the executor process.",
            ("step",),
            registry=self.registry,
            buckets=_STEPS,
        )
        self._requests = self._counter(
            "assay_rpc_requests", "JSON-RPC requests by method and outcome.", "method", "outcome"
        )
        self._latency = Histogram(
            "assay_rpc_seconds",
            "Time to answer a JSON-RPC request.",
            ("method",),
            registry=self.registry,
            buckets=_STEPS,
        )
        Info("assay_build", "Version of this node.", registry=self.registry).info(
            {"version": version}
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def watch(self, node: NodeContext) -> None:
        """Read gauges from ``node`` at every scrape; once per node."""
        self.registry.register(NodeCollector(node, self))

    def exposition(self) -> bytes:
        """All samples in Prometheus' text format 0.0.4."""
        return generate_latest(self.registry)

    def on_block(self, committed: Committed, store: Store, own: bytes | None) -> None:
        """Count a committed block.

        Args:
            committed: readable from ``store``.
            store: gives certificate, parent and validators.
            own: address of this node.
        """
        header = committed.header
        self._blocks.inc()
        self._transactions.inc(len(committed.transactions))
        self._gas.inc(header.gas_used)
        if header.coinbase == own:
            self._own.inc()
        logs = [log for receipt in committed.receipts for log in receipt.logs]
        self._logged.inc(
            sum(log.address == INFERENCE and log.topics[:1] == (_INFERENCE_TOPIC,) for log in logs)
        )
        for proposer in missed_proposers(header, store):
            self._missed.labels("0x" + proposer.hex()).inc()

    def on_wrong_inference(self, model: str) -> None:
        """Count an inference that differs from its definition; ``model`` is 0x and 64 digits."""
        self._wrong.labels(model).inc()

    @contextmanager
    def executor_step(self, step: str) -> Iterator[None]:
        """Time one request to the executor."""
        with self._executor.labels(step).time():
            yield

    def measured(self, methods: Methods) -> Methods:
        """The same methods, counted and timed. Unknown names never become labels."""
        return {name: self._timed(name, handler) for name, handler in methods.items()}

    def _timed(self, name: str, handler: Handler) -> Handler:
        async def timed(params: Params) -> object:
            started = time.perf_counter()
            outcome = "error"
            try:
                result = handler(params)
                if inspect.isawaitable(result):
                    result = await cast(Awaitable[object], result)
                outcome = "ok"
                return result
            finally:
                self._requests.labels(name, outcome).inc()
                self._latency.labels(name).observe(time.perf_counter() - started)

        return timed


def missed_proposers(header: Header, store: Store) -> Iterator[bytes]:
    """Proposers of the rounds before the one that decided a block, in order of the rounds."""
    certificate = store.certificate(header.hash)
    if certificate is None or certificate.round == 0:
        return
    parent = store.header(header.parent_hash)
    if parent is None:
        return
    validators = store.validators(parent.number)
    height = Height(header.number, parent.hash, parent.coinbase, validators)
    for number in range(min(certificate.round, MAX_COUNTED_ROUNDS)):
        yield height.proposer(number)


async def count_blocks(
    metrics: Metrics,
    blocks: AsyncIterator[Committed],
    node: NodeContext,
    inferences: Callable[[], Awaitable[InferenceCounts]] | None,
) -> None:
    """Count every block that ``blocks`` gives, until cancelled.

    Args:
        metrics: of the node.
        blocks: from its head feed.
        node: its handles.
        inferences: asks the executor; None where none runs.
    """
    own = None if node.consensus is None else node.consensus.address
    async for committed in blocks:
        metrics.on_block(committed, node.store, own)
        if inferences is not None:
            metrics.inferences = await inferences()


class MeasuredExecutor:
    """An executor whose steps are timed; satisfies ``consensus.local_chain.Executor``."""

    def __init__(self, executor: Executor, metrics: Metrics) -> None:
        self._executor, self._metrics = executor, metrics

    async def build(
        self, parent_hash: bytes, attributes: BlockAttributes, transactions: Sequence[bytes]
    ) -> BuiltBlock:
        """A block on the parent."""
        with self._metrics.executor_step("build"):
            return await self._executor.build(parent_hash, attributes, transactions)

    async def execute(self, block_rlp: bytes) -> BlockVerdict:
        """Whether a block follows every rule."""
        with self._metrics.executor_step("execute"):
            return await self._executor.execute(block_rlp)

    async def finalize(self, block_hash: bytes, certificate: CommitCertificate | None) -> Committed:
        """Write a block that was built or executed."""
        with self._metrics.executor_step("finalize"):
            return await self._executor.finalize(block_hash, certificate)


class NodeCollector(Collector):
    """Gauges, read when Prometheus asks."""

    def __init__(self, node: NodeContext, metrics: Metrics) -> None:
        self._node, self._metrics = node, metrics

    def describe(self) -> list[Metric]:
        """Nothing: the names are known only by collecting, which needs a running node."""
        return []

    def collect(self) -> Iterator[Metric]:
        """One snapshot."""
        node = self._node
        head = node.store.head()
        pending, queued = node.mempool.counts()
        yield _gauge("assay_head_block", "Number of the newest block.", head.number)
        yield _gauge("assay_head_timestamp", "Its timestamp, Unix seconds.", head.timestamp)
        yield _gauge(
            "assay_head_base_fee_wei", "Its base fee per gas, wei.", head.base_fee_per_gas or 0
        )
        yield _labelled(
            "assay_mempool_transactions",
            "Waiting transactions.",
            "state",
            {"pending": pending, "queued": queued},
        )
        yield _gauge(
            "assay_database_bytes", "Used bytes of the database.", node.store.file.used_bytes()
        )
        counts = self._metrics.inferences
        yield _count("assay_inferences", "Models run by the executor.", counts.runs)
        yield _count(
            "assay_inferences_cached", "Answered from the cache of results.", counts.cached
        )
        yield _count(
            "assay_inference_seconds", "Time spent running models.", counts.nanoseconds / 1e9
        )
        if node.consensus is not None:
            yield from self._consensus(head.number)

    def _consensus(self, head: int) -> Iterator[Metric]:
        view: Any = self._node.consensus
        inbound = sum(not peer.outbound for peer in view.peers)
        heights = [peer.height for peer in view.peers if peer.height is not None]
        yield _gauge("assay_consensus_height", "Height being decided.", view.height)
        yield _gauge("assay_consensus_round", "Round of that height.", view.round)
        yield _gauge("assay_consensus_voting", "1 while this node votes.", view.voting)
        yield _gauge("assay_validators", "Members of the validator set.", len(view.validators))
        yield _gauge(
            "assay_is_validator", "1 if this node is one.", view.address in view.validators
        )
        yield _labelled(
            "assay_peers",
            "Connected peers.",
            "direction",
            {"inbound": inbound, "outbound": len(view.peers) - inbound},
        )
        yield _gauge(
            "assay_sync_highest_block", "Highest block a peer told of.", max([head, *heights])
        )
        yield _gauge("assay_syncing", "1 during a catch-up.", view.syncing is not None)
        yield _gauge(
            "assay_diverged", "1 once a quorum decided what this node refutes.", view.diverged
        )


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=float(value))


def _count(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=float(value))


def _labelled(name: str, text: str, label: str, values: Mapping[str, int]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], float(value))
    return family
