"""What outlives a block: decoded trie nodes, codes, and flat values of one state.

Nothing here can make an execution wrong. Nodes and codes are found by their hash. Flat values
belong to the root of the trie that holds them, and are only given to who asks with that root. A
block that was executed leaves its values pending; they replace those of its parent when the first
block on top of it is executed, so two competing blocks both find their parent's values.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final, Generic, NamedTuple, TypeAlias, TypeVar

from chain.evm.generations import Generations
from chain.evm.trie import Node

Account: TypeAlias = tuple[int, int, bytes, bytes]
"""Nonce, balance in wei, storage root, code hash."""

KEPT_PENDING: Final = 16
"""Executed blocks whose values wait for a block on top."""

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class StorageChange(NamedTuple):
    """Words of one account between two storage roots.

    Attributes:
        before, after: the roots.
        words: every one that differs, by slot in 32 bytes.
    """

    before: bytes
    after: bytes
    words: dict[bytes, int]


class _View(Generic[_Key, _Value]):
    """Some of the values in the trie ``root``."""

    __slots__ = ("root", "values")

    def __init__(self, root: bytes) -> None:
        self.root = root
        self.values: dict[_Key, _Value] = {}


class _Pending(NamedTuple):
    before: bytes
    accounts: Mapping[bytes, Account | None]
    storage: Mapping[bytes, StorageChange]


class StateCache:
    """Shared by the executions of one process and thread, one after the other.

    Args:
        nodes: decoded trie nodes of a generation (at most twice as many; about 0.5 KB each).
        values: accounts and words together, about 0.3 KB each; all are dropped when there are more.
        codes: codes of a generation (at most twice as many; at most 24 KB each).
    """

    def __init__(self, nodes: int = 1 << 16, values: int = 1 << 18, codes: int = 1 << 9) -> None:
        self.nodes: Generations[bytes, Node] = Generations(nodes)
        self.codes: Generations[bytes, bytes] = Generations(codes)
        self._limit, self._count = values, 0
        self._accounts: _View[bytes, Account | None] = _View(b"")
        self._words: dict[bytes, _View[bytes, int]] = {}
        self._pending: OrderedDict[bytes, _Pending] = OrderedDict()

    def open(self, root: bytes) -> None:
        """Keep the values of the state at ``root`` from now on."""
        if self._accounts.root == root:
            return
        pending = self._pending.get(root)
        if pending is None or pending.before != self._accounts.root:
            self._accounts = _View(root)
        if pending is not None:
            self._accounts.root = root
            self._accounts.values.update(pending.accounts)
            for address, change in pending.storage.items():
                words = self._words.get(address)
                if words is None or words.root != change.before:
                    words = self._words[address] = _View(change.after)
                words.root = change.after
                words.values.update(change.words)
            self._grow(len(pending.accounts) + sum(len(c.words) for c in pending.storage.values()))
        self._pending.clear()

    def close(
        self,
        before: bytes,
        after: bytes,
        accounts: Mapping[bytes, Account | None],
        storage: Mapping[bytes, StorageChange],
    ) -> None:
        """Note what a block changed between the states ``before`` and ``after``."""
        self._pending[after] = _Pending(before, accounts, storage)
        if len(self._pending) > KEPT_PENDING:
            self._pending.popitem(last=False)

    def account(self, root: bytes, address: bytes) -> Account | None:
        """Account in the state at ``root``; KeyError when that is not known."""
        if self._accounts.root != root:
            raise KeyError(address)
        return self._accounts.values[address]

    def put_account(self, root: bytes, address: bytes, account: Account | None) -> None:
        """Remember what the state at ``root`` holds."""
        if self._accounts.root == root:
            self._accounts.values[address] = account
            self._grow(1)

    def word(self, root: bytes, address: bytes, slot: bytes) -> int | None:
        """Word in the storage trie ``root`` of an account; None when that is not known.

        A slot is 32 bytes, not an int: ints of equal hashes can be chosen, which makes a
        dictionary slow, and this one lives long.
        """
        words = self._words.get(address)
        return words.values.get(slot) if words is not None and words.root == root else None

    def put_word(self, root: bytes, address: bytes, slot: bytes, word: int) -> None:
        """Remember what the storage trie ``root`` of an account holds."""
        words = self._words.get(address)
        if words is None or words.root != root:
            words = self._words[address] = _View(root)
        words.values[slot] = word
        self._grow(1)

    def _grow(self, count: int) -> None:
        self._count += count
        if self._count <= self._limit:
            return
        self._count = len(self._accounts.values) + len(self._words)
        self._count += sum(len(words.values) for words in self._words.values())
        if self._count > self._limit // 2:
            self._accounts = _View(self._accounts.root)
            self._words = {}
            self._count = 0
