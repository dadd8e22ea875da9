"""What a transaction costs before its first opcode, and the base fee. Integers only."""

from typing import Final

from chain.header import Header
from chain.transactions import Transaction

TRANSACTION_GAS: Final = 21_000
CREATION_GAS: Final = 32_000
INITCODE_WORD_GAS: Final = 2
ZERO_BYTE_GAS: Final = 4
TOKENS_PER_NONZERO_BYTE: Final = 4
FLOOR_GAS_PER_TOKEN: Final = 10
ACCESS_LIST_ADDRESS_GAS: Final = 2_400
ACCESS_LIST_SLOT_GAS: Final = 1_900
AUTHORIZATION_GAS: Final = 25_000
MAX_INITCODE_SIZE: Final = 49_152

ELASTICITY: Final = 2
BASE_FEE_CHANGE_DENOMINATOR: Final = 8


def intrinsic_gas(transaction: Transaction) -> int:
    """Gas due before execution: EIP-2028, EIP-2930, EIP-3860, EIP-7702."""
    gas = TRANSACTION_GAS + ZERO_BYTE_GAS * _tokens(transaction.data)
    if transaction.to is None:
        words = (len(transaction.data) + 31) // 32
        gas += CREATION_GAS + INITCODE_WORD_GAS * words
    for _, slots in transaction.access_list:
        gas += ACCESS_LIST_ADDRESS_GAS + ACCESS_LIST_SLOT_GAS * len(slots)
    return gas + AUTHORIZATION_GAS * len(transaction.authorization_list)


def floor_gas(transaction: Transaction) -> int:
    """Least gas that the transaction uses, and least gas limit (EIP-7623)."""
    return TRANSACTION_GAS + FLOOR_GAS_PER_TOKEN * _tokens(transaction.data)


def next_base_fee(parent: Header) -> int:
    """Base fee in wei per gas of the block after ``parent`` (EIP-1559)."""
    target = parent.gas_limit // ELASTICITY
    fee, used = parent.base_fee_per_gas, parent.gas_used
    if used == target:
        return fee
    change = fee * abs(used - target) // target // BASE_FEE_CHANGE_DENOMINATOR
    return fee + max(change, 1) if used > target else fee - change


def _tokens(data: bytes) -> int:
    zeros = data.count(0)
    return zeros + (len(data) - zeros) * TOKENS_PER_NONZERO_BYTE
