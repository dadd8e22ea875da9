"""State at one root, read from trie nodes. The node process and the verifier use it too."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from chain import rlp
from chain.errors import StoreError
from chain.header import EMPTY_TRIE_ROOT
from chain.trie import walk
from precompiles.hashing import EMPTY_HASH, keccak256


@dataclass(frozen=True, slots=True)
class Account:
    """Leaf of the state trie: nonce, balance in wei, 32-byte roots."""

    nonce: int
    balance: int
    storage_root: bytes
    code_hash: bytes


EMPTY_ACCOUNT: Final = Account(0, 0, EMPTY_TRIE_ROOT, EMPTY_HASH)
"""What an address without a leaf has."""


def encode_account(account: Account) -> bytes:
    """Leaf value: ``[nonce, balance, storage root, code hash]``."""
    return rlp.encode(
        [
            rlp.uint(account.nonce),
            rlp.uint(account.balance),
            account.storage_root,
            account.code_hash,
        ]
    )


def decode_account(encoded: bytes) -> Account:
    """Read ``encode_account``; raises RlpError."""
    items = rlp.decode_list(encoded)
    if len(items) != 4:
        raise rlp.RlpError(f"account has {len(items)} fields, want 4")
    return Account(
        nonce=rlp.as_uint(items[0], 64),
        balance=rlp.as_uint(items[1]),
        storage_root=rlp.as_bytes(items[2], 32),
        code_hash=rlp.as_bytes(items[3], 32),
    )


class StateReader:
    """Accounts, storage and code under one state root; decoded accounts are remembered.

    Args:
        node: trie node or code by keccak256; raises KeyError when absent (``Store.node``).
        state_root: 32-byte root.

    Every method raises StoreError when a node is missing or damaged: the database, not the
    caller, is wrong then.
    """

    def __init__(self, node: Callable[[bytes], bytes], state_root: bytes) -> None:
        self._node = node
        self.state_root = state_root
        self._accounts: dict[bytes, Account] = {}

    def account(self, address: bytes) -> Account:
        """Account of a 20-byte address; EMPTY_ACCOUNT when it has no leaf."""
        known = self._accounts.get(address)
        if known is None:
            value = self._walk(self.state_root, keccak256(address))[0]
            known = EMPTY_ACCOUNT if value is None else decode_account(value)
            self._accounts[address] = known
        return known

    def storage(self, address: bytes, slot: int) -> int:
        """Word at ``slot`` (0 to 2**256 - 1); 0 when never written."""
        root = self.account(address).storage_root
        value = self._walk(root, keccak256(slot.to_bytes(32, "big")))[0]
        return 0 if value is None else rlp.as_uint(rlp.decode(value))

    def code(self, address: bytes) -> bytes:
        """Runtime code, empty when the account has none."""
        code_hash = self.account(address).code_hash
        if code_hash == EMPTY_HASH:
            return b""
        try:
            return self._node(code_hash)
        except KeyError:
            raise StoreError(f"code 0x{code_hash.hex()} is missing from the database") from None

    def account_trail(self, address: bytes) -> list[bytes]:
        """Nodes from the state root to the account's leaf or to where it would be."""
        return self._walk(self.state_root, keccak256(address))[1]

    def storage_trail(self, address: bytes, slot: int) -> list[bytes]:
        """Nodes from the account's storage root to the slot's leaf or to where it would be."""
        root = self.account(address).storage_root
        return self._walk(root, keccak256(slot.to_bytes(32, "big")))[1]

    def _walk(self, root: bytes, key: bytes) -> tuple[bytes | None, list[bytes]]:
        try:
            return walk(self._node, root, key)
        except KeyError as error:
            missing = error.args[0]
            text = missing.hex() if isinstance(missing, bytes) else str(missing)
            raise StoreError(f"trie node 0x{text} is missing from the database") from None
        except rlp.RlpError as error:
            raise StoreError(f"damaged trie node under 0x{root.hex()}: {error}") from None
