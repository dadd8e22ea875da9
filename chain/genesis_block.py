"""Block 0 and its state, from the genesis file."""

from collections.abc import Mapping
from typing import Any

from chain.blocks import Block
from chain.errors import InvalidBlock
from chain.header import ABSENT, EMPTY_LIST_HASH, EMPTY_TRIE_ROOT, FIELDS, Header, field_count
from chain.receipts import BLOOM_SIZE
from chain.rlp import encode_uint
from chain.state_reader import Account, encode_account
from chain.trie import build_trie
from genesis.spec import Allocation, GenesisSpec
from precompiles.hashing import EMPTY_HASH, keccak256


def genesis_block(spec: GenesisSpec) -> tuple[Block, dict[bytes, bytes]]:
    """Block 0 and the trie nodes and codes of its state by keccak256.

    Equal specs give equal blocks. On an Assay chain accounts without nonce, balance, code and
    storage are left out, because the first touch would delete them (EIP-161); geth keeps them, and
    so does a chain with Ethereum's rules.

    Raises:
        InvalidBlock: on an Assay chain, balances that add up to 2**256 wei or more, or an account
            that has storage only.
    """
    alloc = spec.alloc if spec.assay is None else _lasting(spec.alloc)
    nodes: dict[bytes, bytes] = {}
    leaves: dict[bytes, bytes] = {}
    for address, allocation in alloc.items():
        account, fresh = _account(allocation)
        leaves[keccak256(address)] = encode_account(account)
        nodes |= fresh
    state_root, fresh = build_trie(leaves)
    nodes |= fresh
    return Block(_header(spec, state_root), ()), nodes


def _lasting(alloc: Mapping[bytes, Allocation]) -> dict[bytes, Allocation]:
    """The accounts that the first touch would not delete."""
    supply = sum(allocation.balance for allocation in alloc.values())
    if supply >= 1 << 256:
        raise InvalidBlock(f"genesis: total supply {supply} wei, at most {(1 << 256) - 1}")
    return {
        address: allocation
        for address, allocation in alloc.items()
        if not _is_empty(address, allocation)
    }


def _is_empty(address: bytes, allocation: Allocation) -> bool:
    if allocation.balance or allocation.nonce or allocation.code:
        return False
    if any(allocation.storage.values()):
        raise InvalidBlock(
            f"genesis: account 0x{address.hex()} has storage, but no nonce, balance or code"
        )
    return True


def _account(allocation: Allocation) -> tuple[Account, dict[bytes, bytes]]:
    """An account's leaf, and its storage nodes and code."""
    words = {
        keccak256(slot.to_bytes(32, "big")): encode_uint(word)
        for slot, word in allocation.storage.items()
        if word
    }
    storage_root, nodes = build_trie(words)
    code_hash = EMPTY_HASH
    if allocation.code:
        code_hash = keccak256(allocation.code)
        nodes[code_hash] = allocation.code
    return Account(allocation.nonce, allocation.balance, storage_root, code_hash), nodes


def _header(spec: GenesisSpec, state_root: bytes) -> Header:
    """Block 0 in the shape of its fork; fields that its fork does not have are absent."""
    count = field_count(spec.schedule.fork(0, spec.timestamp))
    later = {
        **ABSENT,
        "base_fee_per_gas": spec.base_fee_per_gas,
        "blob_gas_used": spec.blob_gas_used,
        "excess_blob_gas": spec.excess_blob_gas,
    }
    fields: dict[str, Any] = ABSENT | {n: v for n, v in later.items() if n in FIELDS[:count]}
    return Header(
        parent_hash=bytes(32),
        ommers_hash=EMPTY_LIST_HASH,
        coinbase=spec.coinbase,
        state_root=state_root,
        transactions_root=EMPTY_TRIE_ROOT,
        receipts_root=EMPTY_TRIE_ROOT,
        logs_bloom=bytes(BLOOM_SIZE),
        difficulty=spec.difficulty,
        number=0,
        gas_limit=spec.gas_limit,
        gas_used=0,
        timestamp=spec.timestamp,
        extra_data=spec.extra_data,
        mix_hash=spec.mix_hash,
        nonce=spec.nonce,
        field_count=count,
        **fields,
    )
