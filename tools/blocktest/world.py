"""States of tests: build one from a list of accounts, tell two apart."""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType

from chain import rlp
from chain.header import EMPTY_TRIE_ROOT
from chain.state_reader import Account, StateReader, encode_account
from chain.trie import build_trie
from genesis.spec import Allocation
from precompiles.hashing import EMPTY_HASH, keccak256


def build_state(alloc: Mapping[bytes, Allocation]) -> tuple[bytes, dict[bytes, bytes]]:
    """Root of a state with exactly these accounts, empty ones included; its nodes and codes."""
    nodes: dict[bytes, bytes] = {}
    leaves: dict[bytes, bytes] = {}
    for address, allocation in alloc.items():
        storage_root, fresh = _storage(tuple(allocation.storage.items()))
        nodes.update(fresh)
        code_hash = EMPTY_HASH
        if allocation.code:
            code_hash = _code_hash(allocation.code)
            nodes[code_hash] = allocation.code
        account = Account(allocation.nonce, allocation.balance, storage_root, code_hash)
        leaves[keccak256(address)] = encode_account(account)
    root, fresh = build_trie(leaves)
    nodes.update(fresh)
    return root, nodes


@lru_cache(maxsize=256)  # the tests of one file share most of their accounts
def _storage(words: tuple[tuple[int, int], ...]) -> tuple[bytes, Mapping[bytes, bytes]]:
    if not words:
        return EMPTY_TRIE_ROOT, MappingProxyType({})
    leaves = {
        keccak256(slot.to_bytes(32, "big")): rlp.encode_uint(word) for slot, word in words if word
    }
    return build_trie(leaves)


@lru_cache(maxsize=256)
def _code_hash(code: bytes) -> bytes:
    return keccak256(code)


def first_difference(
    node: Callable[[bytes], bytes], state_root: bytes, alloc: Mapping[bytes, Allocation]
) -> str:
    """How the state at a root differs from the one wanted: account, field, both values."""
    return next(_differences(StateReader(node, state_root), alloc), "there are more accounts")


def _differences(state: StateReader, alloc: Mapping[bytes, Allocation]) -> Iterator[str]:
    for address, want in alloc.items():
        have = state.account(address)
        where = f"account 0x{address.hex()}"
        if have.nonce != want.nonce:
            yield f"{where}: nonce {have.nonce}, want {want.nonce}"
        if have.balance != want.balance:
            yield f"{where}: balance {have.balance}, want {want.balance}"
        if (code := state.code(address)) != want.code:
            yield f"{where}: code 0x{code.hex()}, want 0x{want.code.hex()}"
        for slot, word in want.storage.items():
            if (found := state.storage(address, slot)) != word:
                yield f"{where}: slot {slot:#x} holds {found:#x}, want {word:#x}"
        if have.storage_root != _storage(tuple(want.storage.items()))[0]:
            yield f"{where}: more slots than the {len(want.storage)} wanted"
