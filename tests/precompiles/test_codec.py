"""The canonical bytes: one string per model, ModelError for everything else."""

import random
from dataclasses import fields, replace
from typing import get_origin

import pytest
from eth_hash.auto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from precompiles.errors import ModelError
from precompiles.model.codec import MAGIC, decode_model, encode_model, model_id
from precompiles.model.limits import MAX_CODE_BYTES, MAX_MODEL_BYTES
from precompiles.model.operators import OPCODES
from precompiles.model.types import (
    Constant,
    DType,
    IntegerModel,
    Port,
    Quantization,
    TensorType,
)
from precompiles.model.validate import validate_model
from precompiles.model.wire import decode_item, encode_item
from precompiles.runner import plan_model, run_plan, run_reference
from precompiles.selftest_models import sample_input, sample_models
from tests.precompiles.random_programs import random_program

MODELS = dict(sample_models())
SIGNED = st.integers(-(1 << 71), (1 << 71) - 1)
DTYPES = st.sampled_from(list(DType))
SHAPES = st.lists(st.integers(0, 1 << 24), max_size=6).map(tuple)
TYPES = st.builds(TensorType, DTYPES, SHAPES)
PORTS = st.builds(
    Port,
    st.text(st.characters(codec="ascii"), max_size=64),
    st.integers(0, (1 << 64) - 1),
    st.builds(Quantization, st.integers(0, (1 << 64) - 1), st.integers(0, (1 << 64) - 1), SIGNED),
)


@st.composite
def instructions(draw: st.DrawFn) -> object:
    operator = draw(st.sampled_from(list(OPCODES)))
    values = [
        draw(st.lists(SIGNED, max_size=5).map(tuple) if get_origin(item.type) is tuple else SIGNED)
        for item in fields(operator)
    ]
    return operator(*values)


RECORDS = st.builds(
    IntegerModel,
    st.lists(PORTS, max_size=3).map(tuple),
    st.lists(PORTS, max_size=3).map(tuple),
    st.lists(st.builds(Constant, TYPES, st.binary(max_size=70)), max_size=3).map(tuple),
    st.lists(TYPES, max_size=4).map(tuple),
    st.lists(instructions(), max_size=4).map(tuple),
)


@given(RECORDS)
def test_every_record_survives_the_round_trip(model: IntegerModel) -> None:
    data = encode_model(model)
    assert decode_model(data) == model
    assert encode_model(decode_model(data)) == data


@pytest.mark.parametrize("name", MODELS)
def test_sample_models_survive_the_round_trip(name: str) -> None:
    data = encode_model(MODELS[name])
    assert decode_model(data) == MODELS[name]
    assert model_id(data) == keccak(data)


def accepted(data: bytes) -> IntegerModel | None:
    """The model, or None after ModelError; any other exception fails the test."""
    try:
        model = decode_model(data)
    except ModelError:
        return None
    assert encode_model(model) == data
    return model


def mutate(data: bytes, rng: random.Random) -> bytes:
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


@settings(max_examples=300)
@given(st.integers(0, 1 << 32))
def test_mutated_bytes_are_refused_or_mean_a_model_that_runs(seed: int) -> None:
    rng = random.Random(seed)
    name = rng.choice([name for name in MODELS if name != "lookup_s16"])
    model = accepted(mutate(encode_model(MODELS[name]), rng))
    if model is None:
        return
    try:
        cost = validate_model(model)
    except ModelError:
        return
    if cost.gas_per_sample < 20_000:
        data, batch = sample_input(model, seed)
        assert run_plan(plan_model(model), data, batch) == run_reference(model, data, batch)


def test_mutations_of_small_integers_reach_the_validator() -> None:
    """Aimed mutants: attributes off by a little decode, and are refused or run as their twins."""
    legal = 0
    for seed in range(400):
        rng = random.Random(seed)
        model = random_program(seed % 40, 2)
        at = rng.randrange(len(model.instructions))
        victim = model.instructions[at]
        numbers = [f.name for f in fields(victim) if get_origin(f.type) is not tuple]
        name = rng.choice(numbers)
        value = getattr(victim, name) + rng.choice((-(1 << 63), -1, 1, 2, 1 << 31, 1 << 63))
        changed = (*model.instructions[:at], replace(victim, **{name: value}))
        mutant = replace(model, instructions=(*changed, *model.instructions[at + 1 :]))
        assert decode_model(encode_model(mutant)) == mutant
        try:
            validate_model(mutant)
        except ModelError:
            continue
        legal += 1
        data, batch = sample_input(mutant, seed)
        assert run_plan(plan_model(mutant), data, batch) == run_reference(mutant, data, batch)
    assert 10 < legal < 390


@given(st.binary(max_size=200))
def test_arbitrary_bytes_never_escape_as_another_error(data: bytes) -> None:
    accepted(data)


def test_every_truncation_and_every_extension_is_refused() -> None:
    data = encode_model(MODELS["conv_strided"])
    assert all(accepted(data[:size]) is None for size in range(len(data)))
    assert accepted(data + b"\x00") is None
    assert accepted(data + b"\x80") is None


def nested(depth: int) -> bytes:
    """An empty list inside ``depth`` lists."""
    item: list[object] = []
    for _ in range(depth):
        item = [item]
    return encode_item(item)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "0 items"),
        (b"\x80", "expected a list"),
        (b"\xc0", "0 items, expected 6"),
        (b"\x81\x05", "needs no length"),
        (b"\xb8\x02ab", "shortest form"),
        (b"\xb9\x00\x60" + b"a" * 96, "shortest form"),
        (b"\xbf" + b"\xff" * 8, "ends at"),
        (b"\xff" + b"\xff" * 7, "shortest form"),
        (nested(20), "levels"),
        (encode_item([b"assay integer model 2", [], [], [], [], []]), "magic"),
        (encode_item([[MAGIC], [], [], [], [], []]), "magic"),
        (encode_item([MAGIC, b"", [], [], [], []]), "expected a list"),
        (encode_item([MAGIC, [], [], [], [], [[]]]), "opcode 0"),
        (encode_item([MAGIC, [], [], [], [], [[b"\x63"]]]), "opcode 99"),
        (encode_item([MAGIC, [], [], [], [], [[b"\x0d"]]]), "SubInteger has 0 fields"),
        (encode_item([MAGIC, [], [], [], [], [[b"\x0d", b"", b"", []]]]), "at most 9 bytes"),
        (encode_item([MAGIC, [], [], [], [], [[b"\x0d", b"", b"", b"\x00"]]]), "leading zero"),
        (encode_item([MAGIC, [], [], [], [], [[b"\x0d", b"", b"", b"\x01" * 10]]]), "at most 9"),
        (encode_item([MAGIC, [], [], [], [[b"", []]], []]), "dtype 0"),
        (encode_item([MAGIC, [], [], [], [[b"\x06", []]], []]), "dtype 6"),
        (encode_item([MAGIC, [], [], [], [[b"\x01", [b"\x01"] * 7]], []]), "at most 6"),
        (encode_item([MAGIC, [], [], [], [[b"\x01", [b"\x02\x00\x00\x00"]]], []]), "L1"),
        (encode_item([MAGIC, [[b"\xff", b"", b"", b"", b""]], [], [], [], []]), "not ASCII"),
        (encode_item([MAGIC, [[b"a" * 65, b"", b"", b"", b""]], [], [], [], []]), "at most 64"),
        (encode_item([MAGIC, [], [], [[b"\x01", [], [b"a"]]], [], []]), "a list of 1"),
    ],
)
def test_what_is_not_canonical_names_its_reason(data: bytes, reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        decode_model(data)


def test_size_limits_hold_before_any_work() -> None:
    with pytest.raises(ModelError, match="L3"):
        decode_model(bytes(MAX_MODEL_BYTES + 1))
    with pytest.raises(ModelError, match="items"):
        decode_item(encode_item([b""] * (MAX_CODE_BYTES + 1)), MAX_CODE_BYTES)
    wide = TensorType(DType.U8, (1 << 23,) * 2)
    crowded = replace(MODELS["add"], tensors=(wide,) * 7300)
    with pytest.raises(ModelError, match="bytes outside constants"):
        decode_model(encode_model(crowded))


def test_values_without_bytes_are_refused_by_the_encoder() -> None:
    model = MODELS["add"]
    negative = replace(model.inputs[0], value=-1)
    with pytest.raises(ModelError, match="not encodable"):
        encode_model(replace(model, inputs=(negative,)))
    foreign = replace(model.inputs[0], name="größe")
    with pytest.raises(ModelError, match="not encodable"):
        encode_model(replace(model, inputs=(foreign,)))
