"""Blocks: header, transactions, withdrawals (empty under QBFT)."""

from collections.abc import Callable
from dataclasses import dataclass

from chain import rlp
from chain.errors import InvalidBlock, InvalidTransaction
from chain.header import Header, header_from_items
from chain.transactions import Transaction, decode_transaction

MAX_BLOCK_SIZE = 8_388_608
"""Largest RLP of a block in bytes (EIP-7934); longer ones are refused before decoding."""


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
    """One block; no ommers exist on this chain."""

    header: Header
    transactions: tuple[Transaction, ...]
    withdrawals: tuple[Withdrawal, ...] = ()

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
        """``[header, transactions, ommers = [], withdrawals]`` (EIP-4895)."""
        return rlp.join_list(
            [
                self.header.rlp,
                rlp.join_list(
                    [
                        tx.raw if tx.type == 0 else rlp.encode_bytes(tx.raw)
                        for tx in self.transactions
                    ]
                ),
                b"\xc0",
                rlp.join_list([withdrawal.rlp for withdrawal in self.withdrawals]),
            ]
        )


def decode_block(
    encoded: bytes, decode: Callable[[bytes], Transaction] = decode_transaction
) -> Block:
    """Read one block, canonical encoding only; a few microseconds plus recovery per transaction.

    Args:
        encoded: ``Block.rlp``, at most MAX_BLOCK_SIZE bytes.
        decode: how a raw transaction becomes a record, for callers that know many already.

    Raises:
        InvalidBlock: naming the part that is wrong; a bad transaction with its index.
    """
    if len(encoded) > MAX_BLOCK_SIZE:
        raise InvalidBlock(f"block of {len(encoded)} bytes, at most {MAX_BLOCK_SIZE}")
    try:
        parts = rlp.split_list(encoded)
        if len(parts) != 4:
            raise InvalidBlock(f"block has {len(parts)} parts, want 4")
        if parts[2] != b"\xc0":
            raise InvalidBlock("block has ommers; this chain has none")
        return Block(
            header=header_from_items(rlp.decode_list(parts[0])),
            transactions=tuple(
                _transaction(index, part, decode)
                for index, part in enumerate(rlp.split_list(parts[1]))
            ),
            withdrawals=tuple(_withdrawal(item) for item in rlp.decode_list(parts[3])),
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
