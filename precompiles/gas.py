"""Gas of inference calls: known before any work, needs no weights.

Work prices are in ``precompiles.model.prices``; here is what a call adds to them.
"""

from precompiles.model.types import CostRecord

GAS_PER_DECIMAL = 60
"""One element converted between a decimal integer and a quantised value, each way."""

GAS_PER_CALL_BYTE = 1
"""One byte of raw tensor copied into or out of the EVM."""


def gas_for(cost: CostRecord, batch: int) -> int:
    """Gas of running a model on ``batch >= 1`` samples; charged in full before the run."""
    if batch < 1:
        raise ValueError(f"batch {batch}, expected at least 1")
    return cost.gas_per_call + batch * cost.gas_per_sample


def decimal_gas(elements: int) -> int:
    """Gas of converting ``elements`` values across the decimal border, in or out."""
    return GAS_PER_DECIMAL * elements
