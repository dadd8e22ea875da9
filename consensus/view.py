"""What the rest of the node may see of consensus: plain values, read at any time."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class PeerView:
    """One connected peer.

    Attributes:
        node_id: 20 bytes.
        address: host:port dialled, or the host that dialled us.
        outbound: True when this node dialled.
        client: the peer's name and version.
        height, head_hash: of its newest STATUS; None before the first.
        connected_at: Unix time in seconds.
    """

    node_id: bytes
    address: str
    outbound: bool
    client: str
    height: int | None
    head_hash: bytes | None
    connected_at: float


@dataclass(frozen=True, slots=True)
class SyncView:
    """A catch-up under way: heights where it began, where it is, and the best known one."""

    starting: int
    current: int
    highest: int


class ConsensusView(Protocol):
    """Live state of consensus; every attribute is a snapshot."""

    @property
    def address(self) -> bytes:
        """This node's address: node id, and validator if it is in the set."""

    @property
    def validators(self) -> tuple[bytes, ...]:
        """Set that decides the next block, sorted ascending."""

    @property
    def height(self) -> int:
        """Height being decided: head + 1."""

    @property
    def round(self) -> int:
        """Round of that height."""

    @property
    def peers(self) -> tuple[PeerView, ...]:
        """Connected peers in order of node id."""

    @property
    def syncing(self) -> SyncView | None:
        """The catch-up under way, None when this node follows the head."""

    @property
    def diverged(self) -> bool:
        """True when a quorum decided a block that this node finds invalid."""

    @property
    def voting(self) -> bool:
        """True when this node is a validator and takes part."""
