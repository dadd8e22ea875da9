"""The local chain as consensus uses it: one head, moved by the engine or by sync, never by both.

Blocks are built, executed and written by the executor process; this module decides what may be
written: a block on top of the head with the seals of a quorum of the set after its parent.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from chain.blocks import decode_block
from chain.certificate import CommitCertificate, decode_certificate
from chain.errors import InvalidBlock, UnknownParent
from chain.extra_data import chain_extra_data
from chain.fees import next_base_fee
from chain.head_feed import HeadFeed
from chain.header import Header, decode_header
from chain.mempool import Mempool
from chain.receipts import transactions_root
from chain.requests import BlockAttributes, BlockVerdict, BuiltBlock, Committed
from chain.seals import verify_certificate
from chain.store import Store
from chain.transactions import Transaction
from chain.validation import next_mix_hash
from chain.validator_set import read_validators
from consensus.codec import header_part, proposed_block
from consensus.core.types import ProposedBlock
from consensus.network.wire import SealedBlock
from genesis.spec import GenesisSpec

log = logging.getLogger(__name__)

VANITY = b"assay"


class Executor(Protocol):
    """The executor process (``chain.worker_client.ExecutorClient``)."""

    async def build(
        self, parent_hash: bytes, attributes: BlockAttributes, transactions: Sequence[bytes]
    ) -> BuiltBlock:
        """A block on the parent."""

    async def execute(self, block_rlp: bytes) -> BlockVerdict:
        """Whether a block follows every rule."""

    async def finalize(self, block_hash: bytes, certificate: CommitCertificate | None) -> Committed:
        """Write a block that was built or executed."""


@dataclass(frozen=True, slots=True)
class Divergence:
    """A block that a quorum decided and this node finds invalid.

    Attributes:
        height, block_hash: of the block.
        reason: the field that differs, with both values.
        evidence: file with the block and our receipts; empty when there is none.
    """

    height: int
    block_hash: bytes
    reason: str
    evidence: str


class LocalChain:
    """Head, validators and mempool of one node.

    Args:
        spec: of the chain.
        store: read-only view of the executor's database, with the genesis block in it.
        executor: the only one that writes.
        mempool: told about every new head.
        feed: told about every committed block, after it is on disk and readable.
        clock: Unix time in seconds.

    Attributes:
        genesis_hash: of block 0.
        head: newest final header.
        validators: set that decides the next block, sorted.
        divergence: why this node cannot follow the chain any more, else None.
        on_head: called after every commit with the block and whether it is the last one known.
    """

    def __init__(
        self,
        spec: GenesisSpec,
        store: Store,
        executor: Executor,
        mempool: Mempool,
        feed: HeadFeed,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.spec = spec
        self.mempool = mempool
        self.clock = clock
        self.genesis_hash = store.genesis_hash()
        self.head: Header = store.head()
        self.validators = read_validators(store.state(self.head))
        self.divergence: Divergence | None = None
        self.on_head: Callable[[Committed, bool], None] = lambda committed, last: None
        self._store = store
        self._executor = executor
        self._feed = feed
        self._moving = asyncio.Lock()

    @property
    def height(self) -> int:
        """Height of the head."""
        return self.head.number

    @property
    def diverged(self) -> bool:
        """True when a quorum decided a block that this node finds invalid."""
        return self.divergence is not None

    @property
    def next_timestamp(self) -> int:
        """Earliest timestamp of the next block, Unix seconds."""
        return self.head.timestamp + self.spec.qbft.block_period_seconds

    def has_transactions(self) -> bool:
        """Whether a block built now would not be empty."""
        return bool(self._select(1))

    def canonical_hash(self, height: int) -> bytes | None:
        """Hash of the final block at a height; None above the head."""
        return self._store.canonical_hash(height)

    def sealed_block(self, height: int) -> SealedBlock | None:
        """A block of the chain with its certificate; None for genesis and above the head."""
        block_hash = self._store.canonical_hash(height) if 0 < height <= self.height else None
        if block_hash is None:
            return None
        block, certificate = (
            self._store.encoded_block(block_hash),
            self._store.certificate(block_hash),
        )
        if block is None or certificate is None:
            return None
        return SealedBlock(block, certificate.rlp)

    async def build(self, coinbase: bytes) -> ProposedBlock:
        """Build the next block from the mempool; what can never be mined leaves the mempool."""
        parent = self.head
        timestamp = max(self.next_timestamp, int(self.clock()))
        attributes = BlockAttributes(
            timestamp=timestamp,
            coinbase=coinbase,
            mix_hash=next_mix_hash(parent),
            extra_data=chain_extra_data(VANITY),
            gas_limit=parent.gas_limit,
        )
        transactions = [transaction.raw for transaction in self._select(4096)]
        built = await self._executor.build(parent.hash, attributes, transactions)
        for transaction_hash, reason in built.rejected:
            log.info("dropped transaction 0x%s: %s", transaction_hash.hex(), reason)
            self.mempool.discard(transaction_hash)
        return proposed_block(built.block_rlp)

    async def validate(self, block: ProposedBlock) -> BlockVerdict:
        """Execute a proposed block; its timestamp against the clock is the caller's affair."""
        return await self._executor.execute(block.encoded)

    async def commit(self, block: ProposedBlock, certificate: CommitCertificate) -> None:
        """Write a block that was built or validated here; nothing if sync was faster."""
        async with self._moving:
            if block.height == self.height + 1:
                block_hash = _header_of(block.encoded).hash
                self._advance(await self._executor.finalize(block_hash, certificate), last=True)

    async def import_sealed(self, sealed: SealedBlock, *, last: bool) -> None:
        """Prove, execute and write the block after the head; one that is there already is fine.

        Args:
            sealed: from a peer.
            last: no further block is known; handed to ``on_head``.

        Raises:
            UnknownParent: it does not follow the head.
            InvalidBlock: the sender's fault: malformed, unproven, or a body that is not its own.
        """
        header = _header_of(sealed.block)
        certificate = decode_certificate(sealed.certificate)
        async with self._moving:
            if header.number <= self.height:
                self._must_be_ours(header)
                return
            if header.number != self.height + 1:
                raise UnknownParent(header.parent_hash)
            verify_certificate(header, certificate, self.validators)
            if header.parent_hash != self.head.hash:
                self._diverge(header, BlockVerdict(False, _other_parent(header, self.head)))
                return
            verdict = await self._executor.execute(sealed.block)
            if verdict.valid:
                committed = await self._executor.finalize(header.hash, certificate)
                self._advance(committed, last=last)
                return
            await asyncio.to_thread(check_body, sealed.block)  # hostile ones take seconds
            self._diverge(header, verdict)

    def decided_against_us(self, block: ProposedBlock, verdict: BlockVerdict) -> None:
        """A quorum decided a proposal that ``validate`` found invalid.

        If only the body that we were sent does not belong to the header, its proposer deceived us:
        sync fetches the right one. Otherwise this node has diverged.
        """
        try:
            check_body(block.encoded)
        except InvalidBlock as error:
            log.warning("block %d came with a wrong body: %s", block.height, error)
            return
        self._diverge(_header_of(block.encoded), verdict)

    def _advance(self, committed: Committed, *, last: bool) -> None:
        header = committed.header
        state = self._store.state(header)
        self.head = header
        self.validators = read_validators(state)
        self.mempool.set_head(header, state, committed.transactions)
        self._feed.publish(committed)
        self.on_head(committed, last)

    def _diverge(self, header: Header, verdict: BlockVerdict) -> None:
        self.divergence = Divergence(header.number, header.hash, verdict.reason, verdict.evidence)
        log.critical(
            "DIVERGED at block %d 0x%s: a quorum of validators finalised it, this node finds it "
            "invalid: %s. This node does not vote any more and stays at block %d.%s Compare the "
            "evidence with another node's receipts; a wrong CPU, memory or program is the likely "
            "cause.",
            header.number,
            header.hash.hex(),
            verdict.reason,
            self.height,
            f" Evidence: {verdict.evidence}." if verdict.evidence else "",
        )

    def _must_be_ours(self, header: Header) -> None:
        ours = self._store.canonical_hash(header.number)
        if ours is not None and ours != header.hash:
            raise InvalidBlock(
                f"block {header.number} is 0x{header.hash.hex()}, final here is 0x{ours.hex()}"
            )

    def _select(self, limit: int) -> list[Transaction]:
        return self.mempool.select(next_base_fee(self.head), self.head.gas_limit, limit)


def check_body(encoded: bytes) -> None:
    """Check that the transactions of a block are those that its header names.

    Raises:
        InvalidBlock: malformed, or another transactions root, with both.
    """
    block = decode_block(encoded)
    if block.withdrawals:
        raise InvalidBlock(f"{len(block.withdrawals)} withdrawals; this chain has none")
    if block.ommers:
        raise InvalidBlock(f"{len(block.ommers)} ommers; this chain has none")
    root = transactions_root([transaction.raw for transaction in block.transactions])
    if root != block.header.transactions_root:
        raise InvalidBlock(
            f"transactions_root 0x{block.header.transactions_root.hex()}, the body's is "
            f"0x{root.hex()}"
        )


def _header_of(encoded: bytes) -> Header:
    return decode_header(header_part(encoded))


def _other_parent(header: Header, head: Header) -> str:
    return (
        f"parent_hash 0x{header.parent_hash.hex()}, our block {head.number} is 0x{head.hash.hex()}"
    )
