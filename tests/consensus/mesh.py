"""Whole nodes in one event loop: real stores, journals, mempools and TLS sockets.

Blocks are made by ``PlainExecutor``, which writes real blocks without transactions; the tests with
the product's executor processes are in tests/e2e.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from coincurve import PrivateKey

from chain.blocks import Block, decode_block
from chain.certificate import CommitCertificate
from chain.errors import InvalidBlock
from chain.fees import next_base_fee
from chain.genesis_block import genesis_block
from chain.head_feed import HeadFeed
from chain.header import EMPTY_TRIE_ROOT
from chain.mempool import Mempool
from chain.requests import BlockAttributes, BlockVerdict, BuiltBlock, Committed, ExecutedBlock
from chain.seals import verify_certificate
from chain.store import Store
from chain.validator_set import read_validators
from consensus.local_chain import LocalChain
from consensus.network.discovery import DiscoverySettings
from consensus.network.identity import PeerAddress, address_of_public_key
from consensus.service import ConsensusService, ServiceSettings
from genesis.predeploys import new_genesis
from genesis.spec import GenesisSpec

KEYS = [bytes([number]) * 32 for number in range(1, 9)]
ADDRESSES = [address_of_public_key(PrivateKey(key).public_key) for key in KEYS]
RICH_KEY = b"\x77" * 32
RICH = address_of_public_key(PrivateKey(RICH_KEY).public_key)
SPEEDUP = 10.0
STARTED = time.time()
PUBLIC_ONLY = DiscoverySettings()


def fast_clock() -> float:
    """A clock that runs ten times as fast, so that a period of one second is a tenth."""
    return STARTED + (time.time() - STARTED) * SPEEDUP


def spec_for(validators: int, **assay: object) -> GenesisSpec:
    options = {"request_timeout_ms": 500, "request_timeout_cap_ms": 2000, **assay}
    accounts = {RICH: 10**24}
    return new_genesis(4242, ADDRESSES[:validators], accounts, timestamp=int(STARTED), **options)


class PlainExecutor:
    """Builds, checks and writes blocks without transactions; ``refuse`` makes it a faulty one."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.refuse: Callable[[Block], str] = lambda block: ""
        self.executed: dict[bytes, Block] = {}
        self.executions = 0

    async def build(
        self, parent_hash: bytes, attributes: BlockAttributes, transactions: Sequence[bytes]
    ) -> BuiltBlock:
        parent = self.store.header(parent_hash)
        assert parent is not None
        header = replace(
            parent,
            parent_hash=parent_hash,
            coinbase=attributes.coinbase,
            transactions_root=EMPTY_TRIE_ROOT,
            number=parent.number + 1,
            timestamp=attributes.timestamp,
            extra_data=attributes.extra_data,
            mix_hash=attributes.mix_hash,
            base_fee_per_gas=next_base_fee(parent),
        )
        block = Block(header, ())
        self.executed[block.hash] = block
        return BuiltBlock(block.rlp, block.hash, 0, ())

    async def execute(self, block_rlp: bytes) -> BlockVerdict:
        await asyncio.sleep(0)
        self.executions += 1
        try:
            block = decode_block(block_rlp)
        except InvalidBlock as error:
            return BlockVerdict(False, str(error))
        reason = "" if not block.transactions else "transactions"
        reason = reason or self.refuse(block)
        if reason:
            return BlockVerdict(False, reason)
        self.executed[block.hash] = block
        return BlockVerdict(True)

    async def finalize(self, block_hash: bytes, certificate: CommitCertificate | None) -> Committed:
        block = self.executed[block_hash]
        self.store.write_block(ExecutedBlock(block, (), {}), certificate)
        self.executed = {h: b for h, b in self.executed.items() if b.number > block.number}
        return Committed(block.header, (), ())


@dataclass
class Node:
    """One running node."""

    store: Store
    executor: PlainExecutor
    chain: LocalChain
    service: ConsensusService
    supervisor: "asyncio.Task[None]"
    fault_expected: bool = False

    @property
    def address(self) -> PeerAddress:
        return PeerAddress("127.0.0.1", self.service.port, self.service.address)

    def check_chain(self) -> list[bytes]:
        """Every block proven by the set after its parent; returns their hashes."""
        hashes = []
        for number in range(1, self.store.head().number + 1):
            header = self.store.header_by_number(number)
            parent = self.store.header_by_number(number - 1)
            assert header is not None
            assert parent is not None
            certificate = self.store.certificate(header.hash)
            assert certificate is not None
            verify_certificate(header, certificate, read_validators(self.store.state(parent)))
            hashes.append(header.hash)
        return hashes


@asynccontextmanager
async def running(
    spec: GenesisSpec,
    index: int,
    folder: Path,
    peers: Sequence[PeerAddress] = (),
    port: int = 0,
    first_contact_seconds: float = 1.0,
    discovery: DiscoverySettings = PUBLIC_ONLY,
) -> AsyncIterator[Node]:
    """A node with validator key ``index`` until the block ends; faults surface at the end."""
    with Store(folder / "chain") as store:
        block, nodes = genesis_block(spec)
        store.write_genesis(block, nodes)
        mempool = Mempool(spec, store.head(), store.state(store.head()))
        executor = PlainExecutor(store)
        chain = LocalChain(spec, store, executor, mempool, HeadFeed(), fast_clock)
        settings = ServiceSettings(
            KEYS[index],
            folder,
            listen_port=port,
            static_peers=tuple(peers),
            first_contact_seconds=first_contact_seconds,
            discovery=discovery,
        )
        service = ConsensusService(settings, chain)
        await service.start()
        supervisor = asyncio.create_task(service.run())
        node = Node(store, executor, chain, service, supervisor)
        try:
            yield node
            assert supervisor.done() == node.fault_expected, supervisor
        finally:
            await service.close()
            supervisor.cancel()
            await asyncio.gather(supervisor, return_exceptions=True)


async def mesh(
    stack: AsyncExitStack,
    spec: GenesisSpec,
    folder: Path,
    indices: Sequence[int],
    discovery: DiscoverySettings = PUBLIC_ONLY,
) -> list[Node]:
    """Nodes that dial all earlier ones."""
    nodes: list[Node] = []
    for index in indices:
        peers = [node.address for node in nodes]
        context = running(spec, index, folder / str(index), peers, discovery=discovery)
        nodes.append(await stack.enter_async_context(context))
    return nodes


async def reach(nodes: Sequence[Node], height: int, seconds: float = 20.0) -> None:
    """Wait until every node's head is at ``height`` or above."""
    await until(lambda: all(node.chain.height >= height for node in nodes), seconds)


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - the conditions are not events
            await asyncio.sleep(0.01)


def run(story: Callable[[AsyncExitStack], Awaitable[None]], seconds: float = 60.0) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(seconds), AsyncExitStack() as stack:
            await story(stack)

    asyncio.run(bounded())
