"""What a transaction must satisfy to stand in a block; everything py-evm 0.12.1b1 omits is here.

Decoding (``chain.transactions``) has checked ranges, signature, fee order and the type-3 and type-4
recipient already: a ``Transaction`` that breaks those cannot exist. Order and texts are geth's.
"""

from dataclasses import dataclass
from typing import Final

from chain.errors import (
    FeeCapTooLow,
    GasCapExceeded,
    GasLimitExceeded,
    InitcodeTooLarge,
    InsufficientFunds,
    IntrinsicGasTooLow,
    InvalidTransaction,
    NonceTooHigh,
    NonceTooLow,
    SenderNotEoa,
    TypeNotSupported,
    WrongChainId,
)
from chain.evm.old_state import WorldState
from chain.fees import MAX_INITCODE_SIZE, floor_gas, intrinsic_gas
from chain.transactions import Transaction
from genesis.forks import Fork

DELEGATION_PREFIX: Final = b"\xef\x01\x00"
"""Code of a delegated account is this and a 20-byte address (EIP-7702)."""

GAS_PER_BLOB: Final = 1 << 17
MAX_BLOB_GAS: Final = 9 * GAS_PER_BLOB
_BLOB_TYPE: Final = 3


@dataclass(frozen=True, slots=True)
class GasAvailable:
    """Room in the block being executed.

    Attributes:
        gas: of ordinary kind.
        transaction_cap: largest gas limit of one transaction.
        blob_gas: None on chains that take no blobs, which is this one.
    """

    gas: int
    transaction_cap: int
    blob_gas: int | None = None


def check_transaction(transaction: Transaction, state: WorldState, room: GasAvailable) -> None:
    """Raise unless ``transaction`` may run now, after the ones before it in the block.

    Raises:
        InvalidTransaction: a subclass that names the rule and both values.
    """
    check_envelope(transaction, state.execution_context.chain_id, room.transaction_cap)
    _check_sender(transaction, state)
    if transaction.max_fee_per_gas < state.base_fee:
        raise FeeCapTooLow(transaction.sender, transaction.max_fee_per_gas, state.base_fee)
    cost = transaction.maximum_cost()
    if transaction.type == _BLOB_TYPE:
        cost += _check_blobs(transaction, state, room)
    balance = state.get_balance(transaction.sender)
    if balance < cost:
        raise InsufficientFunds(transaction.sender, balance, cost)
    if transaction.gas_limit > room.gas:
        raise GasLimitExceeded(transaction.gas_limit, room.gas)


def check_envelope(transaction: Transaction, chain_id: int, transaction_cap: int) -> None:
    """The rules that need no state: chain id, gas limit against cap, intrinsic and floor, initcode.

    Raises:
        InvalidTransaction: a subclass that names the rule and both values.
    """
    if transaction.chain_id is None:
        if transaction.type != 0:
            raise WrongChainId(None, chain_id)
    elif transaction.chain_id != chain_id:
        raise WrongChainId(transaction.chain_id, chain_id)
    if transaction.to is None and len(transaction.data) > MAX_INITCODE_SIZE:
        raise InitcodeTooLarge(len(transaction.data), MAX_INITCODE_SIZE)
    if transaction.gas_limit > transaction_cap:
        raise GasCapExceeded(transaction.gas_limit, transaction_cap)
    intrinsic, floor = intrinsic_gas(transaction, Fork.PRAGUE), floor_gas(transaction, Fork.PRAGUE)
    if transaction.gas_limit < intrinsic:
        raise IntrinsicGasTooLow(transaction.gas_limit, intrinsic)
    if transaction.gas_limit < floor:
        raise IntrinsicGasTooLow(transaction.gas_limit, floor, "floor data gas")


def is_delegation(code: bytes) -> bool:
    """Whether ``code`` is an EIP-7702 delegation designator."""
    return len(code) == 23 and code.startswith(DELEGATION_PREFIX)


def _check_sender(transaction: Transaction, state: WorldState) -> None:
    nonce = state.get_nonce(transaction.sender)
    if transaction.nonce < nonce:
        raise NonceTooLow(nonce, transaction.nonce)
    if transaction.nonce > nonce:
        raise NonceTooHigh(nonce, transaction.nonce)
    code = state.get_code(transaction.sender)
    if code and not is_delegation(code):
        raise SenderNotEoa(transaction.sender, len(code))


def _check_blobs(transaction: Transaction, state: WorldState, room: GasAvailable) -> int:
    """Largest blob fee in wei (EIP-4844)."""
    if room.blob_gas is None:
        raise TypeNotSupported("blob transaction; this chain has no blobs")
    blob_gas = GAS_PER_BLOB * len(transaction.blob_versioned_hashes)
    if blob_gas > room.blob_gas:
        raise InvalidTransaction(f"blob gas {blob_gas} exceeds the block's {room.blob_gas}")
    if transaction.max_fee_per_blob_gas < state.blob_base_fee:
        raise InvalidTransaction(
            "max fee per blob gas less than block blob gas fee: "
            f"maxFeePerBlobGas {transaction.max_fee_per_blob_gas}, have {state.blob_base_fee}"
        )
    return blob_gas * transaction.max_fee_per_blob_gas
