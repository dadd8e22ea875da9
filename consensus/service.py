"""Consensus of one node: network, gossip, sync and engine wired together.

The composition root opens store, executor and mempool, makes one ``ConsensusService``, and awaits
``run``: it returns only by cancellation or with the fault that must stop the node.
"""

import asyncio
import functools
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from chain.extra_data import commit_digest
from chain.requests import Committed
from chain.transactions import Transaction, decode_transaction
from consensus.codec import Domain, decode_message
from consensus.core.messages import Code as VoteCode
from consensus.core.types import Config, quorum
from consensus.engine import Engine
from consensus.errors import MessageError, UnknownSender
from consensus.local_chain import LocalChain
from consensus.network.discovery import DiscoverySettings
from consensus.network.identity import Network, PeerAddress, create_identity
from consensus.network.limits import Penalty
from consensus.network.peer import Peer, Rates
from consensus.network.pool import Pool, PoolSettings
from consensus.network.sync import Syncer
from consensus.network.transactions import TransactionGossip
from consensus.network.votes import VoteGossip
from consensus.network.wire import (
    CONSENSUS_CODES,
    TRANSACTION_CODES,
    Code,
    Status,
    encode_status,
)
from consensus.signer import Signer
from consensus.view import PeerView, SyncView
from consensus.voter import Voter
from consensus.wal import Journal

log = logging.getLogger(__name__)

DIGESTS_REMEMBERED = 32
YOUNG_CHAIN = 16
"""Up to this height validators still start for the first time; none of them has to abstain."""
NEVER = 1 << 64
"""Above every height."""


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """How one node takes part.

    Attributes:
        node_key: 32-byte secp256k1 key: node id, and validator if its address is in the set.
        folder: signer file and journal; only one process may use it.
        listen_host: address to listen on; None dials only.
        listen_port: 0 picks a free port (``ConsensusService.port``).
        static_peers: dialled for ever; this node's own address may be among them.
        discovery: bootnodes, advertised addresses, and whether private ones are exchanged.
        client: name and version told to peers.
        max_peers: strangers are refused above it.
        rates: what one peer may send.
        first_contact_seconds: how long to wait at the start for validators to say where they stand.
    """

    node_key: bytes = field(repr=False)
    folder: Path
    listen_host: str | None = "127.0.0.1"
    listen_port: int = 0
    static_peers: tuple[PeerAddress, ...] = ()
    client: str = "assay"
    max_peers: int = 50
    rates: Rates = field(default_factory=Rates)
    first_contact_seconds: float = 3.0
    discovery: DiscoverySettings = field(default_factory=DiscoverySettings)


class ConsensusService:
    """A running node's consensus; satisfies ``ConsensusView``.

    Args:
        settings: of this node.
        chain: head and executor.
        on_transaction: told about every transaction that enters the mempool.

    Raises:
        SignerError, JournalError: key or journal cannot be used.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        chain: LocalChain,
        on_transaction: Callable[[Transaction], None] = lambda _: None,
    ) -> None:
        spec = chain.spec
        genesis_hash = chain.genesis_hash
        version = spec.qbft.protocol_version
        self._settings = settings
        self._chain = chain
        self._on_transaction = on_transaction
        self._domain = Domain(version, spec.chain_id, genesis_hash)
        self._signer = Signer(settings.folder / "signer.json", settings.node_key, self._domain)
        try:
            address = self._signer.address
            self._journal = Journal(settings.folder / "journal", self._domain, address)
        except BaseException:
            self._signer.close()
            raise
        self._address = address
        config = Config(
            address=address,
            commit_digest=functools.lru_cache(DIGESTS_REMEMBERED)(commit_digest),
            base_timeout_ms=spec.qbft.request_timeout_ms,
            timeout_cap_ms=spec.qbft.request_timeout_cap_ms,
        )
        voter = Voter(self._signer, self._journal)
        empty = spec.qbft.empty_blocks
        self._engine = Engine(config, chain, voter, self, empty_blocks=empty)
        self._pool = Pool(self._pool_settings(Network(version, spec.chain_id, genesis_hash)), self)
        penalize = self._pool.penalize
        self._votes = VoteGossip(self._pool)
        self._syncer = Syncer(self._pool.peers, chain, penalize, self._on_caught_up)
        self._transactions = TransactionGossip(
            self._pool.peers, chain.mempool, penalize, self._on_added
        )
        chain.on_head = self._on_head
        self._first_vote = NEVER
        self._patience: asyncio.TimerHandle | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._news = asyncio.Event()

    async def start(self) -> None:
        """Listen, dial, and follow the chain in background tasks; OSError when the port is taken.

        Await ``run`` afterwards: faults surface there.
        """
        await self._pool.start()
        for work in (self._engine.run(), self._follow(), self._transactions.run()):
            self._tasks.append(asyncio.create_task(work))

    async def run(self) -> None:
        """Wait until a part fails and raise its fault; the node must stop then."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def close(self) -> None:
        """Stop voting, say goodbye to peers, release key and journal."""
        if self._patience is not None:
            self._patience.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._pool.close()
        self._journal.close()
        self._signer.close()

    async def submit(self, raw: bytes) -> bytes:
        """Take a raw transaction from a client; returns its hash.

        Raises:
            InvalidTransaction: and nothing has changed.
        """
        transaction = decode_transaction(raw)
        self._chain.mempool.add(transaction)
        self._transactions.announce(transaction.hash)
        self._on_added(transaction)
        return transaction.hash

    # What the rest of the node may see (ConsensusView).

    @property
    def port(self) -> int:
        """Port that the network listens on."""
        return self._pool.port

    @property
    def address(self) -> bytes:
        """Node id and validator address, 20 bytes."""
        return self._address

    @property
    def validators(self) -> tuple[bytes, ...]:
        """Set that decides the next block."""
        return self._chain.validators

    @property
    def height(self) -> int:
        """Height being decided."""
        return self._engine.view.height

    @property
    def round(self) -> int:
        """Round of that height."""
        return self._engine.view.round

    @property
    def voting(self) -> bool:
        """True when this node is a validator and takes part."""
        return self._engine.view.voting

    @property
    def execution_seconds(self) -> float:
        """How long the newest proposal took to execute."""
        return self._engine.view.execution_seconds

    @property
    def syncing(self) -> SyncView | None:
        """The catch-up under way."""
        return self._syncer.progress

    @property
    def diverged(self) -> bool:
        """True when a quorum decided a block that this node finds invalid."""
        return self._chain.diverged

    @property
    def peers(self) -> tuple[PeerView, ...]:
        """Connected peers in order of node id."""
        return tuple(_view(peer) for _, peer in sorted(self._pool.peers.items()))

    @property
    def connections(self) -> Mapping[bytes, Peer]:
        """Connected peers by node id, live."""
        return self._pool.peers

    @property
    def own_messages(self) -> tuple[tuple[VoteCode, bytes], ...]:
        """What this node has said about the height being decided."""
        return self._engine.own_messages

    # What the network reports (PeerHandler).

    def on_connect(self, peer: Peer) -> None:
        """Tell a new peer where we stand, what we said at this height, and what waits."""
        peer.send(Code.STATUS, self._status())
        for code, body in self.own_messages:
            peer.send(Code(code), body)
        self._transactions.on_connect(peer)

    async def on_frame(self, peer: Peer, code: Code, body: bytes) -> None:
        """Sort a frame to its room."""
        if code in CONSENSUS_CODES:
            self._on_vote(peer, code, body)
        elif code in TRANSACTION_CODES:
            await self._transactions.on_frame(peer, code, body)
        else:
            await self._syncer.on_frame(peer, code, body)
            self._news.set()

    def on_disconnect(self, peer: Peer) -> None:
        """Forget what was asked of it."""
        self._transactions.on_disconnect(peer)
        self._syncer.on_disconnect(peer)

    # What the engine says (Outlet).

    def push(self, code: VoteCode, body: bytes) -> None:
        """Send an own message to everybody."""
        self._votes.push(Code(code), body, self._address)

    def request_blocks(self, author: bytes, height: int) -> None:
        """``author`` has the block at ``height``, which we lack."""
        self._syncer.claimed(author, height)

    def offer_block(self, author: bytes, height: int) -> None:
        """Send ``author`` the sealed block at ``height``."""
        self._syncer.offer(author, height)

    def misbehaved(self, author: bytes, reason: str) -> None:
        """Score the author if it is connected."""
        log.warning("0x%s: %s", author.hex(), reason)
        peer = self._pool.peers.get(author)
        if peer is not None:
            self._pool.penalize(peer, Penalty.SPAM, reason)

    def _on_vote(self, peer: Peer, code: Code, body: bytes) -> None:
        if self._votes.is_echo(peer, code, body):
            return
        try:
            message = decode_message(code, body, self._domain, self._is_validator)
        except UnknownSender as error:
            log.debug("%s of %s: %s", code.name, peer.name, error)
            return
        except MessageError as error:
            self._pool.penalize(peer, Penalty.BAD_SIGNATURE, f"{code.name}: {error}")
            return
        self._votes.relay(peer, code, body, message.signed.author)
        self._engine.receive(message)

    def _on_added(self, transaction: Transaction) -> None:
        self._engine.on_transaction()
        self._on_transaction(transaction)

    def _on_head(self, committed: Committed, last: bool) -> None:
        self._engine.on_head(voting=last and self._may_vote())
        self._transactions.on_head()
        if last:
            self._pool.broadcast(Code.STATUS, self._status())

    def _may_vote(self) -> bool:
        """False until the node knows where the others stand."""
        return self._chain.height + 1 >= self._first_vote

    def _on_caught_up(self) -> None:
        if self._may_vote():
            self._engine.begin()

    async def _follow(self) -> None:
        """Hear where the others stand, catch up, then vote and keep following."""
        try:
            async with asyncio.timeout(self._settings.first_contact_seconds):
                while not self._heard_enough():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            log.info("starting with %d peers at block %d", len(self.peers), self._chain.height)
        start = self._chain.height
        await self._syncer.catch_up()
        if self._signer.last is None and self._chain.height > max(start, YOUNG_CHAIN):
            self._abstain()
        else:
            self._vote_from_now()
        await self._syncer.run()

    def _abstain(self) -> None:
        """Let one block pass: a node whose files were wiped may have voted on this one before."""
        self._first_vote = self._chain.height + 2
        seconds = 2 * self._chain.spec.qbft.request_timeout_ms / 1000
        log.info("this key has no signing history here: first vote at block %d", self._first_vote)
        self._engine.on_head(voting=False)
        loop = asyncio.get_running_loop()
        self._patience = loop.call_later(seconds, self._vote_from_now)

    def _vote_from_now(self) -> None:
        self._first_vote = 0
        self._engine.begin()

    def _heard_enough(self) -> bool:
        """Whether enough validators told their height to decide a block with us."""
        others = [item for item in self.validators if item != self._address]
        told = sum(1 for item in others if _has_status(self._pool.peers.get(item)))
        return told >= min(len(others), quorum(len(self.validators)) - 1)

    def _status(self) -> bytes:
        head = self._chain.head
        return encode_status(Status(head.number, head.hash))

    def _is_validator(self, address: bytes) -> bool:
        return address in self._chain.validators

    def _pool_settings(self, network: Network) -> PoolSettings:
        settings = self._settings
        return PoolSettings(
            identity=create_identity(settings.node_key),
            network=network,
            listen_host=settings.listen_host,
            listen_port=settings.listen_port,
            static_peers=settings.static_peers,
            client=settings.client,
            max_peers=settings.max_peers,
            rates=settings.rates,
            is_validator=self._is_validator,
            discovery=replace(settings.discovery, file=settings.folder / "peers"),
        )


def _has_status(peer: Peer | None) -> bool:
    return peer is not None and peer.status is not None


def _view(peer: Peer) -> PeerView:
    status = peer.status
    return PeerView(
        node_id=peer.node_id,
        address=peer.address,
        outbound=peer.outbound,
        client=peer.client,
        height=None if status is None else status.height,
        head_hash=None if status is None else status.head_hash,
        connected_at=peer.connected_at,
    )
