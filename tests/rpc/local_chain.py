"""One node for tests of the RPC: real executor, reader, database and pool, no network.

Its only validator seals every block at once. Transactions are mined on demand, with timestamps that
may run ahead of the clock. It runs in a thread of its own, so that blocking clients can talk to it.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from coincurve import PrivateKey
from eth_account import Account
from eth_account.signers.local import LocalAccount

from chain.blocks import decode_block
from chain.certificate import CommitCertificate
from chain.extra_data import chain_extra_data, commit_hash
from chain.head_feed import HeadFeed
from chain.header import Header
from chain.mempool import Mempool
from chain.requests import BlockAttributes, BuiltBlock, Committed
from chain.store import Store
from chain.transactions import decode_transaction
from chain.worker_client import ExecutorClient, ReaderClient
from genesis.predeploys import new_genesis
from genesis.spec import GenesisSpec, format_genesis
from precompiles.hashing import keccak256
from rpc.context import NodeContext
from rpc.server import create_app, start_server

CHAIN_ID = 31337
ETHER = 10**18
ACCOUNTS: list[LocalAccount] = [
    Account.from_key(keccak256(b"rpc test account %d" % i)) for i in range(4)
]
VALIDATOR_KEY = PrivateKey(keccak256(b"rpc test validator"))
VALIDATOR = keccak256(VALIDATOR_KEY.public_key.format(compressed=False)[1:])[12:]


@dataclass(frozen=True, slots=True)
class LocalChain:
    """Where the node listens, and handles for tests that look inside.

    Attributes:
        url, ws_url: of the JSON-RPC server.
        node: what the methods use.
        loop: in which the node runs.
        mining: cleared to let transactions wait in the pool.
        stopping: set to end the node.
    """

    url: str
    ws_url: str
    node: NodeContext
    loop: asyncio.AbstractEventLoop
    mining: asyncio.Event
    stopping: asyncio.Event

    def pause(self) -> None:
        """Stop mining until `resume`."""
        self.loop.call_soon_threadsafe(self.mining.clear)

    def resume(self) -> None:
        """Mine on demand."""
        self.loop.call_soon_threadsafe(self.mining.set)

    def stop(self) -> None:
        """End the node."""
        self.loop.call_soon_threadsafe(self.stopping.set)


@contextmanager
def local_chain(folder: Path, chain_id: int = CHAIN_ID) -> Iterator[LocalChain]:
    """Start a node in a thread; stop it at the end."""
    started: list[LocalChain] = []
    failures: list[BaseException] = []
    ready = threading.Event()

    def main() -> None:
        try:
            asyncio.run(_run(folder, chain_id, started, ready))
        except BaseException as error:
            failures.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=main, name="local chain")
    thread.start()
    try:
        assert ready.wait(120)
        if not failures:
            yield started[0]
    finally:
        if started and thread.is_alive():
            started[0].stop()
        thread.join(60)
    if failures:
        raise failures[0]


async def _run(
    folder: Path, chain_id: int, started: list[LocalChain], ready: threading.Event
) -> None:
    spec = new_genesis(
        chain_id=chain_id,
        validators=[VALIDATOR],
        accounts={bytes.fromhex(a.address[2:]): 10_000 * ETHER for a in ACCOUNTS},
        timestamp=1_700_000_000,
    )
    genesis = folder / "genesis.json"
    genesis.write_text(format_genesis(spec))
    executor = await ExecutorClient.start(folder, genesis)
    reader = await ReaderClient.start(folder, genesis)
    store = Store(folder / "chain", readonly=True)
    feed, news, mining, stopping = HeadFeed(), asyncio.Event(), asyncio.Event(), asyncio.Event()
    mining.set()
    pool = Mempool(spec, store.head(), store.state(store.head()))

    async def submit(raw: bytes) -> bytes:
        transaction = decode_transaction(raw)
        pool.add(transaction)
        news.set()
        return transaction.hash

    version = "assay/v0.1.0/test"
    node = NodeContext(spec, store, pool, reader, submit, feed, None, version)
    runner = await start_server(create_app(node), "127.0.0.1", 0)
    port = runner.addresses[0][1]
    miner = asyncio.create_task(_mine(node, executor, news, mining))
    try:
        await executor.ready()
        await reader.warm_up()
        started.append(
            LocalChain(
                f"http://127.0.0.1:{port}",
                f"ws://127.0.0.1:{port}",
                node,
                asyncio.get_running_loop(),
                mining,
                stopping,
            )
        )
        ready.set()
        stopped = asyncio.create_task(stopping.wait())
        await asyncio.wait((stopped, miner), return_when=asyncio.FIRST_COMPLETED)
        if miner.done():
            miner.result()
    finally:
        miner.cancel()
        await asyncio.gather(miner, return_exceptions=True)
        await runner.cleanup()
        await reader.close()
        await executor.close()
        store.close()


async def _mine(
    node: NodeContext, executor: ExecutorClient, news: asyncio.Event, mining: asyncio.Event
) -> None:
    while True:
        await news.wait()
        news.clear()
        await mining.wait()
        while committed := await _mine_block(node, executor):
            node.mempool.set_head(
                committed.header, node.store.state(committed.header), committed.transactions
            )
            node.head_feed.publish(committed)


async def _mine_block(node: NodeContext, executor: ExecutorClient) -> Committed | None:
    head = node.store.head()
    attributes = block_attributes(node.spec, head)
    waiting = node.mempool.select(head.base_fee_per_gas, head.gas_limit)
    if not waiting:
        return None
    built = await executor.build(head.hash, attributes, [tx.raw for tx in waiting])
    for tx_hash, _ in built.rejected:
        node.mempool.discard(tx_hash)
    return await executor.finalize(built.hash, _certificate(built))


def _certificate(built: BuiltBlock) -> CommitCertificate:
    """The seal of the only validator."""
    header = decode_block(built.block_rlp).header
    seal = VALIDATOR_KEY.sign_recoverable(commit_hash(header, 0), hasher=None)
    return CommitCertificate(0, (seal,))


def block_attributes(spec: GenesisSpec, head: Header) -> BlockAttributes:
    """Attributes of the block after ``head``, as a proposer would choose them."""
    height = head.number + 1
    return BlockAttributes(
        timestamp=head.timestamp + spec.qbft.block_period_seconds,
        coinbase=VALIDATOR,
        mix_hash=keccak256(head.mix_hash + height.to_bytes(32, "big")),
        extra_data=chain_extra_data(),
        gas_limit=head.gas_limit,
    )
