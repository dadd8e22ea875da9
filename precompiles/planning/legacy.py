"""Operators without a plan of their own yet: the former engine, or the twin, in Python."""

from dataclasses import dataclass
from math import prod

import numpy as np

from precompiles import reference
from precompiles.binding import bind
from precompiles.errors import ModelError
from precompiles.kernels.arrays import S64, U8, Array, exact
from precompiles.kernels.jit import Kernel
from precompiles.model import operators as op
from precompiles.model.checks import NUMPY_TYPES, constant_array, is_constant
from precompiles.model.operands import operands_of
from precompiles.model.types import DType, IntegerModel
from precompiles.planning.planner import Planner


@dataclass(frozen=True)
class Borrowed:
    """One instruction as a callable of the kernels' signature; args are operands, then output."""

    instruction: op.Instruction
    model: IntegerModel

    def __call__(self, memory: U8, weights: U8, args: S64, batch: int) -> None:
        """Run on a batch."""
        model, instruction = self.model, self.instruction
        tensors = [item for item in operands_of(instruction) if not is_constant(model, item)]
        views = [
            self._view(memory, value, int(offset), batch)
            for value, offset in zip((*tensors, instruction.output), args, strict=True)
        ]
        try:
            if (
                getattr(instruction, "dilations", None)
                and model.type_of(tensors[0]).dtype is DType.S16
            ):
                raise ModelError("no former kernel for a 16-bit convolution")
            run = bind(instruction, model)
        except ModelError:
            views[-1][...] = self._twin(tensors, views, batch)
        else:
            views[-1][...] = run(*(np.array(item, order="C") for item in views[:-1]))

    def _view(self, memory: U8, value: int, offset: int, batch: int) -> Array:
        kind = self.model.type_of(value)
        window = memory[offset : offset + batch * kind.nbytes].view(NUMPY_TYPES[kind.dtype])
        return window.reshape(batch, *kind.shape)

    def _twin(self, tensors: list[int], views: list[Array], batch: int) -> Array:
        kind = self.model.type_of(self.instruction.output)
        out = np.empty((batch, prod(kind.shape)), NUMPY_TYPES[kind.dtype])
        for sample in range(batch):
            values = {
                value: exact(constant_array(self.model, value))
                for value in operands_of(self.instruction)
                if is_constant(self.model, value)
            }
            values |= {
                value: exact(view[sample]) for value, view in zip(tensors, views, strict=False)
            }
            result = reference.evaluate(self.instruction, values, self.model)
            out[sample] = np.asarray(result, dtype=object).reshape(-1).astype(out.dtype)
        return out.reshape(batch, *kind.shape)


def borrow(instruction: op.Instruction, planner: Planner) -> None:
    """Emit a step in Python."""
    tensors = [item for item in operands_of(instruction) if not is_constant(planner.model, item)]
    places = [planner.tensor(value) for value in (*tensors, instruction.output)]
    made = Kernel(Borrowed(instruction, planner.model))
    made._compiled = made.source
    planner.emit(made, *places)
