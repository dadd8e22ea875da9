"""The composition root: open, wire, start; wait for a signal or a fault; stop in reverse."""

import asyncio
import logging
import os
import platform
import signal
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import version as distribution_version
from pathlib import Path
from typing import Any

from chain.errors import ExecutorFault, StoreError
from chain.genesis_block import genesis_block
from chain.head_feed import HeadFeed
from chain.log_format import fields
from chain.mempool import Mempool
from chain.store import Store
from chain.worker_client import ExecutorClient, ReaderClient
from consensus.local_chain import LocalChain
from consensus.network.discovery import DiscoverySettings
from consensus.network.identity import PeerAddress
from consensus.service import ConsensusService, ServiceSettings
from genesis.spec import GenesisSpec, parse_genesis
from rpc.context import NodeContext
from rpc.health import Health, create_operations_app
from rpc.metrics import MeasuredExecutor, Metrics, count_blocks
from rpc.server import create_app, start_server
from tools import keys
from tools.divergence import report_divergence
from tools.errors import KeyFileError
from tools.follower import ChainFollower

log = logging.getLogger("assay.node")

CLIENT_VERSION = (
    f"assay/v{distribution_version('assay-chain')}/{sys.platform}-{platform.machine()}"
    f"/python{sys.version_info.major}.{sys.version_info.minor}"
)


STOP_SECONDS = 9.5
"""From the signal to the end, whatever hangs."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Where a listener binds; port 0 picks a free one."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """What ``assay node`` can be told.

    Attributes:
        genesis: genesis file.
        datadir: everything this node writes: database, journal, signer file, node key.
        node_key: 32-byte key: node id, and validator when its address is in the set.
        http_host, http_port: JSON-RPC over HTTP and WebSocket.
        p2p_host, p2p_port: peer-to-peer listener.
        static_peers: dialled for ever.
        discovery: how to find others.
        readers: processes for eth_call and eth_estimateGas.
        max_peers: connections.
        history: states to keep as in ``chain.store.Store``; None as before.
        metrics: listener of ``rpc.health``; None for none.
    """

    genesis: Path
    datadir: Path
    node_key: bytes = field(repr=False)
    http_host: str = "127.0.0.1"
    http_port: int = 8545
    p2p_host: str = "127.0.0.1"
    p2p_port: int = 30303
    static_peers: tuple[PeerAddress, ...] = ()
    discovery: DiscoverySettings = field(default_factory=DiscoverySettings)
    readers: int = 1
    max_peers: int = 50
    history: int | None = None
    metrics: Listen | None = None


def node_key(datadir: Path, file: Path | None, password: str | None) -> bytes:
    """The key that this node signs with.

    Args:
        datadir: its folder.
        file: key file that the operator named. Without one: ``datadir/nodekey``, else the only
            file in ``datadir/keystore``, else a new plain ``datadir/nodekey``.
        password: of an encrypted file.

    Raises:
        KeyFileError: unreadable, readable by others, wrong password, or several to choose from.
    """
    plain = datadir / "nodekey"
    if file is None and not plain.exists():
        found = keys.list_keystore(datadir / "keystore")
        if len(found) > 1:
            raise KeyFileError(
                f"{datadir / 'keystore'} holds {len(found)} keys; name one with --nodekey"
            )
        if not found:
            keys.write_private(plain, keys.new_key().hex() + "\n")
        file = found[0][1] if found else plain
    return keys.load_key(file or plain, password)


async def run_node(options: NodeOptions) -> None:
    """Run until SIGINT or SIGTERM, then stop in order, within ten seconds.

    Raises:
        ChainError, GenesisError, ConsensusError, OSError: what prevents the start.
        ExecutorFault: the executor broke; the node has stopped.
    """
    health = Health()
    await _until_signal(_run(options, health), health)


async def _run(options: NodeOptions, health: Health) -> None:
    async with _running(options, health) as (service, executor):
        consensus = asyncio.create_task(service.run())
        try:
            await asyncio.wait((consensus, executor.failed), return_when=asyncio.FIRST_COMPLETED)
        finally:
            consensus.cancel()
        if executor.failed.done():
            raise executor.failed.result()
        consensus.result()
        raise ExecutorFault("consensus ended without a fault")


async def serve_chain(options: NodeOptions) -> None:
    """Serve the database of ``options.datadir`` without consensus and peers, until a signal.

    Blocks come from ``assay import`` alone, also while this runs. A folder without a database gets
    the genesis block.

    Raises:
        ChainError, GenesisError, OSError: what prevents the start.
    """
    health = Health()
    await _until_signal(_serve(options, health), health)


async def _serve(options: NodeOptions, health: Health) -> None:
    spec = parse_genesis(options.genesis.read_bytes())
    async with AsyncExitStack() as stack:
        metrics = await _listen_for_operators(stack, options, health)
        store = stack.enter_context(_open_to_read(spec, options))
        reader = await ReaderClient.start(options.datadir, options.genesis, options.readers)
        stack.push_async_callback(reader.close)
        feed = HeadFeed()
        stack.callback(feed.close)
        head = store.head()
        mempool = Mempool(spec, head, store.state(head))
        follower = ChainFollower(store, mempool, feed)
        context = NodeContext(
            spec=spec,
            store=store,
            mempool=mempool,
            reader=reader,
            submit=follower.submit,
            head_feed=feed,
            consensus=None,
            version=CLIENT_VERSION,
        )
        await _serve_requests(stack, options, context, metrics)
        log.info("chain %d without consensus, block %d", spec.chain_id, head.number)
        _count(stack, metrics, context, None)
        following = asyncio.create_task(follower.run())
        stack.callback(following.cancel)
        await reader.warm_up()
        health.node, health.started = context, True
        await following


async def _until_signal(work: Coroutine[Any, Any, None], health: Health) -> None:
    """Run ``work`` until it ends or a signal comes; then cancel it and wait until it is undone.

    If that takes too long the process ends on the spot: what was promised is on disk already, and
    workers end with the process.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    task = asyncio.create_task(work)
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not task.done():
        log.info("stopping")
        health.stopping = True
        task.cancel()
        await asyncio.wait((task,), timeout=STOP_SECONDS)
        if not task.done():
            log.error("not stopped within %g s: ending now", STOP_SECONDS)
            logging.shutdown()
            os._exit(0)
    if not task.cancelled():
        task.result()


async def _listen_for_operators(
    stack: AsyncExitStack, options: NodeOptions, health: Health
) -> Metrics | None:
    """Start ``/metrics``, ``/livez`` and ``/readyz`` before anything that may take long."""
    if options.metrics is None:
        return None
    metrics = Metrics(CLIENT_VERSION)
    app = create_operations_app(health, metrics)
    runner = await start_server(app, options.metrics.host, options.metrics.port)
    stack.push_async_callback(runner.cleanup)
    log.info("metrics on http://%s:%d/metrics", options.metrics.host, runner.addresses[0][1])
    return metrics


async def _serve_requests(
    stack: AsyncExitStack, options: NodeOptions, context: NodeContext, metrics: Metrics | None
) -> None:
    app = create_app(context, metrics=metrics)
    runner = await start_server(app, options.http_host, options.http_port)
    stack.push_async_callback(runner.cleanup)
    log.info("JSON-RPC on http://%s:%d", options.http_host, options.http_port)


def _count(
    stack: AsyncExitStack,
    metrics: Metrics | None,
    context: NodeContext,
    executor: ExecutorClient | None,
) -> None:
    """Feed the counters with every block from now on."""
    if metrics is not None:
        metrics.watch(context)
        inferences = None if executor is None else executor.inferences
        blocks = context.head_feed.follow()
        counting = asyncio.create_task(count_blocks(metrics, blocks, context, inferences))
        stack.callback(counting.cancel)


def _open_to_read(spec: GenesisSpec, options: NodeOptions) -> Store:
    """The chain's database, read-only; made with the genesis block when it is missing."""
    path = options.datadir / "chain"
    block, nodes = genesis_block(spec)
    if not (path / "data.mdb").exists():
        with Store(path, history=options.history) as store:
            store.write_genesis(block, nodes)
    store = Store(path, readonly=True)
    try:
        found = store.genesis_hash()
        if found != block.hash:
            raise StoreError(
                f"{path} belongs to the chain with genesis 0x{found.hex()}, "
                f"not 0x{block.hash.hex()}"
            )
    except StoreError:
        store.close()
        raise
    return store


@asynccontextmanager
async def _running(
    options: NodeOptions, health: Health
) -> AsyncIterator[tuple[ConsensusService, ExecutorClient]]:
    """Everything started in order; left in reverse: requests end first, the executor last."""
    spec = parse_genesis(options.genesis.read_bytes())
    _ = spec.qbft  # GenesisError on a chain with Ethereum's own rules
    async with AsyncExitStack() as stack:
        metrics = await _listen_for_operators(stack, options, health)
        executor = await ExecutorClient.start(options.datadir, options.genesis, options.history)
        stack.push_async_callback(executor.close)
        reader = await ReaderClient.start(options.datadir, options.genesis, options.readers)
        stack.push_async_callback(reader.close)
        store = stack.enter_context(Store(options.datadir / "chain", readonly=True))
        feed = HeadFeed()
        stack.callback(feed.close)
        head = store.head()
        mempool = Mempool(spec, head, store.state(head))
        timed = executor if metrics is None else MeasuredExecutor(executor, metrics)
        chain = LocalChain(spec, store, timed, mempool, feed)
        service = ConsensusService(_settings(options), chain)
        stack.push_async_callback(service.close)
        context = NodeContext(
            spec=spec,
            store=store,
            mempool=mempool,
            reader=reader,
            submit=service.submit,
            head_feed=feed,
            consensus=service,
            version=CLIENT_VERSION,
            endpoint=f"{options.p2p_host}:{options.p2p_port}",
        )
        await _serve_requests(stack, options, context, metrics)
        health.node = context
        health.executor_alive = lambda: not executor.failed.done()
        await executor.ready()
        _count(stack, metrics, context, executor)
        blocks = asyncio.create_task(_log_blocks(feed))
        stack.callback(blocks.cancel)
        told = (lambda _: None) if metrics is None else metrics.on_wrong_inference
        reporting = asyncio.create_task(report_divergence(chain, options.datadir, told))
        stack.callback(reporting.cancel)
        await service.start()
        log.info(
            "node 0x%s on %s, chain %d, block %d",
            service.address.hex(), context.endpoint, spec.chain_id, store.head().number,
        )  # fmt: skip
        health.started = True
        await reader.warm_up()
        yield service, executor


async def _log_blocks(feed: HeadFeed) -> None:
    """One line per block."""
    async for committed in feed.follow():
        header = committed.header
        log.info(
            "Imported block",
            extra=fields(
                number=header.number,
                hash=f"0x{header.hash.hex()[:16]}",
                txs=len(committed.transactions),
                mgas=round(header.gas_used / 1e6, 3),
            ),
        )


def _settings(options: NodeOptions) -> ServiceSettings:
    return ServiceSettings(
        node_key=options.node_key,
        folder=options.datadir / "consensus",
        listen_host=options.p2p_host,
        listen_port=options.p2p_port,
        static_peers=options.static_peers,
        discovery=options.discovery,
        client=CLIENT_VERSION,
        max_peers=options.max_peers,
    )
