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

from chain.errors import ExecutorFault
from chain.head_feed import HeadFeed
from chain.mempool import Mempool
from chain.store import Store
from chain.worker_client import ExecutorClient, ReaderClient
from consensus.local_chain import LocalChain
from consensus.network.identity import PeerAddress
from consensus.service import ConsensusService, ServiceSettings
from genesis.spec import parse_genesis
from rpc.context import NodeContext
from rpc.server import create_app, start_server
from tools import keys

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
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
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


@asynccontextmanager
async def _running(
    options: NodeOptions,
) -> AsyncIterator[tuple[ConsensusService, ExecutorClient]]:
    """Everything started in order; left in reverse."""
    spec = parse_genesis(options.genesis.read_text())
    async with AsyncExitStack() as stack:
        executor = await ExecutorClient.start(options.datadir, options.genesis)
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
