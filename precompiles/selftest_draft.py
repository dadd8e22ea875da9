"""Build a model of several instructions: constants may come at any time."""

from dataclasses import dataclass, field, replace
from typing import Any

from precompiles.model import operators as op
from precompiles.model.operands import OPERAND_FIELDS
from precompiles.model.types import Constant, IntegerModel, Port, Quantization, TensorType


@dataclass
class Draft:
    """A model being built. Constants are numbered 0, 1, ..; tensors -1, -2, .. until ``finish``."""

    constants: list[Constant] = field(default_factory=list)
    tensors: list[TensorType] = field(default_factory=list)
    instructions: list[op.Instruction] = field(default_factory=list)
    inputs: int = 0

    def constant(self, item: Constant) -> int:
        """Number of a new constant."""
        self.constants.append(item)
        return len(self.constants) - 1

    def input(self, kind: TensorType) -> int:
        """Number of a new input; before any ``run``."""
        self.inputs += 1
        return self._tensor(kind)

    def run(self, instruction: op.Instruction, kind: TensorType) -> int:
        """Append an instruction, whatever its ``output`` says; number of its output."""
        output = self._tensor(kind)
        self.instructions.append(replace(instruction, output=output))
        return output

    def finish(self, *outputs: int) -> IntegerModel:
        """The model with these outputs."""
        scale = Quantization(1, 1, 0)
        first = len(self.constants)
        return IntegerModel(
            inputs=tuple(Port(f"x{i}", first + i, scale) for i in range(self.inputs)),
            outputs=tuple(
                Port(f"y{i}", self._value(item), scale) for i, item in enumerate(outputs)
            ),
            constants=tuple(self.constants),
            tensors=tuple(self.tensors),
            instructions=tuple(self._final(item) for item in self.instructions),
        )

    def _tensor(self, kind: TensorType) -> int:
        self.tensors.append(kind)
        return -len(self.tensors)

    def _value(self, number: int) -> int:
        return number if number >= 0 else len(self.constants) - number - 1

    def _final(self, instruction: op.Instruction) -> op.Instruction:
        changes: dict[str, Any] = {}
        for name in (*OPERAND_FIELDS[type(instruction)], "output"):
            value = getattr(instruction, name)
            if isinstance(value, tuple):
                changes[name] = tuple(self._value(item) for item in value)
            else:
                changes[name] = self._value(value)
        return replace(instruction, **changes)
