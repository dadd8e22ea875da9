"""What a method may use; the composition root fills it in. No globals."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from chain.head_feed import HeadFeed
from chain.mempool import Mempool
from chain.store import Store
from chain.worker_client import ReaderClient
from consensus.view import ConsensusView
from genesis.spec import GenesisSpec
from rpc.call_queue import CallQueue
from rpc.chain_reader import ChainReader


@dataclass(frozen=True, slots=True)
class NodeContext:
    """Handles of the running node.

    Attributes:
        spec: the genesis.
        store: read-only view of the database.
        mempool: pending transactions of this process.
        reader: runs eth_call and estimates in other processes.
        submit: takes a raw transaction, adds it to the pool and announces it; returns its hash,
            raises InvalidTransaction.
        head_feed: committed blocks, after they can be read from ``store``.
        consensus: None where nobody votes (a chain that is only read).
        version: ``assay/v0.1.0/linux-x86_64/python3.11``.
        endpoint: ``host:port`` of the network listener, or the empty string.
        dev: a development chain: the methods of ``rpc.methods.dev`` exist.
        chain: cached reads over ``store``.
        calls: bounded queue before ``reader``.
    """

    spec: GenesisSpec
    store: Store
    mempool: Mempool
    reader: ReaderClient
    submit: Callable[[bytes], Awaitable[bytes]]
    head_feed: HeadFeed
    consensus: ConsensusView | None
    version: str
    endpoint: str = ""
    dev: bool = False
    chain: ChainReader = field(init=False)
    calls: CallQueue = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "chain", ChainReader(self.store))
        object.__setattr__(self, "calls", CallQueue(self.reader))
