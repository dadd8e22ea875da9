"""The world state during one block: flat caches over the tries, with an undo log.

py-evm's opcodes and computations call this object where they expect their own ``StateAPI``, so the
method names are py-evm's. A snapshot is a position in the undo log; a revert plays it backwards.
Tries are touched twice a block only: on the first read of an entry, and at the end for the root.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from chain import rlp
from chain.errors import ExecutorFault
from chain.evm.trie import TrieNodes
from chain.header import EMPTY_TRIE_ROOT
from chain.receipts import Log
from precompiles.hashing import EMPTY_HASH, keccak256

_UINT256: Final = (1 << 256) - 1
_MAX_ANCESTOR_DEPTH: Final = 256
_BLOB_FEE_FRACTION: Final = 5_007_716
_MISSING: Final = object()

_Account: TypeAlias = tuple[int, int, bytes, bytes]  # nonce, balance, storage root, code hash
_EMPTY: Final[_Account] = (0, 0, EMPTY_TRIE_ROOT, EMPTY_HASH)


@dataclass(frozen=True, slots=True)
class BlockEnvironment:
    """What the opcodes can see of the block.

    Attributes:
        chain_id: EIP-155 id.
        number, timestamp, gas_limit: of the block.
        coinbase: 20 bytes.
        mix_hash: 32 bytes; PREVRANDAO, predictable on this chain.
        base_fee_per_gas: wei.
        excess_blob_gas: 0 on this chain, which has no blobs.
        ancestor_hash: hash of the block at a height from ``number - 256`` to ``number - 1``.
    """

    chain_id: int
    number: int
    timestamp: int
    gas_limit: int
    coinbase: bytes
    mix_hash: bytes
    base_fee_per_gas: int
    excess_blob_gas: int
    ancestor_hash: Callable[[int], bytes]


_NO_BLOCK: Final = BlockEnvironment(0, 0, 0, 0, bytes(20), bytes(32), 0, 0, lambda number: b"")


class WorldState:
    """Accounts, storage, code and transient values, journaled.

    Args:
        node: trie node or code by keccak256; raises KeyError when absent.
        state_root: 32-byte root to start from.
        environment: the block being executed; None where an ``Evm`` knows it.
        precompiled: addresses that are warm from the start (EIP-2929).

    Methods raise ExecutorFault when the source lacks a node or holds a damaged one.
    """

    def __init__(
        self,
        node: Callable[[bytes], bytes],
        state_root: bytes,
        environment: BlockEnvironment | None = None,
        precompiled: Collection[bytes] = (),
    ) -> None:
        environment = environment or _NO_BLOCK
        self.execution_context = environment  # py-evm reads chain_id there
        self.coinbase = environment.coinbase
        self.timestamp = environment.timestamp
        self.block_number = environment.number
        self.mix_hash = environment.mix_hash
        self.gas_limit = environment.gas_limit
        self.base_fee = environment.base_fee_per_gas
        self.blob_base_fee = blob_base_fee(environment.excess_blob_gas)
        self._node = node
        self._tries = TrieNodes(node)
        self._state_root = state_root
        self._precompiled = precompiled
        self._accounts: dict[bytes, _Account | None] = {}
        self._storage: dict[bytes, dict[int, int]] = {}
        self._codes: dict[bytes, bytes] = {}
        self._changed_accounts: set[bytes] = set()
        self._changed_slots: dict[bytes, set[int]] = {}
        self._new_codes: dict[bytes, bytes] = {}
        # (mapping, key, value before or _MISSING)
        self._undo: list[tuple[dict[Any, Any], Any, Any]] = []
        self._originals: dict[tuple[bytes, int], int] = {}
        self._transient: dict[tuple[bytes, int], bytes] = {}
        self._warm: dict[bytes | tuple[bytes, int], bool] = {}
        self._touched: dict[bytes, bool] = {}
        self._created: dict[bytes, bool] = {}
        self._destroyed: dict[bytes, bool] = {}
        self._logs: dict[int, Log] = {}
        self._words: dict[tuple[bytes, int], int] = {}
        self._counters = {"refund": 0}

    # Transactions

    def begin_transaction(self) -> None:
        """Forget what lasts one transaction; earlier snapshots are void."""
        self._undo.clear()
        self._originals.clear()
        self._transient.clear()
        self._warm.clear()
        self._touched.clear()
        self._created.clear()
        self._destroyed.clear()
        self._logs.clear()
        self._words.clear()
        self._counters["refund"] = 0

    def finish_transaction(self, destroyed: Collection[bytes] | bool = True) -> None:
        """Delete ``destroyed`` accounts (EIP-6780) and touched empty ones (EIP-161)."""
        for address in [*self._destroyed, *([] if isinstance(destroyed, bool) else destroyed)]:
            self._delete(address)
        if destroyed is False:
            return
        for address in list(self._touched):
            if self._account(address) is not None and self.account_is_empty(address):
                self._delete(address)

    def snapshot(self) -> int:
        """A point to ``revert`` to within this transaction."""
        return len(self._undo)

    def revert(self, snapshot: int) -> None:
        """Undo everything since ``snapshot``, warm addresses and transient values included."""
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
        """Append a log: 20-byte address, up to four 32-byte topics."""
        index = len(self._logs)
        self._undo.append((self._logs, index, _MISSING))
        self._logs[index] = Log(address, topics, data)

    @property
    def refund(self) -> int:
        """Refund counter in gas; may be negative for a while."""
        return self._counters["refund"]

    def add_refund(self, delta: int) -> None:
        """Change the refund counter."""
        self._write(self._counters, "refund", self._counters["refund"] + delta)

    def mark_created(self, address: bytes) -> None:
        """Remember that a creation made the account in this transaction (EIP-6780)."""
        self._write(self._created, address, True)

    def was_created(self, address: bytes) -> bool:
        """Whether a creation made the account in this transaction."""
        return address in self._created

    def mark_destroyed(self, address: bytes) -> None:
        """Have the account deleted at the end of this transaction."""
        self._write(self._destroyed, address, True)

    def access_address(self, address: bytes) -> bool:
        """Mark the account warm; whether it was cold (EIP-2929)."""
        if self.is_address_warm(address):
            return False
        self.mark_address_warm(address)
        return True

    def access_slot(self, address: bytes, slot: int) -> bool:
        """Mark the slot warm; whether it was cold (EIP-2929)."""
        if self.is_storage_warm(address, slot):
            return False
        self.mark_storage_warm(address, slot)
        return True

    def get_transient(self, address: bytes, slot: int) -> int:
        """Transient word (EIP-1153)."""
        return self._words.get((address, slot), 0)

    def set_transient(self, address: bytes, slot: int, value: int) -> None:
        """Write a transient word."""
        self._write(self._words, (address, slot), value)

    def original_storage(self, address: bytes, slot: int) -> int:
        """Word at ``slot`` at the start of this transaction (EIP-2200)."""
        return self.get_storage(address, slot, from_journal=False)

    def add_balance(self, address: bytes, delta: int) -> None:
        """Add ``delta`` wei, which may be negative."""
        self.delta_balance(address, delta)

    def _write(self, mapping: dict[Any, Any], key: Any, value: Any) -> None:
        self._undo.append((mapping, key, mapping.get(key, _MISSING)))
        mapping[key] = value

    def commit(self, snapshot: int) -> None:
        """Keep the changes since ``snapshot``; nothing to do."""

    # Accounts

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

    def delta_balance(self, address: bytes, delta: int) -> None:
        """Add ``delta`` wei, which may be negative."""
        self.set_balance(address, self.get_balance(address) + delta)

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
        self.set_nonce(address, self.get_nonce(address) + 1)

    def get_code_hash(self, address: bytes) -> bytes:
        """keccak256 of the code."""
        account = self._account(address)
        return account[3] if account else EMPTY_HASH

    def get_code(self, address: bytes) -> bytes:
        """Runtime code, empty when there is none."""
        account = self._account(address)
        if account is None or account[3] == EMPTY_HASH:
            return b""
        code = self._codes.get(account[3])
        if code is None:
            code = self._codes[account[3]] = self._read_code(account[3])
        return code

    def set_code(self, address: bytes, code: bytes) -> None:
        """Replace the code; no size limit here (EIP-170 is the creator's rule)."""
        nonce, balance, root, _ = self._account(address) or _EMPTY
        code_hash = keccak256(code)
        if code:
            self._codes[code_hash] = self._new_codes[code_hash] = code
        self._put(address, (nonce, balance, root, code_hash))

    def has_code_or_nonce(self, address: bytes) -> bool:
        """Whether a creation collides here: code, nonce or storage (EIP-684, EIP-7610)."""
        account = self._account(address)
        return account is not None and (
            account[0] != 0 or account[3] != EMPTY_HASH or account[2] != EMPTY_TRIE_ROOT
        )

    def account_exists(self, address: bytes) -> bool:
        """Whether the address has a leaf."""
        return self._account(address) is not None

    def account_is_empty(self, address: bytes) -> bool:
        """No nonce, no balance, no code; storage does not count (EIP-161)."""
        account = self._account(address)
        return account is None or (account[0] == 0 == account[1] and account[3] == EMPTY_HASH)

    def touch_account(self, address: bytes) -> None:
        """Have the account deleted after this transaction if it is empty then."""
        if address not in self._touched:
            self._undo.append((self._touched, address, _MISSING))
            self._touched[address] = True

    # Storage

    def get_storage(self, address: bytes, slot: int, from_journal: bool = True) -> int:
        """Word at ``slot``; the value at the start of the transaction unless ``from_journal``."""
        if not from_journal:
            original = self._originals.get((address, slot))
            if original is not None:
                return original
        words = self._storage.get(address)
        if words is None:
            words = self._storage[address] = {}
        word = words.get(slot)
        if word is None:
            word = words[slot] = self._read_word(address, slot)
        return word

    def set_storage(self, address: bytes, slot: int, value: int) -> None:
        """Write a word (0 to 2**256 - 1)."""
        before = self.get_storage(address, slot)
        self._originals.setdefault((address, slot), before)
        words = self._storage[address]
        self._undo.append((words, slot, before))
        words[slot] = value
        self._changed_slots.setdefault(address, set()).add(slot)

    def delete_storage(self, address: bytes) -> None:
        """Nothing to do: CREATE2 calls this after the collision check, which includes storage."""

    def replace_storage(self, address: bytes, words: dict[int, int]) -> None:
        """Make ``words`` the whole storage; for simulations, between transactions only."""
        nonce, balance, _, code_hash = self._account(address) or _EMPTY
        self._put(address, (nonce, balance, EMPTY_TRIE_ROOT, code_hash))
        self._storage[address] = dict(words)

    def get_transient_storage(self, address: bytes, slot: int) -> bytes:
        """Transient word as py-evm's stack bytes (EIP-1153); empty when never written."""
        return self._transient.get((address, slot), b"")

    def set_transient_storage(self, address: bytes, slot: int, value: bytes) -> None:
        """Write a transient word."""
        key = (address, slot)
        self._undo.append((self._transient, key, self._transient.get(key, _MISSING)))
        self._transient[key] = value

    # Access lists (EIP-2929)

    def is_address_warm(self, address: bytes) -> bool:
        """Whether the account was accessed in this transaction, or is precompiled."""
        return address in self._warm or address in self._precompiled

    def mark_address_warm(self, address: bytes) -> None:
        """Remember an accessed account."""
        if address not in self._warm:
            self._undo.append((self._warm, address, _MISSING))
            self._warm[address] = True

    def is_storage_warm(self, address: bytes, slot: int) -> bool:
        """Whether the slot was accessed in this transaction."""
        return (address, slot) in self._warm

    def mark_storage_warm(self, address: bytes, slot: int) -> None:
        """Remember an accessed slot."""
        key = (address, slot)
        if key not in self._warm:
            self._undo.append((self._warm, key, _MISSING))
            self._warm[key] = True

    def accessed(self) -> tuple[bytes | tuple[bytes, int], ...]:
        """Warm addresses and (address, slot) pairs in order of first access."""
        return tuple(self._warm)

    # Block

    def get_ancestor_hash(self, block_number: int) -> bytes:
        """Hash of one of the 256 blocks before this one, else empty (zero on the stack)."""
        depth = self.block_number - block_number
        if not 1 <= depth <= _MAX_ANCESTOR_DEPTH or block_number < 0:
            return b""
        return self.execution_context.ancestor_hash(block_number)

    def make_root(self) -> tuple[bytes, dict[bytes, bytes]]:
        """State root after all transactions, and the new trie nodes and codes by keccak256.

        Call once, at the end of the block.
        """
        try:
            return self._make_root()
        except (KeyError, rlp.RlpError) as error:
            raise ExecutorFault(f"state trie cannot be written: {error}") from error

    def _make_root(self) -> tuple[bytes, dict[bytes, bytes]]:
        nodes: dict[bytes, bytes] = {}
        for address, slots in self._changed_slots.items():
            account = self._account(address)
            if account is None:
                continue
            words = self._storage.get(address, {})
            changes = {
                keccak256(slot.to_bytes(32, "big")): _encode_word(words[slot])
                for slot in slots
                if slot in words
            }
            root, fresh = self._tries.update(account[2], changes)
            nodes.update(fresh)
            if root != account[2]:
                self._accounts[address] = (account[0], account[1], root, account[3])
                self._changed_accounts.add(address)
        leaves: dict[bytes, bytes] = {}
        for address in self._changed_accounts:
            account = self._accounts[address]
            leaves[keccak256(address)] = b"" if account is None else _encode_account(account)
            if account is not None and account[3] in self._new_codes:
                nodes[account[3]] = self._new_codes[account[3]]
        root, fresh = self._tries.update(self._state_root, leaves)
        nodes.update(fresh)
        return root, nodes

    # Cache and journal

    def _account(self, address: bytes) -> _Account | None:
        try:
            return self._accounts[address]
        except KeyError:
            account = self._accounts[address] = self._read_account(address)
            return account

    def _put(self, address: bytes, account: _Account) -> None:
        self._undo.append((self._accounts, address, self._accounts[address]))
        self._accounts[address] = account
        self._changed_accounts.add(address)
        self.touch_account(address)

    def _delete(self, address: bytes) -> None:
        self._undo.append((self._accounts, address, self._account(address)))
        self._accounts[address] = None
        self._changed_accounts.add(address)
        words = self._storage.pop(address, None)
        if words is not None:
            self._undo.append((self._storage, address, words))

    def _read_account(self, address: bytes) -> _Account | None:
        try:
            encoded = self._tries.get(self._state_root, keccak256(address))
            if not encoded:
                return None
            nonce, balance, root, code_hash = rlp.bytes_list(rlp.decode(encoded))
        except (KeyError, ValueError) as error:
            raise ExecutorFault(f"account 0x{address.hex()} cannot be read: {error}") from error
        return int.from_bytes(nonce, "big"), int.from_bytes(balance, "big"), root, code_hash

    def _read_word(self, address: bytes, slot: int) -> int:
        account = self._account(address)
        if account is None or account[2] == EMPTY_TRIE_ROOT:
            return 0
        try:
            encoded = self._tries.get(account[2], keccak256(slot.to_bytes(32, "big")))
            return rlp.as_uint(rlp.decode(encoded)) if encoded else 0
        except (KeyError, rlp.RlpError) as error:
            raise ExecutorFault(
                f"slot {slot:#x} of 0x{address.hex()} cannot be read: {error}"
            ) from error

    def _read_code(self, code_hash: bytes) -> bytes:
        try:
            return self._node(code_hash)
        except KeyError as error:
            raise ExecutorFault(f"code 0x{code_hash.hex()} is missing") from error


def blob_base_fee(excess_blob_gas: int) -> int:
    """Wei per blob gas (EIP-4844 with Prague's fraction, EIP-7691); 1 without excess."""
    total, step, factor = 0, _BLOB_FEE_FRACTION, 1
    while step > 0:
        total += step
        step = step * excess_blob_gas // (_BLOB_FEE_FRACTION * factor)
        factor += 1
    return total // _BLOB_FEE_FRACTION


def _encode_word(word: int) -> bytes:
    return rlp.encode_uint(word) if word else b""


def _encode_account(account: _Account) -> bytes:
    nonce, balance, root, code_hash = account
    return rlp.encode([rlp.uint(nonce), rlp.uint(balance), root, code_hash])
