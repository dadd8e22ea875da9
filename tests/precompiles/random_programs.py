"""Random legal programs over all operators: fuel for kernel == twin."""

import random
from dataclasses import replace

from precompiles.errors import ModelError
from precompiles.model.operands import OPERAND_FIELDS, operands_of
from precompiles.model.types import DType, IntegerModel, Port, Quantization, TensorType
from precompiles.model.validate import validate_model, value_intervals
from tests.precompiles.random_operators import ANY, DRAWERS, Draft


def assemble(draft: Draft, shown: frozenset[int] = frozenset()) -> IntegerModel:
    """The model of a draft; outputs are the tensors that nobody reads, and those ``shown``."""
    first = len(draft.constants)
    scale = Quantization(3, 64, 0)

    def final(value: int) -> int:
        return value if value >= 0 else first - value - 1

    instructions = []
    read: set[int] = set()
    for instruction in draft.instructions:
        changes: dict[str, object] = {"output": final(instruction.output)}
        for name in OPERAND_FIELDS[type(instruction)]:
            value = getattr(instruction, name)
            is_many = isinstance(value, tuple)
            changes[name] = tuple(final(item) for item in value) if is_many else final(value)
        instructions.append(replace(instruction, **changes))  # type: ignore[arg-type]
        read.update(operands_of(instructions[-1]))
    ports = [Port(f"t{index}", first + index, scale) for index in range(len(draft.tensors))]
    computed = ports[draft.inputs :]
    return IntegerModel(
        inputs=tuple(ports[: draft.inputs]),
        outputs=tuple(
            port for port in computed if port.value not in read or port.value - first in shown
        ),
        constants=tuple(draft.constants),
        tensors=tuple(draft.tensors),
        instructions=tuple(instructions),
    )


def random_program(source: int | random.Random, length: int) -> IntegerModel:
    """A legal model of about ``length`` instructions, at least one, from a seed or a generator."""
    draft = Draft(random.Random(source) if isinstance(source, int) else source)
    for _ in range(draft.rng.randint(1, 2)):
        draft.input(TensorType(draft.rng.choice(ANY), random_shape(draft.rng)))
    image = draft.rng.choice((DType.U8, DType.S16))
    draft.input(TensorType(image, (draft.rng.randint(1, 7),) * 2 + (4,)))
    if draft.rng.random() < 0.5:
        draft.input(TensorType(draft.rng.choice((DType.S32, DType.S64)), (5,)))
    tries = 0
    while len(draft.instructions) < length and (tries < 40 or not draft.instructions):
        tries += 1
        _try_append(draft)
    last = len(draft.tensors)
    shown = (index for index in range(draft.inputs, last) if draft.rng.random() < 0.2)
    return assemble(draft, frozenset(shown))


def random_shape(rng: random.Random) -> tuple[int, ...]:
    rank = rng.choice((0, 1, 1, 2, 2, 3, 3, 4))
    return tuple(rng.choice((1, 2, 3, 5, 17)) for _ in range(rank))


def _try_append(draft: Draft) -> None:
    """Draw one instruction, with what prepares its operands; forget all of it when refused."""
    known = len(draft.constants), len(draft.tensors), len(draft.instructions)
    operator = draft.rng.choice(list(DRAWERS))
    try:
        draft.append(*DRAWERS[operator](draft))
        model = assemble(draft)
        validate_model(model)
    except (LookupError, ModelError):
        del draft.constants[known[0] :]
        del draft.tensors[known[1] :]
        del draft.intervals[known[1] :]
        del draft.instructions[known[2] :]
        return
    intervals, first = value_intervals(model), len(draft.constants)
    draft.intervals = [intervals[first + index] for index in range(len(draft.tensors))]
