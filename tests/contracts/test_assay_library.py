"""Assay.sol: raw tensors and wads equal the rules of the native accounts, for every dtype."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from precompiles.border import dequantize_decimal, quantize_decimal
from precompiles.model.types import DType, Quantization
from tests.contracts.evm_chain import ADDRESSES, Contract, EvmChain
from tests.precompiles.native_calls import (
    SMALL,
    SMALL_ID,
    SMALL_INPUT,
    SMALL_OUTPUT,
    words,
)

ETHER = 10**18
MISSING = -(2**127)


@pytest.fixture(scope="module")
def library() -> Contract:
    chain = EvmChain()
    chain.publish(SMALL)
    return chain.deploy("LibraryHarness")


dtypes = st.sampled_from(list(DType))
scales = st.tuples(st.integers(1, 2**64 - 1), st.integers(1, 2**64 - 1)) | st.tuples(
    st.integers(1, 99), st.integers(1, 99)
)
zeros = st.integers(-(2**63), 2**63 - 1) | st.integers(-200, 200)
wads = st.one_of(
    st.integers(MISSING, 2**127 - 1),
    st.integers(-9 * ETHER, 9 * ETHER),
    st.sampled_from([MISSING, MISSING + 1, 2**127 - 1]),  # missing, and both saturations
)
fast = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@fast
@given(dtypes, scales, zeros, st.lists(wads, max_size=5))
def test_encode_equals_the_border(
    library: Contract, dtype: DType, scale: tuple[int, int], zero: int, values: list[int]
) -> None:
    zero = min(max(zero, dtype.bounds[0]), dtype.bounds[1])
    if dtype not in (DType.S32, DType.S64):
        values = [value for value in values if value != MISSING]
    expected = quantize_decimal(values, 18, Quantization(*scale, zero), dtype)
    assert library.read("encode", dtype, *scale, zero, values) == words(dtype, expected)


@pytest.mark.parametrize("dtype", list(DType))
def test_encode_at_the_edges(library: Contract, dtype: DType) -> None:
    values = [MISSING + 1, 2**127 - 1, -ETHER // 2, ETHER // 2, -ETHER // 2 - 1, MISSING]
    if dtype not in (DType.S32, DType.S64):
        values.pop()
    expected = quantize_decimal(values, 18, Quantization(1, 1, 3), dtype)
    assert library.read("encode", dtype, 1, 1, 3, values) == words(dtype, expected)


@pytest.mark.parametrize("dtype", list(DType))
@pytest.mark.parametrize("value", [2**127, MISSING - 1, MISSING, 2**255 - 1, -(2**255)])
def test_encode_refuses_what_the_native_account_refuses(
    library: Contract, dtype: DType, value: int
) -> None:
    if value == MISSING and dtype in (DType.S32, DType.S64):
        assert library.read("encode", dtype, 1, 1, 0, [value])
    else:
        error = library.error("encode", dtype, 1, 1, 0, [0, value])
        assert error == ("DecimalOutOfRange", 1, value)


@fast
@given(dtypes, scales, zeros, st.data())
def test_decode_equals_the_border(
    library: Contract, dtype: DType, scale: tuple[int, int], zero: int, data: st.DataObject
) -> None:
    low, high = dtype.bounds
    zero = min(max(zero, low), high)
    values = data.draw(st.lists(st.integers(low, high) | st.sampled_from([low, high]), max_size=5))
    raw = words(dtype, values)
    assert library.read("words", dtype, raw) == values
    expected = dequantize_decimal(values, 18, Quantization(*scale, zero))
    assert library.read("decode", dtype, *scale, zero, raw) == expected


@fast
@given(st.lists(st.integers(-3, 3), min_size=1, max_size=8))
def test_argmax_takes_the_lowest_index(library: Contract, values: list[int]) -> None:
    assert library.read("argmax", values) == values.index(max(values))


def test_a_raw_tensor_that_ends_inside_an_element(library: Contract) -> None:
    assert library.error("words", DType.S32, bytes(7)) == ("LengthMismatch", 4, 7)


def test_calls_through_the_library(library: Contract) -> None:
    rows = [ETHER // 2, ETHER, 3 * ETHER // 2]
    label, scores = library.read("classify", SMALL_ID, rows)
    assert (label, scores) == (0, [23 * ETHER // 4, ETHER // 4])
    assert library.read("classifyBatch", SMALL_ID, rows * 2) == ([0, 0], scores * 2)
    assert library.error("classify", SMALL_ID, rows * 2) == ("NotOneSample", 2)
    assert library.read("infer", "0x" + SMALL_ID.hex(), SMALL_INPUT) == SMALL_OUTPUT
    assert library.error("infer", "nobody", SMALL_INPUT) == ("UnknownModel", "nobody")
    assert library.read("gasFor", SMALL_ID, 1) > 3_000
    assert library.error("gasFor", SMALL_ID, 0) == ("InvalidBatch", 0)


def test_senders_do_not_matter(library: Contract) -> None:
    for sender in range(len(ADDRESSES)):
        assert library.read("infer", "0x" + SMALL_ID.hex(), SMALL_INPUT, sender=sender)
