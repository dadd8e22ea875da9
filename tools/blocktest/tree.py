"""A chain in memory that may fork, as blockchain tests demand it: every block keeps its state."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from chain.blocks import Block, decode_block
from chain.errors import InvalidBlock, UnknownParent
from chain.execution import execute_block
from chain.header import Header
from chain.transactions import Transaction, decode_transaction
from genesis.forks import Fork, ForkSchedule
from genesis.spec import GenesisSpec
from tools.blocktest.world import build_state


@dataclass(frozen=True, slots=True)
class _Entry:
    block: Block
    total_difficulty: int


class BlockTree:
    """Every valid block since the genesis, and which of them is the head.

    The head is the block with the highest total difficulty, the first of equal ones, until the
    merge; from then on the newest one.

    Args:
        spec: accounts of the genesis; ``assay`` is None.
        schedule: rules of a block by the total difficulty of its parent.
        genesis: header of block 0.
        reference: whether py-evm executes every valid block as well (slow).

    Raises:
        InvalidBlock: the genesis declares another state.
    """

    def __init__(
        self,
        spec: GenesisSpec,
        schedule: Callable[[int], ForkSchedule],
        genesis: Header,
        *,
        reference: bool = False,
    ) -> None:
        root, self._nodes = build_state(spec.alloc)
        if root != genesis.state_root:
            raise InvalidBlock(
                f"genesis state root 0x{genesis.state_root.hex()}, computed 0x{root.hex()}"
            )
        self._spec, self._schedule, self._reference = spec, schedule, reference
        self._entries = {genesis.hash: _Entry(Block(genesis, ()), genesis.difficulty)}
        self.head = genesis

    def node(self, digest: bytes) -> bytes:
        """Trie node or code of any state by keccak256; raises KeyError when absent."""
        return self._nodes[digest]

    def add(self, encoded: bytes) -> Block:
        """Execute a block on its parent, whichever that is.

        Raises:
            InvalidBlock: it breaks a rule; nothing has changed then.
            ReferenceMismatch: py-evm gives another result for the valid block.
        """
        block = decode_block(encoded, _decode_any)
        header = block.header
        parent = self._entries.get(header.parent_hash)
        if parent is None:
            raise UnknownParent(header.parent_hash)
        schedule = self._schedule(parent.total_difficulty)
        spec = replace(self._spec, schedule=schedule)
        branch = _Branch(self._nodes, self._entries, parent.block.header)
        executed = execute_block(spec, parent.block.header, block, branch)
        if self._reference:
            from chain.evm.reference import check_against_reference

            check_against_reference(spec, parent.block.header, block, branch, executed)
        self._nodes.update(executed.nodes)
        total = parent.total_difficulty + header.difficulty
        self._entries[header.hash] = _Entry(block, total)
        has_merged = schedule.fork(header.number, header.timestamp) >= Fork.PARIS
        if has_merged or total > self._entries[self.head.hash].total_difficulty:
            self.head = header
        return block


class _Branch:
    """Nodes, and the ancestors of one block; satisfies ``chain.execution.NodeSource``."""

    def __init__(
        self, nodes: Mapping[bytes, bytes], entries: Mapping[bytes, _Entry], tip: Header
    ) -> None:
        self._nodes, self._entries, self._tip = nodes, entries, tip

    def node(self, digest: bytes) -> bytes:
        """Trie node or code by keccak256; raises KeyError when absent."""
        return self._nodes[digest]

    def canonical_hash(self, number: int) -> bytes | None:
        """Hash of the ancestor at a height, None above the tip."""
        header = self._tip
        while header.number > number:
            header = self._entries[header.parent_hash].block.header
        return header.hash if header.number == number else None

    def block(self, block_hash: bytes) -> Block | None:
        """A block by hash, None when it is not here."""
        entry = self._entries.get(block_hash)
        return None if entry is None else entry.block


def _decode_any(raw: bytes) -> Transaction:
    """A transaction of any fork; the rules of its block refuse high s from Homestead on."""
    return decode_transaction(raw, homestead=False)
