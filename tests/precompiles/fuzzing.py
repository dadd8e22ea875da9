"""Fuel and judge of the fuzz tests: programs, mutants of programs and of bytes, hostile inputs.

``judge`` is the claim itself: what the validator accepts runs equal to its twins, and every value
lies in its proven interval.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import numpy as np

from precompiles.errors import ModelError
from precompiles.model.codec import decode_model, encode_model
from precompiles.model.types import Constant, DType, IntegerModel, TensorType
from precompiles.model.validate import validate_model, value_intervals
from precompiles.runner import plan_model, run_plan, run_reference
from tests.precompiles.random_programs import random_program

MOST_GAS = 20_000
"""Programs dearer than this are proven but not run: their twins take too long."""


@dataclass
class Tally:
    """What a fuzz run met."""

    refused: int = 0
    accepted: int = 0
    ran: int = 0


def hostile_input(model: IntegerModel, rng: random.Random, batch: int) -> bytes:
    """Raw bytes of a batch: whole ports of one extreme, or of any bytes, or of small numbers."""
    parts = []
    for _ in range(batch):
        for port in model.inputs:
            kind = model.type_of(port.value)
            low, high = kind.dtype.bounds
            way = rng.randrange(5)
            if way == 0:
                parts.append(rng.randbytes(kind.nbytes))
                continue
            near = 3 if way == 1 else 1 << rng.randrange(1, 64)
            numbers = {
                1: [rng.randint(max(low, -near), min(high, near)) for _ in range(kind.elements)],
                2: [rng.choice((low, high)) for _ in range(kind.elements)],
                3: [rng.choice((low, high))] * kind.elements,
                4: [rng.randint(max(low, -near), min(high, near)) for _ in range(kind.elements)],
            }[way]
            signed = low < 0
            parts += [value.to_bytes(kind.dtype.size, "little", signed=signed) for value in numbers]
    return b"".join(parts)


def judge(model: IntegerModel, rng: random.Random, tally: Tally) -> None:
    """Prove, and when accepted run on hostile inputs beside the twins."""
    try:
        cost = validate_model(model)
    except ModelError:
        tally.refused += 1
        return
    tally.accepted += 1
    if cost.gas_per_sample > MOST_GAS or cost.scratch_bytes_per_sample > 1 << 20:
        return
    tally.ran += 1
    batch = rng.choice((1, 2, 3, 5))
    data = hostile_input(model, rng, batch)
    got, expected = run_plan(plan_model(model), data, batch), run_reference(model, data, batch)
    assert got == expected, model
    check_intervals(model, got)


def check_intervals(model: IntegerModel, outputs: bytes) -> None:
    """Every output element lies in the interval that the validator proved."""
    intervals = value_intervals(model)
    offset = 0
    while offset < len(outputs):
        for port in model.outputs:
            kind = model.type_of(port.value)
            sign = "u" if kind.dtype is DType.U8 else "i"
            values = np.frombuffer(outputs, f"<{sign}{kind.dtype.size}", kind.elements, offset)
            low, high = intervals[port.value]
            assert low <= int(values.min()) <= int(values.max()) <= high, (port, model)
            offset += kind.nbytes


def mutate_bytes(data: bytes, rng: random.Random) -> bytes:
    """A few bytes flipped, replaced, inserted, deleted or repeated."""
    text = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        place = rng.randrange(len(text) + 1)
        kind = rng.randrange(5)
        if kind == 0 and place < len(text):
            text[place] ^= 1 << rng.randrange(8)
        elif kind == 1 and place < len(text):
            text[place] = rng.choice((0, 1, 0x7F, 0x80, 0x81, 0xB7, 0xB8, 0xC0, 0xC1, 0xF8, 0xFF))
        elif kind == 2:
            text[place:place] = rng.randbytes(rng.randint(1, 3))
        elif kind == 3:
            del text[place : place + rng.randint(1, 4)]
        else:
            other = rng.randrange(len(text) + 1)
            text[place:place] = text[min(place, other) : max(place, other)][:40]
    return bytes(text)


def decoded(data: bytes) -> IntegerModel | None:
    """The model of canonical bytes, None after ModelError; any other error escapes."""
    try:
        model = decode_model(data)
    except ModelError:
        return None
    assert encode_model(model) == data
    return model


def mutate_attribute(model: IntegerModel, rng: random.Random) -> IntegerModel:
    """One integer of one instruction moved, a little or far."""
    at = rng.randrange(len(model.instructions))
    victim = model.instructions[at]
    name = rng.choice([item.name for item in fields(victim)])
    step = rng.choice((-(1 << 63), -(1 << 31), -17, -2, -1, 1, 2, 16, 1 << 15, 1 << 31, 1 << 63))
    value = getattr(victim, name)
    if isinstance(value, tuple):
        place = rng.randrange(len(value)) if value else 0
        moved = (*value[:place], *(item + step for item in value[place : place + 1]))
        value = (*moved, *value[place + 1 :])
    else:
        value += step
    changed = replace(victim, **{name: value})
    return replace(
        model,
        instructions=(*model.instructions[:at], changed, *model.instructions[at + 1 :]),
    )


def mutate_constant(model: IntegerModel, rng: random.Random) -> IntegerModel:
    """The data of one constant: all lowest, all highest, all bytes alike, or any."""
    if not model.constants:
        return model
    at = rng.randrange(len(model.constants))
    kind = model.constants[at].type
    low, high = kind.dtype.bounds
    end = rng.choice((low, high)).to_bytes(kind.dtype.size, "little", signed=low < 0)
    data = rng.choice(
        (end * kind.elements, rng.randbytes(1) * kind.nbytes, rng.randbytes(kind.nbytes))
    )
    item = Constant(kind, data)
    return replace(model, constants=(*model.constants[:at], item, *model.constants[at + 1 :]))


def mutate_type(model: IntegerModel, rng: random.Random) -> IntegerModel:
    """The declared type of one tensor, input or computed."""
    at = rng.randrange(len(model.tensors))
    kind = model.tensors[at]
    shape = list(kind.shape)
    if shape and rng.random() < 0.6:
        axis = rng.randrange(len(shape))
        shape[axis] = max(shape[axis] + rng.choice((-1, 1, 15)), 0)
    else:
        kind = replace(kind, dtype=rng.choice(list(DType)))
    tensors = (*model.tensors[:at], TensorType(kind.dtype, tuple(shape)), *model.tensors[at + 1 :])
    return replace(model, tensors=tensors)


MUTATIONS = (mutate_attribute, mutate_attribute, mutate_constant, mutate_type)


def programs(first: int, count: int) -> Iterator[tuple[IntegerModel, random.Random]]:
    """Random programs with the generator that shall treat them."""
    for seed in range(first, first + count):
        rng = random.Random(seed)
        yield random_program(rng, rng.choice((1, 2, 4, 7))), rng


def fuzz(first: int, count: int) -> Tally:
    """Judge programs and, of each, three mutants."""
    tally = Tally()
    for model, rng in programs(first, count):
        judge(model, rng, tally)
        for _ in range(3):
            mutant = model
            for _ in range(rng.choice((1, 1, 2))):
                mutant = rng.choice(MUTATIONS)(mutant, rng)
            judge(mutant, rng, tally)
    return tally


def fuzz_bytes(first: int, count: int) -> Tally:
    """Judge what mutated bytes mean, where they mean something."""
    tally = Tally()
    for model, rng in programs(first, count):
        data = encode_model(model)
        for _ in range(3):
            mutant = decoded(mutate_bytes(data, rng))
            if mutant is None:
                tally.refused += 1
            else:
                judge(mutant, rng, tally)
    return tally
