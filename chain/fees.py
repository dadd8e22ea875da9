"""What a transaction costs before its first opcode, and the base fee. Integers only."""

from typing import Final

from chain.header import Header, field_count
from chain.transactions import Transaction
from genesis.forks import Fork
from genesis.spec import GenesisSpec

TRANSACTION_GAS: Final = 21_000
CREATION_GAS: Final = 32_000
INITCODE_WORD_GAS: Final = 2
ZERO_BYTE_GAS: Final = 4
NONZERO_BYTE_GAS: Final = 16
FRONTIER_NONZERO_BYTE_GAS: Final = 68
TOKENS_PER_NONZERO_BYTE: Final = 4
FLOOR_GAS_PER_TOKEN: Final = 10
ACCESS_LIST_ADDRESS_GAS: Final = 2_400
ACCESS_LIST_SLOT_GAS: Final = 1_900
AUTHORIZATION_GAS: Final = 25_000
MAX_INITCODE_SIZE: Final = 49_152
OSAKA_TRANSACTION_GAS_CAP: Final = 1 << 24

INITIAL_BASE_FEE: Final = 10**9
ELASTICITY: Final = 2
BASE_FEE_CHANGE_DENOMINATOR: Final = 8


def intrinsic_gas(transaction: Transaction, fork: Fork) -> int:
    """Gas due before execution: Yellow Paper section 6.2, EIP-2, 2028, 2930, 3860, 7702."""
    data = transaction.data
    gas = TRANSACTION_GAS
    if data:
        zeros = data.count(0)
        nonzero = NONZERO_BYTE_GAS if fork >= Fork.ISTANBUL else FRONTIER_NONZERO_BYTE_GAS
        gas += ZERO_BYTE_GAS * zeros + nonzero * (len(data) - zeros)
    if transaction.to is None and fork >= Fork.HOMESTEAD:
        gas += CREATION_GAS
        if fork >= Fork.SHANGHAI:
            gas += INITCODE_WORD_GAS * ((len(data) + 31) // 32)
    for _, slots in transaction.access_list:
        gas += ACCESS_LIST_ADDRESS_GAS + ACCESS_LIST_SLOT_GAS * len(slots)
    return gas + AUTHORIZATION_GAS * len(transaction.authorization_list)


def floor_gas(transaction: Transaction, fork: Fork) -> int:
    """Least gas that the transaction uses, and least gas limit (EIP-7623); 0 before Prague."""
    if fork < Fork.PRAGUE:
        return 0
    zeros = transaction.data.count(0)
    tokens = zeros + (len(transaction.data) - zeros) * TOKENS_PER_NONZERO_BYTE
    return TRANSACTION_GAS + FLOOR_GAS_PER_TOKEN * tokens


def transaction_gas_cap(spec: GenesisSpec, fork: Fork) -> int | None:
    """Largest gas limit of one transaction; None where there is none.

    An Assay chain says its own (``assay.transactionGasCap``), Ethereum's begins with Osaka
    (EIP-7825).
    """
    if spec.assay is not None:
        return spec.assay.transaction_gas_cap
    return OSAKA_TRANSACTION_GAS_CAP if fork >= Fork.OSAKA else None


def next_base_fee(parent: Header) -> int:
    """Base fee in wei per gas of the London or later block after ``parent`` (EIP-1559)."""
    if parent.field_count < field_count(Fork.LONDON):
        return INITIAL_BASE_FEE
    fee, used = parent.base_fee_per_gas, parent.gas_used
    target = parent.gas_limit // ELASTICITY
    if used == target:
        return fee
    change = fee * abs(used - target) // target // BASE_FEE_CHANGE_DENOMINATOR
    return fee + max(change, 1) if used > target else fee - change
