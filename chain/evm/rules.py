"""What a transaction must satisfy to stand in a block of each fork.

Decoding (``chain.transactions``) has checked ranges, signature, fee order and the type-3 and type-4
recipient already: a ``Transaction`` that breaks those cannot exist. Order and texts are geth's.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chain.blobs import GAS_PER_BLOB
from chain.errors import (
    FeeCapTooLow,
    FloorGasTooLow,
    GasCapExceeded,
    GasLimitExceeded,
    InitcodeTooLarge,
    InsufficientFunds,
    IntrinsicGasTooLow,
    InvalidSignature,
    InvalidTransaction,
    NonceTooHigh,
    NonceTooLow,
    SenderNotEoa,
    TypeNotSupported,
    WrongChainId,
)
from chain.evm.delegation import is_delegation
from chain.evm.environment import BlockEnvironment
from chain.fees import MAX_INITCODE_SIZE, floor_gas, intrinsic_gas
from chain.signatures import HALF_ORDER
from chain.transactions import Transaction
from genesis.forks import Fork

if TYPE_CHECKING:
    from chain.evm.state import WorldState

MAX_BLOBS_PER_TRANSACTION: Final = 6
"""From Osaka on (EIP-7594)."""

_BLOB_TYPE: Final = 3
_FIRST_FORK: Final = (Fork.FRONTIER, Fork.BERLIN, Fork.LONDON, Fork.CANCUN, Fork.PRAGUE)
"""By transaction type."""


@dataclass(frozen=True, slots=True)
class GasAvailable:
    """Room in the block being executed.

    Attributes:
        gas: of ordinary kind.
        transaction_cap: largest gas limit of one transaction (EIP-7825); None where there is none.
        blob_gas: None on chains that take no blobs.
    """

    gas: int
    transaction_cap: int | None
    blob_gas: int | None = None


def check_transaction(
    transaction: Transaction, state: "WorldState", block: BlockEnvironment, room: GasAvailable
) -> None:
    """Raise unless ``transaction`` may run now, after the ones before it in the block.

    Raises:
        InvalidTransaction: a subclass that names the rule and both values.
    """
    check_envelope(transaction, block.fork, block.chain_id, room.transaction_cap)
    _check_sender(transaction, state)
    base_fee = block.base_fee_per_gas
    if transaction.max_fee_per_gas < base_fee:
        raise FeeCapTooLow(transaction.sender, transaction.max_fee_per_gas, base_fee)
    cost = transaction.value + transaction.gas_limit * transaction.max_fee_per_gas
    if transaction.type == _BLOB_TYPE:
        cost += _check_blobs(transaction, block, room)
    balance = state.get_balance(transaction.sender)
    if balance < cost:
        raise InsufficientFunds(transaction.sender, balance, cost)
    if transaction.gas_limit > room.gas:
        raise GasLimitExceeded(transaction.gas_limit, room.gas)


def check_envelope(
    transaction: Transaction, fork: Fork, chain_id: int, transaction_cap: int | None
) -> None:
    """The rules that need no state: type, chain id, initcode size, gas limit.

    Args:
        transaction: decoded.
        fork: rules of the block.
        chain_id: of this chain.
        transaction_cap: largest gas limit of one transaction, None where there is none.

    Raises:
        InvalidTransaction: a subclass that names the rule and both values.
    """
    _check_kind(transaction, fork, chain_id)
    size = len(transaction.data)
    if transaction.to is None and size > MAX_INITCODE_SIZE and fork >= Fork.SHANGHAI:
        raise InitcodeTooLarge(size, MAX_INITCODE_SIZE)
    gas_limit = transaction.gas_limit
    if transaction_cap is not None and gas_limit > transaction_cap:
        raise GasCapExceeded(gas_limit, transaction_cap)
    intrinsic, floor = intrinsic_gas(transaction, fork), floor_gas(transaction, fork)
    if gas_limit < intrinsic:
        raise IntrinsicGasTooLow(gas_limit, intrinsic)
    if gas_limit < floor:
        raise FloorGasTooLow(gas_limit, floor)


def _check_kind(transaction: Transaction, fork: Fork, chain_id: int) -> None:
    """Type, replay protection (EIP-155) and low s (EIP-2)."""
    if fork < _FIRST_FORK[transaction.type]:
        raise TypeNotSupported(
            f"type {transaction.type} before {_FIRST_FORK[transaction.type].name}"
        )
    if transaction.chain_id != chain_id and (
        transaction.chain_id is not None or transaction.type != 0
    ):
        raise WrongChainId(transaction.chain_id, chain_id)
    if fork < Fork.SPURIOUS_DRAGON and transaction.chain_id is not None:
        raise InvalidSignature(f"v {transaction.v}, want 27 or 28 before SPURIOUS_DRAGON")
    if transaction.s > HALF_ORDER and fork >= Fork.HOMESTEAD:
        raise InvalidSignature(f"s {transaction.s:#x} above half the curve's order")


def _check_sender(transaction: Transaction, state: "WorldState") -> None:
    nonce = state.get_nonce(transaction.sender)
    if transaction.nonce < nonce:
        raise NonceTooLow(nonce, transaction.nonce)
    if transaction.nonce > nonce:
        raise NonceTooHigh(nonce, transaction.nonce)
    code = state.get_code(transaction.sender)
    if code and not is_delegation(code):
        raise SenderNotEoa(transaction.sender, len(code))


def _check_blobs(transaction: Transaction, block: BlockEnvironment, room: GasAvailable) -> int:
    """Largest blob fee in wei (EIP-4844)."""
    if room.blob_gas is None:
        raise TypeNotSupported("blob transaction; this chain has no blobs")
    blobs = len(transaction.blob_versioned_hashes)
    if blobs > MAX_BLOBS_PER_TRANSACTION and block.fork >= Fork.OSAKA:
        raise InvalidTransaction(
            f"too many blobs in transaction: have {blobs}, permitted {MAX_BLOBS_PER_TRANSACTION}"
        )
    if blobs * GAS_PER_BLOB > room.blob_gas:
        raise InvalidTransaction(
            f"blob gas limit reached: have {blobs * GAS_PER_BLOB}, available {room.blob_gas}"
        )
    if transaction.max_fee_per_blob_gas < block.blob_base_fee:
        raise InvalidTransaction(
            "max fee per blob gas less than block blob gas fee: "
            f"maxFeePerBlobGas: {transaction.max_fee_per_blob_gas}, "
            f"blobBaseFee: {block.blob_base_fee}"
        )
    return blobs * GAS_PER_BLOB * transaction.max_fee_per_blob_gas
