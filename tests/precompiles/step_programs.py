"""Models of one operator from a few words, and the comparison of kernels with twins."""

from collections.abc import Callable, Sequence

import numpy as np

from precompiles.kernels.arrays import Array, exact
from precompiles.model import operators as op
from precompiles.model.checks import NUMPY_TYPES
from precompiles.model.types import Constant, DType, IntegerModel, TensorType
from precompiles.model.validate import validate_model
from precompiles.planning import program as all_plans
from precompiles.reference import run_sample
from precompiles.selftest_draft import Draft
from tests.precompiles.dense_programs import Bench, random_inputs

assert all_plans  # registers them
U8, S8, S16, S32, S64 = DType
QUANTIZED = (U8, S8, S16, S32)
WIDE = (S32, S64)
Make = Callable[..., op.Instruction]


def fixed(dtype: DType, values: Array | Sequence[int]) -> Constant:
    array = np.asarray(values)
    return Constant(TensorType(dtype, array.shape), array.astype(NUMPY_TYPES[dtype]).tobytes())


def program(
    make: Make,
    operands: Sequence[TensorType | Constant],
    out: TensorType,
    clip: tuple[int, int] | None = None,
) -> IntegerModel:
    """A legal model of ``make(*values)``; tensors become inputs, clipped first when asked."""
    draft = Draft()
    values = [
        draft.constant(item) if isinstance(item, Constant) else draft.input(item)
        for item in operands
    ]
    for place, item in enumerate(operands):
        if clip and isinstance(item, TensorType):
            values[place] = draft.run(op.Clip(values[place], *clip, 0), item)
    model = draft.finish(draft.run(make(*values), out))
    validate_model(model)
    return model


def twin(model: IntegerModel, inputs: Sequence[Array]) -> Array:
    """(B, ..) of the output by the reference twins."""
    samples = [
        run_sample(model, [exact(item[number]) for item in inputs])[0]
        for number in range(len(inputs[0]))
    ]
    dtype = NUMPY_TYPES[model.type_of(model.outputs[0].value).dtype]
    return np.stack([np.asarray(item).astype(dtype) for item in samples])


def check(
    model: IntegerModel,
    inputs: Sequence[Array] | None = None,
    batch: int = 2,
    is_python: bool = False,
) -> list[str]:
    """Kernels equal twins between guard bytes; names of the kernels that ran."""
    given = list(inputs) if inputs is not None else random_inputs(model, batch)
    bench = Bench(model, len(given[0]))
    assert np.array_equal(bench.run(given, is_python), twin(model, given))
    return bench.names
