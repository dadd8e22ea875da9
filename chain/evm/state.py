"""The world state during one block: flat values over the tries, with an undo log.

A snapshot is a position in the undo log; a revert plays it backwards. Whatever a message can change
is a value in some dictionary, so every entry of the log is the same: (dictionary, key, value before
or nothing). Tries are read once for each value and written when a root is asked for.

Callers choose slots, and the hash of an int, its remainder by 2**61 - 1, is no secret: slots of
equal remainders would make a dictionary of ints a list. So the keys of slots are bytes, whose hash
is keyed by a secret of the process.
"""

from collections.abc import Callable, Collection, Iterable
from typing import Any, Final

from chain.evm.state_cache import Account, StateCache
from chain.evm.state_tries import StateChange, StateTries
from chain.header import EMPTY_TRIE_ROOT
from chain.receipts import Log
from precompiles.hashing import EMPTY_HASH

_UINT256: Final = (1 << 256) - 1
_MISSING: Final = object()
_word: Final = int.from_bytes
_EMPTY: Final[Account] = (0, 0, EMPTY_TRIE_ROOT, EMPTY_HASH)
_RIPEMD160: Final = bytes(19) + b"\x03"


class WorldState:
    """Accounts, storage, code, transient values, logs, refund and access sets, journaled.

    Args:
        node: trie node or code by keccak256; raises KeyError when absent.
        state_root: 32-byte root to start from.
        precompiled: addresses that are warm from the start (EIP-2929).
        cache: what earlier blocks of this process left; None for none.

    Addresses are 20 bytes; slots, words, balances and nonces are ints. Methods raise ExecutorFault
    when the source lacks a node or holds a damaged one.
    """

    def __init__(
        self,
        node: Callable[[bytes], bytes],
        state_root: bytes,
        precompiled: Collection[bytes] = (),
        cache: StateCache | None = None,
    ) -> None:
        self._tries = StateTries(node, state_root, cache)
        self._precompiled = dict.fromkeys(precompiled, True)
        # the last slot asked for, as the very objects given, and its key: address, slot in 32 bytes
        self._address, self._slot, self._key = b"", 0, b""
        self._accounts: dict[bytes, Account | None] = {}
        self._storage: dict[bytes, dict[bytes, int]] = {}  # account -> key -> word
        self._changed: dict[bytes, Account | None] = {}  # as in the trie
        self._written: dict[bytes, int] = {}  # key -> anything
        self._lost: dict[int, bytes] = {}  # storage roots of accounts that are gone
        # (dictionary, key, value before or _MISSING)
        self._undo: list[tuple[dict[Any, Any], Any, Any]] = []
        self._originals: dict[bytes, int] = {}
        self._transient: dict[bytes, int] = {}
        self._warm = dict(self._precompiled)
        self._touched: dict[bytes, bool] = {}
        self._touched_ripemd160 = False
        self._created: dict[bytes, bool] = {}
        self._destroyed: dict[bytes, bool] = {}
        self._logs: dict[int, Log] = {}
        self._refund = {0: 0}

    # Transactions

    def begin_transaction(self) -> None:
        """Forget what lasts one transaction; earlier snapshots are void."""
        self._undo.clear()
        self._written.update(self._originals)
        self._originals.clear()
        self._transient.clear()
        self._warm = dict(self._precompiled)
        self._touched.clear()
        self._touched_ripemd160 = False
        self._created.clear()
        self._destroyed.clear()
        self._logs.clear()
        self._refund[0] = 0

    def finish_transaction(self, delete_empty: bool = True) -> None:
        """Delete destroyed accounts and, from Spurious Dragon on, touched empty ones (EIP-161)."""
        for address in self._destroyed:
            self._delete(address)
        if not delete_empty:
            return
        if self._touched_ripemd160:
            self._mark(self._touched, _RIPEMD160)
        for address in self._touched:
            account = self._account(address)
            if account is not None and account[0] == 0 == account[1] and account[3] == EMPTY_HASH:
                self._delete(address)

    def snapshot(self) -> int:
        """A point to ``revert`` to within this transaction."""
        return len(self._undo)

    def revert(self, snapshot: int) -> None:
        """Undo everything since ``snapshot``, logs, refund, marks and warm accesses included."""
        undo = self._undo
        while len(undo) > snapshot:
            mapping, key, before = undo.pop()
            if before is _MISSING:
                del mapping[key]
            else:
                mapping[key] = before

    # Logs, refund, marks of this transaction

    @property
    def logs(self) -> list[Log]:
        """Logs of this transaction, in order."""
        return list(self._logs.values())

    def add_log(self, address: bytes, topics: tuple[bytes, ...], data: bytes) -> None:
        """Append a log with up to four 32-byte topics."""
        index = len(self._logs)
        self._undo.append((self._logs, index, _MISSING))
        self._logs[index] = Log(address, topics, data)

    @property
    def refund(self) -> int:
        """Refund counter in gas; may be negative for a while."""
        return self._refund[0]

    def add_refund(self, delta: int) -> None:
        """Change the refund counter."""
        before = self._refund[0]
        self._undo.append((self._refund, 0, before))
        self._refund[0] = before + delta

    def mark_created(self, address: bytes) -> None:
        """Remember that a creation made the account in this transaction (EIP-6780)."""
        self._mark(self._created, address)

    def was_created(self, address: bytes) -> bool:
        """Whether a creation made the account in this transaction."""
        return address in self._created

    def mark_destroyed(self, address: bytes) -> None:
        """Have the account deleted, storage and code included, after this transaction."""
        self._mark(self._destroyed, address)

    def touch_account(self, address: bytes) -> None:
        """Make the account exist, and have it deleted by ``finish_transaction`` if empty then.

        The touch of the RIPEMD-160 contract outlives a revert (mainnet block 2,675,119).
        """
        if self._account(address) is None:
            self._put(address, _EMPTY)
        else:
            self._mark(self._touched, address)
        if address == _RIPEMD160:
            self._touched_ripemd160 = True

    # Accounts

    def account_exists(self, address: bytes) -> bool:
        """Whether the address has an account, maybe an empty one."""
        return self._account(address) is not None

    def account_is_empty(self, address: bytes) -> bool:
        """No nonce, no balance, no code; storage does not count (EIP-161)."""
        account = self._account(address)
        return account is None or (account[0] == 0 == account[1] and account[3] == EMPTY_HASH)

    def has_code_or_nonce(self, address: bytes) -> bool:
        """Whether a creation collides here: code, nonce or storage (EIP-684, EIP-7610)."""
        account = self._account(address)
        return account is not None and (
            account[0] != 0 or account[3] != EMPTY_HASH or account[2] != EMPTY_TRIE_ROOT
        )

    def get_balance(self, address: bytes) -> int:
        """Balance in wei."""
        account = self._account(address)
        return account[1] if account else 0

    def set_balance(self, address: bytes, balance: int) -> None:
        """Set the balance in wei, modulo 2**256.

        Genesis bounds the total supply, so only a simulation with overrides can wrap.
        """
        nonce, _, root, code_hash = self._account(address) or _EMPTY
        self._put(address, (nonce, balance & _UINT256, root, code_hash))

    def add_balance(self, address: bytes, delta: int) -> None:
        """Add ``delta`` wei, which may be negative, modulo 2**256."""
        nonce, balance, root, code_hash = self._account(address) or _EMPTY
        self._put(address, (nonce, balance + delta & _UINT256, root, code_hash))

    def get_nonce(self, address: bytes) -> int:
        """Nonce, 0 to 2**64 - 1."""
        account = self._account(address)
        return account[0] if account else 0

    def set_nonce(self, address: bytes, nonce: int) -> None:
        """Set the nonce."""
        _, balance, root, code_hash = self._account(address) or _EMPTY
        self._put(address, (nonce, balance, root, code_hash))

    def increment_nonce(self, address: bytes) -> None:
        """Add one to the nonce."""
        nonce, balance, root, code_hash = self._account(address) or _EMPTY
        self._put(address, (nonce + 1, balance, root, code_hash))

    def get_code_hash(self, address: bytes) -> bytes:
        """keccak256 of the code."""
        account = self._account(address)
        return account[3] if account else EMPTY_HASH

    def get_code(self, address: bytes) -> bytes:
        """Runtime code, empty when there is none."""
        account = self._account(address)
        if account is None or account[3] == EMPTY_HASH:
            return b""
        return self._tries.code(account[3])

    def set_code(self, address: bytes, code: bytes) -> None:
        """Replace the code; no size limit here (EIP-170 is the creator's rule)."""
        nonce, balance, root, _ = self._account(address) or _EMPTY
        self._put(address, (nonce, balance, root, self._tries.put_code(code)))

    # Storage

    def get_storage(self, address: bytes, slot: int) -> int:
        """Word at ``slot``."""
        key = self._key
        if slot is not self._slot or address is not self._address:
            key = self._find(address, slot)
        try:
            return self._storage[address][key]
        except KeyError:
            return self._load_word(address, key)

    def original_storage(self, address: bytes, slot: int) -> int:
        """Word at ``slot`` at the start of this transaction (EIP-2200)."""
        original = self._originals.get(self._find(address, slot))
        return self.get_storage(address, slot) if original is None else original

    def set_storage(self, address: bytes, slot: int, value: int) -> None:
        """Write a word (0 to 2**256 - 1)."""
        before = self.get_storage(address, slot)
        key = self._key  # of get_storage
        self._originals.setdefault(key, before)
        words = self._storage[address]
        self._undo.append((words, key, before))
        words[key] = value

    def replace_storage(self, address: bytes, words: Iterable[tuple[int, int]]) -> None:
        """Make (slot, word) pairs the whole storage; for simulations, before any transaction."""
        nonce, balance, _, code_hash = self._account(address) or _EMPTY
        self._lose_storage(address)
        self._put(address, (nonce, balance, EMPTY_TRIE_ROOT, code_hash))
        for slot, word in words:
            self.set_storage(address, slot, word)

    def get_transient(self, address: bytes, slot: int) -> int:
        """Transient word (EIP-1153)."""
        return self._transient.get(address + slot.to_bytes(32, "big"), 0)

    def set_transient(self, address: bytes, slot: int, value: int) -> None:
        """Write a transient word."""
        key = address + slot.to_bytes(32, "big")
        self._undo.append((self._transient, key, self._transient.get(key, _MISSING)))
        self._transient[key] = value

    def is_destroyed(self, address: bytes) -> bool:
        """Whether the account will be deleted at the end of this transaction."""
        return address in self._destroyed

    # Access lists (EIP-2929)

    def access_address(self, address: bytes) -> bool:
        """Mark the account warm; whether it was cold."""
        if address in self._warm:
            return False
        self._undo.append((self._warm, address, _MISSING))
        self._warm[address] = True
        return True

    def access_slot(self, address: bytes, slot: int) -> bool:
        """Mark the slot warm; whether it was cold."""
        key = self._key
        if slot is not self._slot or address is not self._address:
            key = self._find(address, slot)
        if key in self._warm:
            return False
        self._undo.append((self._warm, key, _MISSING))
        self._warm[key] = True
        return True

    def mark_address_warm(self, address: bytes) -> None:
        """Remember an accessed account."""
        self.access_address(address)

    def mark_storage_warm(self, address: bytes, slot: int) -> None:
        """Remember an accessed slot."""
        self.access_slot(address, slot)

    def accessed(self) -> tuple[bytes | tuple[bytes, int], ...]:
        """Warm addresses and (address, slot) pairs in order of first access; not precompiled."""
        keys = [key for key in self._warm if key not in self._precompiled]
        return tuple([key if len(key) == 20 else (key[:20], _word(key[20:])) for key in keys])

    # Roots

    def make_root(self) -> bytes:
        """State root after the transactions so far; earlier snapshots are void."""
        self._undo.clear()
        self._written.update(self._originals)
        for root in self._lost.values():
            self._tries.remove_storage(root)
        self._lost.clear()
        self._write_storage()
        root = self._tries.write_accounts(self._changed, self._accounts)
        self._changed.clear()
        return root

    def change(self) -> StateChange:
        """What all transactions did to the state; once, after them."""
        self.make_root()
        return self._tries.change()

    def _write_storage(self) -> None:
        changes: dict[bytes, dict[bytes, int]] = {}
        for key in self._written:
            address = key[:20]
            word = self._storage.get(address, {}).get(key)
            if word is not None:
                changes.setdefault(address, {})[key[20:]] = word
        self._written.clear()
        for address, words in changes.items():
            account = self._account(address)
            if account is None:
                continue
            root = self._tries.write_words(account[2], address, words)
            if root != account[2]:
                self._changed.setdefault(address, account)
                self._accounts[address] = (account[0], account[1], root, account[3])

    # Values and journal

    def _account(self, address: bytes) -> Account | None:
        try:
            return self._accounts[address]
        except KeyError:
            account = self._accounts[address] = self._tries.account(address)
            return account

    def _find(self, address: bytes, slot: int) -> bytes:
        """Key of a slot. Whoever asks for the same objects again is spared the making."""
        if slot is self._slot and address is self._address:
            return self._key
        self._key = address + slot.to_bytes(32, "big")
        self._address, self._slot = address, slot
        return self._key

    def _load_word(self, address: bytes, key: bytes) -> int:
        account = self._account(address)
        word = 0 if account is None else self._tries.word(account[2], address, key[20:])
        self._storage.setdefault(address, {})[key] = word
        return word

    def _put(self, address: bytes, account: Account | None) -> None:
        """Replace an account that ``_account`` has read, and touch it."""
        undo, before = self._undo, self._accounts[address]
        undo.append((self._accounts, address, before))
        self._accounts[address] = account
        if address not in self._changed:
            self._changed[address] = before
        if address not in self._touched:
            undo.append((self._touched, address, _MISSING))
            self._touched[address] = True

    def _delete(self, address: bytes) -> None:
        before = self._account(address)
        self._undo.append((self._accounts, address, before))
        self._changed.setdefault(address, before)
        self._lose_storage(address)
        self._accounts[address] = None

    def _lose_storage(self, address: bytes) -> None:
        account = self._account(address)
        if account is not None and account[2] != EMPTY_TRIE_ROOT:
            self._undo.append((self._lost, len(self._lost), _MISSING))
            self._lost[len(self._lost)] = account[2]
        words = self._storage.pop(address, None)
        if words is not None:
            self._undo.append((self._storage, address, words))

    def _mark(self, marks: dict[bytes, bool], address: bytes) -> None:
        if address not in marks:
            self._undo.append((marks, address, _MISSING))
            marks[address] = True
