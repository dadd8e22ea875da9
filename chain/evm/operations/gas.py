"""Gas of opcodes, fork by fork. Yellow Paper appendix G and the EIPs named below."""

from dataclasses import dataclass, replace
from functools import cache
from typing import Final

from genesis.forks import Fork

ZERO, JUMPDEST, BASE, VERY_LOW, LOW, MID, HIGH = 0, 1, 2, 3, 5, 8, 10
EXP: Final = 10
KECCAK256: Final = 30
KECCAK256_WORD: Final = 6
COPY_WORD: Final = 3
BLOCKHASH: Final = 20
LOG: Final = 375
LOG_TOPIC: Final = 375
LOG_BYTE: Final = 8
CREATE: Final = 32_000
CALL_VALUE: Final = 9_000
CALL_STIPEND: Final = 2_300
NEW_ACCOUNT: Final = 25_000
STORAGE_SET: Final = 20_000
STORAGE_RESET: Final = 5_000
SELFDESTRUCT_REFUND: Final = 24_000
TRANSIENT: Final = 100


@dataclass(frozen=True, slots=True)
class GasSchedule:
    """Prices and rules of one fork.

    Attributes:
        fork: the fork.
        sload, balance, extcode, extcodehash, call: of a warm account or slot from Berlin on.
        selfdestruct: static part of SELFDESTRUCT.
        exp_byte: per byte of EXP's exponent (EIP-160).
        cold_account, cold_slot: added for the first access in a transaction (EIP-2929).
        cold_storage: the same for SSTORE.
        storage_clear_refund: for a slot that becomes zero (EIP-3529).
        net_storage: SSTORE costs by the original value, too (EIP-1283, EIP-2200).
        storage_stipend: SSTORE fails with this much gas or less (EIP-2200).
        initcode_word: per 32 bytes of initcode (EIP-3860).
        keeps_64th: a call leaves 1/64 of the gas with the caller (EIP-150).
        clears_empty: empty accounts count as absent (EIP-161).
    """

    fork: Fork
    sload: int = 50
    balance: int = 20
    extcode: int = 20
    extcodehash: int = 400
    call: int = 40
    selfdestruct: int = 0
    exp_byte: int = 10
    cold_account: int = 0
    cold_slot: int = 0
    cold_storage: int = 0
    storage_clear_refund: int = 15_000
    net_storage: bool = False
    storage_stipend: int = -1
    initcode_word: int = 0
    keeps_64th: bool = False
    clears_empty: bool = False


@cache
def schedule_of(fork: Fork) -> GasSchedule:
    """Prices of a fork."""
    gas = GasSchedule(fork)
    if fork >= Fork.TANGERINE_WHISTLE:  # EIP-150
        gas = replace(
            gas, sload=200, balance=400, extcode=700, call=700, selfdestruct=5_000, keeps_64th=True
        )
    if fork >= Fork.SPURIOUS_DRAGON:  # EIP-160, EIP-161
        gas = replace(gas, exp_byte=50, clears_empty=True)
    if fork == Fork.CONSTANTINOPLE:  # EIP-1283, withdrawn in Petersburg (EIP-1716)
        gas = replace(gas, net_storage=True)
    if fork >= Fork.ISTANBUL:  # EIP-1884, EIP-2200
        gas = replace(gas, sload=800, balance=700, extcodehash=700)
        gas = replace(gas, net_storage=True, storage_stipend=CALL_STIPEND)
    if fork >= Fork.BERLIN:  # EIP-2929
        gas = replace(gas, sload=100, balance=100, extcode=100, extcodehash=100, call=100)
        gas = replace(gas, cold_account=2_500, cold_slot=2_000, cold_storage=2_100)
    if fork >= Fork.LONDON:  # EIP-3529
        gas = replace(gas, storage_clear_refund=4_800)
    if fork >= Fork.SHANGHAI:  # EIP-3860
        gas = replace(gas, initcode_word=2)
    return gas
