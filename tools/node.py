"""The composition root: open, wire, start; wait for a signal or a fault; stop in reverse."""

import asyncio
import logging
import platform
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import version as distribution_version
from pathlib import Path

from chain.errors import ExecutorFault, StoreError
from chain.genesis_block import genesis_block
from chain.head_feed import HeadFeed
from chain.mempool import Mempool
from chain.store import Store
from chain.worker_client import ExecutorClient, ReaderClient
from consensus.local_chain import LocalChain
from consensus.network.identity import PeerAddress
from consensus.service import ConsensusService, ServiceSettings
from genesis.spec import GenesisSpec, parse_genesis
from rpc.context import NodeContext
from rpc.server import create_app, start_server
from tools import keys
from tools.follower import ChainFollower

log = logging.getLogger("assay.node")

CLIENT_VERSION = (
    f"assay/v{distribution_version('assay-chain')}/{sys.platform}-{platform.machine()}"
    f"/python{sys.version_info.major}.{sys.version_info.minor}"
)


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """What ``assay node`` can be told.

    Attributes:
        genesis: genesis file.
        datadir: everything this node writes: database, journal, signer file, node key.
        node_key: 32-byte key: node id, and validator when its address is in the set.
        http_host, http_port: JSON-RPC over HTTP and WebSocket.
        p2p_host, p2p_port: peer-to-peer listener.
        peers: dialled for ever.
        readers: processes for eth_call and eth_estimateGas.
        max_peers: connections.
        history: states to keep as in ``chain.store.Store``; None as before.
    """

    genesis: Path
    datadir: Path
    node_key: bytes = field(repr=False)
    http_host: str = "127.0.0.1"
    http_port: int = 8545
    p2p_host: str = "127.0.0.1"
    p2p_port: int = 30303
    peers: tuple[PeerAddress, ...] = ()
    readers: int = 1
    max_peers: int = 50
    history: int | None = None


def own_node_key(datadir: Path) -> bytes:
    """The key in ``datadir/nodekey``, made at the first start."""
    path = datadir / "nodekey"
    if not path.exists():
        keys.write_private(path, keys.new_key().hex() + "\n")
    return keys.load_key(path)


async def run_node(options: NodeOptions) -> None:
    """Run until SIGINT or SIGTERM.

    Raises:
        ChainError, GenesisError, ConsensusError, OSError: what prevents the start.
        ExecutorFault: the executor broke; the node has stopped.
    """
    stop = _stop_event()
    async with _running(options) as (service, executor):
        consensus = asyncio.create_task(service.run())
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait(
            (consensus, stopped, executor.failed), return_when=asyncio.FIRST_COMPLETED
        )
        stopped.cancel()
        if executor.failed.done() and not stop.is_set():
            consensus.cancel()
            raise executor.failed.result()
        if consensus.done():
            consensus.result()
            raise ExecutorFault("consensus ended without a fault")
        consensus.cancel()
        log.info("stopping")


async def serve_chain(options: NodeOptions) -> None:
    """Serve the database of ``options.datadir`` without consensus and peers, until a signal.

    Blocks come from ``assay import`` alone, also while this runs. A folder without a database gets
    the genesis block.

    Raises:
        ChainError, GenesisError, OSError: what prevents the start.
    """
    stop = _stop_event()
    spec = parse_genesis(options.genesis.read_bytes())
    async with AsyncExitStack() as stack:
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
        runner = await start_server(create_app(context), options.http_host, options.http_port)
        stack.push_async_callback(runner.cleanup)
        log.info("JSON-RPC on http://%s:%d", options.http_host, options.http_port)
        log.info("chain %d without consensus, block %d", spec.chain_id, head.number)
        following = asyncio.create_task(follower.run())
        stack.callback(following.cancel)
        stopped = asyncio.create_task(stop.wait())
        await reader.warm_up()
        await asyncio.wait((following, stopped), return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if following.done():
            following.result()
        log.info("stopping")


def _stop_event() -> asyncio.Event:
    """An event that SIGINT and SIGTERM set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


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
    options: NodeOptions,
) -> AsyncIterator[tuple[ConsensusService, ExecutorClient]]:
    """Everything started in order; left in reverse."""
    spec = parse_genesis(options.genesis.read_bytes())
    _ = spec.qbft  # GenesisError on a chain with Ethereum's own rules
    async with AsyncExitStack() as stack:
        executor = await ExecutorClient.start(options.datadir, options.genesis, options.history)
        stack.push_async_callback(executor.close)
        reader = await ReaderClient.start(options.datadir, options.genesis, options.readers)
        stack.push_async_callback(reader.close)
        store = stack.enter_context(Store(options.datadir / "chain", readonly=True))
        feed = HeadFeed()
        stack.callback(feed.close)
        head = store.head()
        mempool = Mempool(spec, head, store.state(head))
        chain = LocalChain(spec, store, executor, mempool, feed)
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
        runner = await start_server(create_app(context), options.http_host, options.http_port)
        stack.push_async_callback(runner.cleanup)
        log.info("JSON-RPC on http://%s:%d", options.http_host, options.http_port)
        await executor.ready()
        blocks = asyncio.create_task(_log_blocks(feed))
        stack.callback(blocks.cancel)
        await service.start()
        log.info(
            "node 0x%s on %s, chain %d, block %d",
            service.address.hex(), context.endpoint, spec.chain_id, store.head().number,
        )  # fmt: skip
        await reader.warm_up()
        yield service, executor


async def _log_blocks(feed: HeadFeed) -> None:
    """One line per block."""
    async for committed in feed.follow():
        header = committed.header
        log.info(
            "Imported block number=%d hash=0x%s txs=%d mgas=%.3f",
            header.number,
            header.hash.hex()[:16],
            len(committed.transactions),
            header.gas_used / 1e6,
        )


def _settings(options: NodeOptions) -> ServiceSettings:
    return ServiceSettings(
        node_key=options.node_key,
        folder=options.datadir / "consensus",
        listen_host=options.p2p_host,
        listen_port=options.p2p_port,
        static_peers=options.peers,
        client=CLIENT_VERSION,
        max_peers=options.max_peers,
    )
