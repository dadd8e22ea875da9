"""Blocks: header, transactions, ommers (before the merge), withdrawals (from Shanghai on).

The blocks of an Assay chain have neither ommers nor withdrawals.
"""

from collections.abc import Callable
from dataclasses import dataclass

from chain import rlp
from chain.errors import InvalidBlock, InvalidTransaction
from chain.header import Header, header_from_items
from chain.transactions import Transaction, decode_transaction

MAX_BLOCK_SIZE = 8_388_608
"""Largest RLP of a block in bytes, from Osaka on and on Assay chains (EIP-7934)."""

_SHANGHAI_FIELDS = 17
"""Fields of a header whose block has withdrawals (EIP-4895)."""


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A payment from the consensus layer (EIP-4895); amount in Gwei. Unused by QBFT."""

    index: int
    validator_index: int
    address: bytes
    amount: int

    @property
    def rlp(self) -> bytes:
        """``[index, validator index, address, amount]``."""
        return rlp.encode(
            [
                rlp.uint(self.index),
                rlp.uint(self.validator_index),
                self.address,
                rlp.uint(self.amount),
            ]
        )


@dataclass(frozen=True, slots=True)
class Block:
    """One block.

    Attributes:
        header: its ``field_count`` decides whether the block encodes withdrawals.
        transactions: in order of execution.
        withdrawals: none before Shanghai.
        ommers: headers of stale blocks, none from Paris on.
    """

    header: Header
    transactions: tuple[Transaction, ...]
    withdrawals: tuple[Withdrawal, ...] = ()
    ommers: tuple[Header, ...] = ()

    @property
    def hash(self) -> bytes:
        """Hash of the header."""
        return self.header.hash

    @property
    def number(self) -> int:
        """Height of the block."""
        return self.header.number

    @property
    def rlp(self) -> bytes:
        """``[header, transactions, ommers]``, and ``withdrawals`` from Shanghai on (EIP-4895)."""
        raws = [tx.raw if tx.type == 0 else rlp.encode_bytes(tx.raw) for tx in self.transactions]
        parts = [
            self.header.rlp,
            rlp.join_list(raws),
            rlp.join_list([ommer.rlp for ommer in self.ommers]),
        ]
        if self.header.field_count >= _SHANGHAI_FIELDS:
            parts.append(rlp.join_list([withdrawal.rlp for withdrawal in self.withdrawals]))
        return rlp.join_list(parts)


def decode_block(
    encoded: bytes,
    decode: Callable[[bytes], Transaction] = decode_transaction,
    limit: int | None = MAX_BLOCK_SIZE,
) -> Block:
    """Read one block, canonical encoding only; a few microseconds plus recovery per transaction.

    Args:
        encoded: ``Block.rlp``, at most ``limit`` bytes.
        decode: how a raw transaction becomes a record, for callers that know many already.
        limit: longer ones are refused before decoding; None on chains with forks before Osaka,
            where ``chain.validation`` knows the limit.

    Raises:
        InvalidBlock: naming the part that is wrong; a bad transaction with its index.
    """
    if limit is not None and len(encoded) > limit:
        raise InvalidBlock(f"block of {len(encoded)} bytes, at most {limit}")
    try:
        parts = rlp.split_list(encoded)
        if not parts:
            raise InvalidBlock("block is an empty list")
        header = header_from_items(rlp.decode_list(parts[0]))
        wanted = 4 if header.field_count >= _SHANGHAI_FIELDS else 3
        if len(parts) != wanted:
            raise InvalidBlock(f"block has {len(parts)} parts, want {wanted}")
        return Block(
            header=header,
            transactions=tuple(
                _transaction(index, part, decode)
                for index, part in enumerate(rlp.split_list(parts[1]))
            ),
            ommers=tuple(
                header_from_items(rlp.as_list(item)) for item in rlp.decode_list(parts[2])
            ),
            withdrawals=tuple(
                _withdrawal(item) for part in parts[3:] for item in rlp.decode_list(part)
            ),
        )
    except rlp.RlpError as error:
        raise InvalidBlock(f"block: {error}") from None


def _transaction(index: int, part: bytes, decode: Callable[[bytes], Transaction]) -> Transaction:
    raw = part if part[0] >= 0xC0 else rlp.as_bytes(rlp.decode(part))
    if part[0] < 0xC0 and raw[:1] >= b"\x80":
        raise InvalidBlock(f"transaction {index}: a legacy transaction wrapped in a string")
    try:
        return decode(raw)
    except InvalidTransaction as error:
        raise InvalidBlock(f"transaction {index}: {error}") from None


def _withdrawal(item: rlp.Decoded) -> Withdrawal:
    fields = rlp.as_list(item)
    if len(fields) != 4:
        raise InvalidBlock(f"withdrawal has {len(fields)} fields, want 4")
    return Withdrawal(
        index=rlp.as_uint(fields[0], 64),
        validator_index=rlp.as_uint(fields[1], 64),
        address=rlp.as_bytes(fields[2], 20),
        amount=rlp.as_uint(fields[3], 64),
    )
