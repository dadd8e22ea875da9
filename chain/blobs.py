"""Blob gas of headers: EIP-4844, EIP-7691 and the reserve price of EIP-7918. Integers only."""

from typing import Final

from chain.header import Header
from genesis.forks import BlobParameters, Fork, ForkSchedule

GAS_PER_BLOB: Final = 1 << 17
MIN_BLOB_BASE_FEE: Final = 1
BLOB_BASE_COST: Final = 1 << 13
"""Gas of execution below whose price a unit of GAS_PER_BLOB does not fall (EIP-7918)."""


def excess_blob_gas(schedule: ForkSchedule, parent: Header, timestamp: int) -> int:
    """Excess blob gas of the block at ``timestamp`` after ``parent``; 0 before Cancun.

    A parent before Cancun counts as one without blob gas. The parameters, and whether the reserve
    price holds, are those of the new block.
    """
    parameters = schedule.blob_parameters(timestamp)
    if parameters is None:
        return 0
    target = parameters.target * GAS_PER_BLOB
    total = parent.excess_blob_gas + parent.blob_gas_used
    if total < target:
        return 0
    if schedule.fork(parent.number + 1, timestamp) >= Fork.OSAKA and _is_below_reserve(
        parameters, parent
    ):
        most = max(parameters.max, 1)  # without blobs there is nothing to divide
        return parent.excess_blob_gas + parent.blob_gas_used * (most - parameters.target) // most
    return total - target


def blob_base_fee(excess: int, update_fraction: int) -> int:
    """Wei per blob gas: about e ** (excess / update_fraction), at least 1 (EIP-4844)."""
    i, output = 1, 0
    term = MIN_BLOB_BASE_FEE * update_fraction
    while term > 0:
        output += term
        term = term * excess // (update_fraction * i)
        i += 1
    return output // update_fraction


def blob_fee_of(schedule: ForkSchedule, header: Header) -> int:
    """Wei per blob gas in the block with this header; 0 before Cancun."""
    parameters = schedule.blob_parameters(header.timestamp)
    if parameters is None:
        return 0
    return blob_base_fee(header.excess_blob_gas, parameters.base_fee_update_fraction)


def _is_below_reserve(parameters: BlobParameters, parent: Header) -> bool:
    price = blob_base_fee(parent.excess_blob_gas, parameters.base_fee_update_fraction)
    return BLOB_BASE_COST * parent.base_fee_per_gas > GAS_PER_BLOB * price
