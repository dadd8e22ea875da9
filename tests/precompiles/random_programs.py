"""Random legal programs over all operators, from a seed: fuel for kernel == twin."""

import random
from dataclasses import replace

from precompiles.errors import ModelError
from precompiles.model.operands import OPERAND_FIELDS
from precompiles.model.types import DType, IntegerModel, Port, Quantization, TensorType
from precompiles.model.validate import validate_model
from tests.precompiles.random_operators import ANY, DRAWERS, Draft


def assemble(draft: Draft) -> IntegerModel:
    """The model of a draft; every computed tensor is an output."""
    first = len(draft.constants)
    scale = Quantization(3, 64, 0)

    def final(value: int) -> int:
        return value if value >= 0 else first - value - 1

    instructions = []
    for instruction in draft.instructions:
        changes: dict[str, object] = {"output": final(instruction.output)}
        for name in OPERAND_FIELDS[type(instruction)]:
            value = getattr(instruction, name)
            is_many = isinstance(value, tuple)
            changes[name] = tuple(final(item) for item in value) if is_many else final(value)
        instructions.append(replace(instruction, **changes))  # type: ignore[arg-type]
    indices = range(len(draft.tensors))
    ports = [Port(f"t{index}", first + index, scale) for index in indices]
    return IntegerModel(
        inputs=tuple(ports[: draft.inputs]),
        outputs=tuple(ports[draft.inputs :]),
        constants=tuple(draft.constants),
        tensors=tuple(draft.tensors),
        instructions=tuple(instructions),
    )


def random_program(seed: int, length: int) -> IntegerModel:
    """A legal model of up to ``length`` instructions, at least one."""
    draft = Draft(random.Random(seed))
    for _ in range(draft.rng.randint(1, 2)):
        draft.tensors.append(TensorType(draft.rng.choice(ANY), random_shape(draft.rng)))
    draft.tensors.append(TensorType(DType.U8, (draft.rng.randint(1, 7),) * 2 + (4,)))
    draft.inputs = len(draft.tensors)
    tries = 0
    while len(draft.instructions) < length and (tries < 40 or not draft.instructions):
        tries += 1
        _try_append(draft)
    return assemble(draft)


def random_shape(rng: random.Random) -> tuple[int, ...]:
    rank = rng.choice((0, 1, 1, 2, 2, 3, 3, 4))
    return tuple(rng.choice((1, 2, 3, 5, 17)) for _ in range(rank))


def _try_append(draft: Draft) -> None:
    constants, operator = len(draft.constants), draft.rng.choice(list(DRAWERS))
    try:
        instruction, kind = DRAWERS[operator](draft)
    except LookupError:
        return
    draft.tensors.append(kind)
    output = -len(draft.tensors)
    draft.instructions.append(replace(instruction, output=output))
    try:
        validate_model(assemble(draft))
    except ModelError:
        draft.instructions.pop()
        draft.tensors.pop()
        del draft.constants[constants:]
