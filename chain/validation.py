"""Rules of headers and bodies that need no execution, checked before any of it.

The seals are not checked here: ``chain.seals`` does, against the validators of the parent state.
"""

from chain.blocks import MAX_BLOCK_SIZE, Block
from chain.errors import ExecutionMismatch, InvalidBlock, UnknownParent
from chain.extra_data import check_chain_extra_data
from chain.fees import next_base_fee
from chain.header import EMPTY_LIST_HASH, EMPTY_TRIE_ROOT, FIELDS, Header
from chain.receipts import transactions_root
from genesis.spec import GenesisSpec
from precompiles.hashing import keccak256

_ZERO_HASH = bytes(32)
_BLOB_TYPE = 3


def next_mix_hash(parent: Header) -> bytes:
    """PREVRANDAO of the block after ``parent``: keccak256(parent.mix_hash, height). Predictable."""
    return keccak256(parent.mix_hash + (parent.number + 1).to_bytes(32, "big"))


def check_header(spec: GenesisSpec, parent: Header, header: Header) -> None:
    """Raise unless ``header`` may follow ``parent``.

    The upper bound of the timestamp needs a clock and belongs to the consensus engine.

    Raises:
        UnknownParent: ``parent`` is not the header's parent.
        InvalidBlock: naming the field, its value and the one expected.
    """
    if header.parent_hash != parent.hash:
        raise UnknownParent(header.parent_hash)
    earliest = parent.timestamp + spec.qbft.block_period_seconds
    if header.timestamp < earliest:
        raise InvalidBlock(f"timestamp {header.timestamp}, want {earliest} or later")
    if header.gas_used > header.gas_limit:
        raise InvalidBlock(f"gas_used {header.gas_used} exceeds gas_limit {header.gas_limit}")
    if header.field_count != len(FIELDS):
        raise InvalidBlock(f"header has {header.field_count} fields, want {len(FIELDS)}")
    check_chain_extra_data(header.extra_data)
    for name, want in _fixed_fields(parent).items():
        have = getattr(header, name)
        if have != want:
            raise InvalidBlock(f"{name} {_show(have)}, want {_show(want)}")


def check_body(block: Block) -> None:
    """Raise unless the body is the one that the header commits to, without withdrawals and blobs.

    Raises:
        InvalidBlock: naming the part and both values.
    """
    if block.withdrawals:
        raise InvalidBlock(f"block has {len(block.withdrawals)} withdrawals, want none")
    if block.ommers:
        raise InvalidBlock(f"block has {len(block.ommers)} ommers, want none")
    for index, transaction in enumerate(block.transactions):
        if transaction.type == _BLOB_TYPE:
            raise InvalidBlock(f"transaction {index} carries blobs; this chain has none")
    root = transactions_root([transaction.raw for transaction in block.transactions])
    if block.header.transactions_root != root:
        raise ExecutionMismatch("transactions_root", block.header.transactions_root, root)
    size = len(block.rlp)
    if size > MAX_BLOCK_SIZE:
        raise InvalidBlock(f"block of {size} bytes, at most {MAX_BLOCK_SIZE}")


def _fixed_fields(parent: Header) -> dict[str, bytes | int]:
    """Header fields that the parent alone determines."""
    return {
        "number": parent.number + 1,
        "gas_limit": parent.gas_limit,
        "base_fee_per_gas": next_base_fee(parent),
        "mix_hash": next_mix_hash(parent),
        "difficulty": 0,
        "nonce": bytes(8),
        "ommers_hash": EMPTY_LIST_HASH,
        "withdrawals_root": EMPTY_TRIE_ROOT,
        "blob_gas_used": 0,
        "excess_blob_gas": 0,
        "parent_beacon_block_root": _ZERO_HASH,
    }


def _show(value: bytes | int) -> str:
    return str(value) if isinstance(value, int) else "0x" + value.hex()
