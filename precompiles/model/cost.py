"""Work of a call, from shapes alone, so that gas never needs the weights.

Per sample: arithmetic, by operator. Per call: the call, each instruction, each byte of constants.
Prices: precompiles/model/prices.py. Nothing here reads constant data.
"""

from precompiles.model import prices
from precompiles.model.buffers import prepared_bytes, scratch_bytes
from precompiles.model.types import CostRecord, IntegerModel
from precompiles.model.work import sample_work


def cost_of(model: IntegerModel) -> CostRecord:
    """Static upper bound of the work of ``model``, which must be legal in types and shapes."""
    ports = len(model.inputs) + len(model.outputs)
    per_slice = prices.INSTRUCTION * len(model.instructions) + prices.PORT * ports
    per_slice += prices.WEIGHT_BYTE * prepared_bytes(model)
    input_bytes = sum(model.type_of(port.value).nbytes for port in model.inputs)
    output_bytes = sum(model.type_of(port.value).nbytes for port in model.outputs)
    scratch = scratch_bytes(model)
    per_sample = prices.COPIED_BYTE * (input_bytes + output_bytes)
    per_sample += sum(sample_work(item, model) for item in model.instructions)
    per_sample += min(per_slice, per_slice * scratch // prices.SLICE_BYTES)
    return CostRecord(
        gas_per_call=_gas(prices.CALL + per_slice),
        gas_per_sample=_gas(per_sample),
        input_bytes_per_sample=input_bytes,
        output_bytes_per_sample=output_bytes,
        scratch_bytes_per_sample=scratch,
    )


def _gas(units: int) -> int:
    return -(-units // prices.SCALE)
