"""Samples to raw input and back: exactly what the chain's border does."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from precompiles.inference import from_raw, to_raw
from precompiles.model.types import DType, Quantization
from precompiles.model_records import PortInfo
from tests.precompiles.native_calls import SMALL_INPUT, SMALL_OUTPUT, SMALL_ROWS, small_model, words
from tools.errors import ToolError
from tools.model_files import ports_of, run_decimal
from tools.tensors import decode_outputs, encode_samples

MODEL = small_model()
INPUTS = ports_of(MODEL, MODEL.inputs)
OUTPUTS = ports_of(MODEL, MODEL.outputs)
REAL_ROWS = np.array(SMALL_ROWS) * 0.5
BYTES = PortInfo("image", DType.U8, (2, 2), Quantization(1, 10, 3))


def test_the_small_model() -> None:
    assert encode_samples(INPUTS, REAL_ROWS) == (SMALL_INPUT, 2)
    assert encode_samples(INPUTS, {"features": REAL_ROWS[0], "other": 1}) == (SMALL_INPUT[:12], 1)
    expected = {"scores": [[5.75, 0.25], [6.5, 2.5]]}
    assert decode_outputs(OUTPUTS, SMALL_OUTPUT, 2) == expected
    for reference in (False, True):
        assert run_decimal(MODEL, REAL_ROWS, reference=reference) == expected


numbers = st.floats(-1e6, 1e6, width=64)


@given(st.lists(st.lists(numbers, min_size=3, max_size=3), min_size=1, max_size=3))
@example([[0.25, -0.25, -0.75]])  # halves of a step
def test_as_the_chain_reads_the_same_decimals(rows: list[list[float]]) -> None:
    data, batch = encode_samples(INPUTS, np.array(rows))
    exact = [Fraction(number) * 10**18 for row in rows for number in row]
    wads = [(2 * value.numerator + value.denominator) // (2 * value.denominator) for value in exact]
    assert (data, batch) == (to_raw(MODEL, wads, len(rows)), len(rows))


@given(st.lists(st.floats(-9, 9), min_size=1, max_size=5))
@example([2**-19, -(2**-19), -3 * 2**-19])  # halves of the last decimal
def test_every_decimal_counts(row: list[float]) -> None:
    fine = PortInfo("fine", DType.S64, (len(row),), Quantization(1, 10**18, 0))
    exact = [Fraction(number) * 10**18 for number in row]
    assert encode_samples((fine,), np.array(row)) == (
        words(DType.S64, [(value + Fraction(1, 2)).__floor__() for value in exact]),
        1,
    )


@given(st.lists(st.integers(-(2**40), 2**40), min_size=4, max_size=4))
def test_outputs_as_the_chain_writes_them(values: list[int]) -> None:
    data = words(DType.S64, values)
    wads = from_raw(MODEL, data, 2)
    rows = decode_outputs(OUTPUTS, data, 2)["scores"]
    assert [number for row in rows for number in row] == [wad / 10**18 for wad in wads]


def test_saturation_rounding_and_shapes() -> None:
    image = [[0.0, 0.05], [-9.0, 99.0]]  # 3, 3.5 up to 4, below, above
    for samples in ([image], image, np.array(image).reshape(1, 4), np.array(image).ravel()):
        assert encode_samples((BYTES,), np.array(samples)) == (bytes([3, 4, 0, 255]), 1)
    assert encode_samples((BYTES,), np.array([image, image], np.float32))[1] == 2


def test_missing_values() -> None:
    data, _ = encode_samples(INPUTS, np.array([np.nan, 0.5, -np.inf * 0]))
    assert data == words(DType.S32, [-(2**31), 1, -(2**31)])
    with pytest.raises(ToolError, match="u8 tensors know no missing values"):
        encode_samples((BYTES,), np.array([1, 2, np.nan, 3]))


def test_several_inputs_go_sample_by_sample() -> None:
    ports = (BYTES, PortInfo("age", DType.S8, (), Quantization(1, 1, 0)))
    samples = {"age": np.array([7, -7]), "image": np.zeros((2, 4))}
    zero = bytes([3] * 4)
    assert encode_samples(ports, samples) == (zero + b"\x07" + zero + b"\xf9", 2)
    outputs = decode_outputs(ports, zero + b"\x07" + zero + b"\xf9", 2)
    assert outputs == {"image": [[0.0] * 4] * 2, "age": [[7.0], [-7.0]]}
    for wrong, text in (
        (np.zeros((2, 5)), "the model has the inputs image, age"),
        ({"age": [1]}, "no samples for input 'image'; given: age"),
        ({"age": [1], "image": np.zeros((2, 4))}, r"different numbers of samples: \[1, 2\]"),
    ):
        with pytest.raises(ToolError, match=text):
            encode_samples(ports, wrong)


@pytest.mark.parametrize(
    ("samples", "text"),
    [
        (np.zeros((2, 4)), r"needs 3 numbers per sample, got shape \(2, 4\)"),
        (np.zeros(6), r"needs 3 numbers per sample, got shape \(6,\)"),
        (np.zeros((3, 2)), r"needs 3 numbers per sample, got shape \(3, 2\)"),
        (np.float64(1), "needs 3 numbers per sample"),
        (np.zeros((0, 3)), "no samples"),
        (np.array([1, 2, np.inf]), "inf is not within"),
        (np.array([1, 2, -1e21]), r"-1e\+21 is not within"),
    ],
)
def test_samples_that_do_not_fit(samples: Any, text: str) -> None:
    with pytest.raises(ToolError, match=text):
        encode_samples(INPUTS, samples)


def test_an_output_of_another_length() -> None:
    with pytest.raises(ToolError, match="the output has 31 bytes, 32 are 2 samples"):
        decode_outputs(OUTPUTS, SMALL_OUTPUT[:-1], 2)
