"""The canonical bytes: one string per model, ModelError for everything else."""

from dataclasses import fields, replace
from typing import get_origin

import pytest
from eth_hash.auto import keccak
from hypothesis import given
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
from precompiles.model.wire import decode_item, encode_item
from precompiles.selftest_models import sample_models

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
