"""Rules of headers and bodies that need no execution, checked before any of it.

There are two kinds of chain: an Assay chain (``spec.assay``), whose headers the parent determines
almost wholly, and one with Ethereum's own rules, of every fork. Neither seals nor proofs of work
are checked here: ``chain.seals`` checks seals, against the validators of the parent state.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from chain.blobs import GAS_PER_BLOB, excess_blob_gas
from chain.blocks import MAX_BLOCK_SIZE, Block
from chain.difficulty import next_difficulty
from chain.errors import ExecutionMismatch, InvalidBlock, UnknownParent
from chain.extra_data import check_chain_extra_data
from chain.fees import ELASTICITY, next_base_fee
from chain.header import EMPTY_LIST_HASH, EMPTY_TRIE_ROOT, Header, field_count
from chain.receipts import transactions_root, withdrawals_root
from chain.rlp import join_list
from genesis.forks import Fork
from genesis.spec import GenesisSpec
from precompiles.hashing import keccak256

MAX_OMMERS: Final = 2
MAX_OMMER_DEPTH: Final = 6
"""An ommer's parent lies at most this many blocks above the block's parent."""

MAX_EXTRA_DATA: Final = 32
MIN_GAS_LIMIT: Final = 5_000
MAX_GAS_LIMIT: Final = (1 << 63) - 1
"""As in geth; the official tests hold every client to it."""

_GAS_LIMIT_DIVISOR: Final = 1_024
_ZERO_HASH: Final = bytes(32)
_EMPTY_NONCE: Final = bytes(8)
_BLOB_TYPE: Final = 3


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
    earliest = parent.timestamp + (spec.assay.block_period_seconds if spec.assay else 1)
    if header.timestamp < earliest:
        raise InvalidBlock(f"timestamp {header.timestamp}, want {earliest} or later")
    if header.gas_used > header.gas_limit:
        raise InvalidBlock(f"gas_used {header.gas_used} exceeds gas_limit {header.gas_limit}")
    fork = spec.schedule.fork(parent.number + 1, header.timestamp)
    fields: dict[str, bytes | int] = {"field_count": field_count(fork), "number": parent.number + 1}
    if spec.assay is None:
        _check_bounds(fork, parent, header)
        fields |= _ethereum_fields(spec, fork, parent, header)
    else:
        check_chain_extra_data(header.extra_data)
        fields |= _assay_fields(parent)
    _check_fields(header, fields)
    if spec.assay is None and fork >= Fork.CANCUN:
        _check_blob_gas(spec, header)


def check_body(spec: GenesisSpec, block: Block) -> None:
    """Raise unless the body is the one that the header commits to and its fork allows.

    An Assay block has neither withdrawals, ommers nor blobs. Ommers themselves need the blocks
    before: ``check_ommers``.

    Raises:
        InvalidBlock: naming the part and both values.
    """
    header = block.header
    fork = spec.schedule.fork(header.number, header.timestamp)
    if spec.assay is None:
        _check_blobs(block)
    else:
        _refuse_foreign_parts(block)
    roots = {
        "transactions_root": transactions_root([tx.raw for tx in block.transactions]),
        "ommers_hash": _ommers_hash(block.ommers),
        "withdrawals_root": withdrawals_root([entry.rlp for entry in block.withdrawals])
        if block.withdrawals
        else EMPTY_TRIE_ROOT,
    }
    for name, computed in roots.items():
        declared = getattr(header, name)
        if declared != computed:
            raise ExecutionMismatch(name, declared, computed)
    size = len(block.rlp) if spec.assay or fork >= Fork.OSAKA else 0
    if size > MAX_BLOCK_SIZE:
        raise InvalidBlock(f"block of {size} bytes, at most {MAX_BLOCK_SIZE}")


def check_ommers(
    spec: GenesisSpec, block: Block, block_of: Callable[[bytes], Block | None]
) -> None:
    """Raise unless the ommers of a block may stand in it (Yellow Paper, section 11.1).

    At most two, all different; each one a valid header whose parent is one of the seven blocks
    before but not the block's own parent, and neither an ancestor nor an ommer of one.

    Args:
        spec: the genesis.
        block: its header and body have been checked.
        block_of: an ancestor by its hash, None where it is unknown.

    Raises:
        InvalidBlock: naming the ommer and the rule.
    """
    if not block.ommers:
        return
    if len(block.ommers) > MAX_OMMERS:
        raise InvalidBlock(f"block has {len(block.ommers)} ommers, at most {MAX_OMMERS}")
    ancestors: dict[bytes, Header] = {}
    used: set[bytes] = set()
    digest = block.header.parent_hash
    for _ in range(MAX_OMMER_DEPTH + 1):
        ancestor = block_of(digest)
        if ancestor is None:
            break
        ancestors[digest] = ancestor.header
        used |= {digest, *(ommer.hash for ommer in ancestor.ommers)}
        digest = ancestor.header.parent_hash
    for index, ommer in enumerate(block.ommers):
        if ommer.hash in used:
            raise InvalidBlock(f"ommer {index}: 0x{ommer.hash.hex()} is in the chain already")
        used.add(ommer.hash)
        parent = ancestors.get(ommer.parent_hash)
        if parent is None or ommer.parent_hash == block.header.parent_hash:
            raise InvalidBlock(
                f"ommer {index}: parent 0x{ommer.parent_hash.hex()} is no ancestor 2 to "
                f"{MAX_OMMER_DEPTH + 1} blocks before block {block.number}"
            )
        try:
            check_header(spec, parent, ommer)
        except InvalidBlock as error:
            raise InvalidBlock(f"ommer {index}: {error}") from None


def _check_bounds(fork: Fork, parent: Header, header: Header) -> None:
    """Gas limit (Yellow Paper, section 4.3.4; doubled at London, EIP-1559) and extra data."""
    before = parent.gas_limit
    if fork >= Fork.LONDON and parent.field_count < field_count(Fork.LONDON):
        before *= ELASTICITY
    bound = before // _GAS_LIMIT_DIVISOR
    low, high = max(before - bound + 1, MIN_GAS_LIMIT), min(before + bound - 1, MAX_GAS_LIMIT)
    if not low <= header.gas_limit <= high:
        raise InvalidBlock(f"gas_limit {header.gas_limit}, want {low} to {high}")
    if len(header.extra_data) > MAX_EXTRA_DATA:
        raise InvalidBlock(
            f"extra_data of {len(header.extra_data)} bytes, at most {MAX_EXTRA_DATA}"
        )


def _ethereum_fields(
    spec: GenesisSpec, fork: Fork, parent: Header, header: Header
) -> dict[str, bytes | int]:
    """Header fields that parent, fork and timestamp determine."""
    fields: dict[str, bytes | int] = {}
    if fork >= Fork.PARIS:
        fields |= {"difficulty": 0, "nonce": _EMPTY_NONCE, "ommers_hash": EMPTY_LIST_HASH}
    else:
        fields["difficulty"] = next_difficulty(fork, parent, header.timestamp)
    if fork >= Fork.LONDON:
        fields["base_fee_per_gas"] = next_base_fee(parent)
    if fork >= Fork.CANCUN:
        fields["excess_blob_gas"] = excess_blob_gas(spec.schedule, parent, header.timestamp)
    return fields


def _assay_fields(parent: Header) -> dict[str, bytes | int]:
    """Header fields that the parent alone determines."""
    return {
        "gas_limit": parent.gas_limit,
        "base_fee_per_gas": next_base_fee(parent),
        "mix_hash": next_mix_hash(parent),
        "difficulty": 0,
        "nonce": _EMPTY_NONCE,
        "ommers_hash": EMPTY_LIST_HASH,
        "withdrawals_root": EMPTY_TRIE_ROOT,
        "blob_gas_used": 0,
        "excess_blob_gas": 0,
        "parent_beacon_block_root": _ZERO_HASH,
    }


def _check_fields(header: Header, fields: Mapping[str, bytes | int]) -> None:
    for name, want in fields.items():
        have = getattr(header, name)
        if have != want:
            raise InvalidBlock(f"{name} {_show(have)}, want {_show(want)}")


def _check_blob_gas(spec: GenesisSpec, header: Header) -> None:
    """Whole blobs, no more than the schedule allows (EIP-4844, EIP-7691)."""
    parameters = spec.schedule.blob_parameters(header.timestamp)
    most = 0 if parameters is None else parameters.max * GAS_PER_BLOB
    if header.blob_gas_used > most or header.blob_gas_used % GAS_PER_BLOB:
        raise InvalidBlock(
            f"blob_gas_used {header.blob_gas_used}, want a multiple of {GAS_PER_BLOB} up to {most}"
        )


def _check_blobs(block: Block) -> None:
    blobs = sum(len(tx.blob_versioned_hashes) for tx in block.transactions)
    declared = block.header.blob_gas_used
    if declared != blobs * GAS_PER_BLOB:
        raise ExecutionMismatch("blob_gas_used", declared, blobs * GAS_PER_BLOB)


def _refuse_foreign_parts(block: Block) -> None:
    if block.withdrawals:
        raise InvalidBlock(f"block has {len(block.withdrawals)} withdrawals, want none")
    if block.ommers:
        raise InvalidBlock(f"block has {len(block.ommers)} ommers, want none")
    for index, transaction in enumerate(block.transactions):
        if transaction.type == _BLOB_TYPE:
            raise InvalidBlock(f"transaction {index} carries blobs; this chain has none")


def _ommers_hash(ommers: Iterable[Header]) -> bytes:
    return keccak256(join_list([ommer.rlp for ommer in ommers]))


def _show(value: bytes | int) -> str:
    return str(value) if isinstance(value, int) else "0x" + value.hex()
