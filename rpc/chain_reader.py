"""Canonical blocks for the methods: block parameters, and a cache of decoded blocks.

Every block of this chain is final when it is committed: ``latest``, ``pending``, ``safe`` and
``finalized`` all mean the head.
"""

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Generic, ParamSpec, TypeVar

from chain.blocks import Block
from chain.header import Header
from chain.receipts import Receipt
from chain.state_reader import StateReader
from chain.store import Store
from rpc import decode
from rpc.errors import SERVER_ERROR, InvalidParams, RpcError

CACHED_BLOCKS: Final = 16
"""Receipts of one block are mostly asked for at once, by every sender; decoding takes 10 ms."""

BACKGROUND_JOBS: Final = 2
"""Scans at the same time; more would only take turns and slow the event loop."""

T = TypeVar("T")
P = ParamSpec("P")


class _Cache(Generic[T]):
    """The latest answers of a read by hash; remembers only what exists. Thread-safe."""

    def __init__(self, read: Callable[[bytes], T | None]) -> None:
        self._read = read
        self._known: OrderedDict[bytes, T] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, digest: bytes, remember: bool) -> T | None:
        with self._lock:
            if digest in self._known:
                self._known.move_to_end(digest)
                return self._known[digest]
        found = self._read(digest)
        if found is not None and remember:
            with self._lock:
                self._known[digest] = found
                if len(self._known) > CACHED_BLOCKS:
                    self._known.popitem(last=False)
        return found


class ChainReader:
    """Reads of one store; may be used from several threads."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._blocks = _Cache(store.block)
        self._receipts = _Cache(store.receipts)
        self._background = asyncio.Semaphore(BACKGROUND_JOBS)

    async def background(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a long read in a thread; it waits while `BACKGROUND_JOBS` others run."""
        async with self._background:
            return await asyncio.to_thread(function, *args, **kwargs)

    def head(self) -> Header:
        """Header of the newest block."""
        return self.store.head()

    def header(self, tag: int | str) -> Header | None:
        """Header of a number or tag (`decode.block_tag`); None beyond the head."""
        if tag == "earliest":
            tag = 0
        return self.store.head() if isinstance(tag, str) else self.store.header_by_number(tag)

    def number(self, tag: int | str) -> int:
        """The height that a number or tag means; numbers beyond the head are given back."""
        if isinstance(tag, int):
            return tag
        return 0 if tag == "earliest" else self.store.head().number

    def block(self, block_hash: bytes, remember: bool = True) -> Block | None:
        """Block by hash; None when unknown.

        Args:
            block_hash: 32 bytes.
            remember: False for scans of many blocks, which would only wash the cache out.
        """
        return self._blocks.get(block_hash, remember)

    def receipts(self, block_hash: bytes, remember: bool = True) -> tuple[Receipt, ...] | None:
        """Receipts of a block in order; None when unknown."""
        return self._receipts.get(block_hash, remember)

    def executed(
        self, block_hash: bytes, remember: bool = True
    ) -> tuple[Block, tuple[Receipt, ...]] | None:
        """Block and receipts; None when unknown."""
        block, receipts = self.block(block_hash, remember), self.receipts(block_hash, remember)
        return None if block is None or receipts is None else (block, receipts)

    def state(self, header: Header) -> StateReader:
        """State after a block."""
        return self.store.state(header)

    def find(self, value: object) -> Header | None:
        """Header that a block parameter names: number, tag, block hash, or EIP-1898's object.

        Raises:
            InvalidParams: malformed.
        """
        if isinstance(value, dict):
            if ("blockHash" in value) == ("blockNumber" in value):
                raise InvalidParams("give either blockHash or blockNumber")
            if "blockHash" in value:
                return self.store.header(decode.hash32(value["blockHash"]))
            value = value["blockNumber"]
        if isinstance(value, str) and len(value) == 66:
            return self.store.header(decode.hash32(value))
        return self.header(decode.block_tag(value))

    def header_argument(self, params: decode.Params, index: int) -> Header:
        """Header of the block that a state query names; absent means the head.

        Raises:
            RpcError: geth's ``header not found``; malformed parameters.
        """
        header = decode.argument(params, index, self.find, None)
        if header is not None:
            return header
        if index < len(params) and params[index] is not None:
            raise RpcError(SERVER_ERROR, "header not found")
        return self.head()
