"""The tries under a state root: what the world state reads from them and writes back.

Every write tells which stored nodes and codes gained and lost a place in the state, so that a store
can count how often each occurs (``StateChange``).
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

from chain import rlp
from chain.errors import ExecutorFault
from chain.evm.state_cache import Account, StateCache, StorageChange
from chain.evm.trie import TrieNodes
from chain.header import EMPTY_TRIE_ROOT
from precompiles.hashing import EMPTY_HASH, keccak256


class StateChange(NamedTuple):
    """From one state to another.

    Attributes:
        root: of the later state.
        nodes: trie nodes and codes of ``added``, by keccak256.
        added: how many more times a node or code occurs in the later state, by keccak256; only what
            occurs more often. Accounts with equal storage or code hold all of it once each.
        removed: the same for what occurs less often; nothing is in both.
    """

    root: bytes
    nodes: dict[bytes, bytes]
    added: dict[bytes, int]
    removed: dict[bytes, int]


class StateTries:
    """Account trie, storage tries and codes.

    Args:
        node: trie node or code by keccak256; raises KeyError when absent.
        root: 32-byte root of the account trie.
        cache: of the process; None reads everything from ``node``.

    Attributes:
        root: of the account trie after the last ``write_accounts``.

    Methods raise ExecutorFault when the source lacks a node or holds a damaged one.
    """

    def __init__(
        self, node: Callable[[bytes], bytes], root: bytes, cache: StateCache | None = None
    ) -> None:
        self.root = self._before = root
        self._node = node
        self._cache = cache
        self._tries = TrieNodes(node, None if cache is None else cache.nodes)
        self._codes: dict[bytes, bytes] = {}
        self._accounts: dict[bytes, Account | None] = {}
        self._storage: dict[bytes, StorageChange] = {}
        if cache is not None:
            cache.open(root)

    def account(self, address: bytes) -> Account | None:
        """Account that no write has changed so far; None without a leaf."""
        cache = self._cache
        if cache is not None:
            try:
                return cache.account(self._before, address)
            except KeyError:
                pass
        account = self._read_account(address)
        if cache is not None:
            cache.put_account(self._before, address, account)
        return account

    def word(self, root: bytes, address: bytes, slot: bytes) -> int:
        """Word in the storage trie ``root`` of an account; ``slot`` is 32 bytes."""
        if root == EMPTY_TRIE_ROOT:
            return 0
        cache = self._cache
        if cache is not None:
            known = cache.word(root, address, slot)
            if known is not None:
                return known
        word = self._read_word(root, address, slot)
        if cache is not None:
            cache.put_word(root, address, slot, word)
        return word

    def code(self, code_hash: bytes) -> bytes:
        """Code by hash, the empty code included."""
        if code_hash == EMPTY_HASH:
            return b""
        code = self._codes.get(code_hash)
        if code is None and self._cache is not None:
            code = self._cache.codes.get(code_hash)
        if code is None:
            try:
                code = self._node(code_hash)
            except KeyError as error:
                raise ExecutorFault(f"code 0x{code_hash.hex()} is missing") from error
            if self._cache is not None:
                self._cache.codes.put(code_hash, code)
        return code

    def put_code(self, code: bytes) -> bytes:
        """Remember new code, in case an account keeps it; its hash."""
        code_hash = keccak256(code)
        self._codes[code_hash] = code
        return code_hash

    def write_words(self, root: bytes, address: bytes, words: dict[bytes, int]) -> bytes:
        """Root of an account's storage trie after writing ``words``, by slot in 32 bytes."""
        changes = {
            keccak256(slot): rlp.encode_uint(word) if word else b"" for slot, word in words.items()
        }
        after = self._update(root, changes)
        known = self._storage.get(address)
        if known is not None and known.after == root:
            self._storage[address] = StorageChange(known.before, after, {**known.words, **words})
        else:
            self._storage[address] = StorageChange(root, after, words)
        return after

    def remove_storage(self, root: bytes) -> None:
        """Count a whole storage trie, which an account has lost, as removed."""
        try:
            self._tries.remove(root)
        except (KeyError, rlp.RlpError) as error:
            raise ExecutorFault(f"storage 0x{root.hex()} cannot be read: {error}") from error

    def write_accounts(
        self, before: Mapping[bytes, Account | None], after: Mapping[bytes, Account | None]
    ) -> bytes:
        """State root after the accounts of ``before`` have become those of ``after``.

        Args:
            before: every account that may differ, as the trie has it.
            after: the same accounts and maybe others, storage roots written.
        """
        changes: dict[bytes, bytes] = {}
        for address, old in before.items():
            new = after[address]
            if new == old:
                continue
            changes[keccak256(address)] = b"" if new is None else _encode_account(new)
            self._accounts[address] = new
            self._move_code(EMPTY_HASH if old is None else old[3], new[3] if new else EMPTY_HASH)
        self.root = self._update(self.root, changes)
        return self.root

    def change(self) -> StateChange:
        """Everything written since this object was made; the cache learns it, too."""
        if self._cache is not None and self.root != self._before:
            self._cache.close(self._before, self.root, self._accounts, self._storage)
        counts = Counter(self._tries.added)
        counts.subtract(self._tries.removed)
        added = {digest: count for digest, count in counts.items() if count > 0}
        removed = {digest: -count for digest, count in counts.items() if count < 0}
        fresh, codes = self._tries.fresh, self._codes
        nodes = {digest: fresh.get(digest) or codes[digest] for digest in added}
        return StateChange(self.root, nodes, added, removed)

    def _move_code(self, old: bytes, new: bytes) -> None:
        if old == new:
            return
        if old != EMPTY_HASH:
            self._tries.removed.append(old)
        if new != EMPTY_HASH:
            self._tries.added.append(new)

    def _update(self, root: bytes, changes: Mapping[bytes, bytes]) -> bytes:
        try:
            return self._tries.update(root, changes)
        except (KeyError, rlp.RlpError) as error:
            raise ExecutorFault(f"state trie cannot be written: {error}") from error

    def _read_account(self, address: bytes) -> Account | None:
        try:
            encoded = self._tries.get(self._before, keccak256(address))
            if not encoded:
                return None
            nonce, balance, root, code_hash = rlp.bytes_list(rlp.decode(encoded))
        except (KeyError, ValueError) as error:
            raise ExecutorFault(f"account 0x{address.hex()} cannot be read: {error}") from error
        return (
            int.from_bytes(nonce, "big"),
            int.from_bytes(balance, "big"),
            EMPTY_TRIE_ROOT if root == EMPTY_TRIE_ROOT else root,  # one object for all of them
            EMPTY_HASH if code_hash == EMPTY_HASH else code_hash,
        )

    def _read_word(self, root: bytes, address: bytes, slot: bytes) -> int:
        try:
            encoded = self._tries.get(root, keccak256(slot))
            return rlp.as_uint(rlp.decode(encoded)) if encoded else 0
        except (KeyError, rlp.RlpError) as error:
            raise ExecutorFault(
                f"slot 0x{slot.hex()} of 0x{address.hex()} cannot be read: {error}"
            ) from error


def _encode_account(account: Account) -> bytes:
    nonce, balance, root, code_hash = account
    payload = b"%b%b\xa0%b\xa0%b" % (
        rlp.encode_uint(nonce),
        rlp.encode_uint(balance),
        root,
        code_hash,
    )
    return rlp.list_prefix(len(payload)) + payload
