"""Inference: results, exact gas, logs, and every row of the failure table."""

from dataclasses import replace
from fractions import Fraction
from threading import Thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genesis.addresses import INFERENCE, NATIVE
from precompiles.abi import decode, topic
from precompiles.errors import PrecompileFault
from precompiles.hashing import keccak256
from precompiles.model import operators as op
from precompiles.model.codec import decode_model, encode_model
from precompiles.model.types import DType, IntegerModel, Port, Quantization, TensorType
from precompiles.model_store import BoundedCache, ModelStore, chunk_address
from precompiles.runner import run_reference
from precompiles.table import NATIVE_ACCOUNTS, native_accounts
from tests.precompiles.native_calls import (
    ALICE,
    BOB,
    SMALL,
    SMALL_ID,
    SMALL_INPUT,
    SMALL_OUTPUT,
    Chain,
    calldata,
    small_model,
)

INFER = "infer(bytes32,bytes)"
WAD = "inferWad(bytes32,int256[])"
CLASSIFY = "classify(bytes32,int256[])"
GAS_FOR = "gasFor(bytes32,uint256)"
LOGGED = "inferAndLog(bytes32,bytes)"
ETHER = 10**18
WADS = [ETHER // 2, ETHER, 3 * ETHER // 2]  # the row 1, 2, 3 in steps of one half
CALLS = [
    (INFER, (SMALL_ID, SMALL_INPUT)),
    (WAD, (SMALL_ID, WADS)),
    (CLASSIFY, (SMALL_ID, WADS)),
    (GAS_FOR, (SMALL_ID, 2)),
    (LOGGED, (SMALL_ID, SMALL_INPUT)),
]


@pytest.fixture
def chain() -> Chain:
    chain = Chain()
    chain.publish(SMALL)
    return chain


def test_infer_equals_the_reference(chain: Chain) -> None:
    outcome = chain.inference(INFER, SMALL_ID, SMALL_INPUT, static=True)
    assert outcome.values("bytes") == (SMALL_OUTPUT,)
    assert run_reference(decode_model(SMALL), SMALL_INPUT, 2) == SMALL_OUTPUT
    assert outcome.logs == ()


def test_infer_wad(chain: Chain) -> None:
    outcome = chain.inference(WAD, SMALL_ID, WADS, static=True)
    assert outcome.values("int256[]") == ([23 * ETHER // 4, ETHER // 4],)


def test_classify_names_the_largest_output_of_each_sample(chain: Chain) -> None:
    rows = [WADS, [-8 * ETHER, 0, ETHER]]
    outcome = chain.inference(CLASSIFY, SMALL_ID, rows[0] + rows[1], static=True)
    labels, scores = outcome.values("uint256[]", "int256[]")
    assert labels == [0, 1]
    # steps -16, 0, 2: y = -16 + 6 + 10 = 0 and 16 + 2 = 18; minus the zero point, times 1/4
    assert scores == [23 * ETHER // 4, ETHER // 4, -ETHER // 4, 17 * ETHER // 4]


def test_the_lowest_index_wins_a_tie(chain: Chain) -> None:
    # steps -5, 0, 0: y0 = 5, y1 = 5
    outcome = chain.inference(CLASSIFY, SMALL_ID, [-5 * ETHER // 2, 0, 0])
    labels, scores = outcome.values("uint256[]", "int256[]")
    assert (labels, scores) == ([0], [ETHER, ETHER])


wads = st.integers(-(2**127) + 1, 2**127 - 1) | st.integers(-10 * ETHER, 10 * ETHER)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(wads, wads, wads), min_size=1, max_size=3),
    st.integers(1, 2**64 - 1),
    st.integers(1, 2**64 - 1),
)
def test_wad_calls_equal_exact_fractions(
    rows: list[tuple[int, int, int]], numerator: int, denominator: int
) -> None:
    scale = Fraction(numerator, denominator)
    quantization = Quantization(scale.numerator, scale.denominator, 5)
    model = small_model()
    model = replace(model, inputs=(replace(model.inputs[0], quantization=quantization),))
    chain = Chain()
    model_id = chain.publish(encode_model(model), 512)
    flat = [value for row in rows for value in row]
    low, high = -(2**31) + 1, 2**31 - 1  # the lowest word means a missing value

    def quantize(value: int) -> int:
        exact = Fraction(value, ETHER) / scale + Fraction(1, 2)
        return min(max(5 + exact.numerator // exact.denominator, low), high)

    expected = []
    for row in rows:
        x0, x1, x2 = map(quantize, row)
        expected += [x0 + 2 * x1 + 3 * x2 + 10, x2 - x0]
    outcome = chain.inference(WAD, model_id, flat)
    assert outcome.values("int256[]") == ([(y - 1) * ETHER // 4 for y in expected],)


def two_ports() -> IntegerModel:
    """a s32 (2) in halves and b s32 (1) in quarters; y = a + b as integers, z = b."""
    two, one = TensorType(DType.S32, (2,)), TensorType(DType.S32, (1,))
    return IntegerModel(
        inputs=(Port("a", 0, Quantization(1, 2, 0)), Port("b", 1, Quantization(1, 4, 0))),
        outputs=(Port("y", 2, Quantization(1, 1, 0)), Port("z", 3, Quantization(1, 4, 0))),
        constants=(),
        tensors=(two, one, TensorType(DType.S64, (2,)), one),
        instructions=(op.AddInteger(0, 1, 2), op.Clip(1, -100, 100, 3)),
    )


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.integers(-40, 40), min_size=3, max_size=3), min_size=1, max_size=4))
def test_several_inputs_and_outputs_of_a_batch(rows: list[list[int]]) -> None:
    chain = Chain()
    model_id = chain.publish(encode_model(two_ports()), 512)
    values, expected, labels = [], [], []
    for a0, a1, b in rows:
        values += [a0 * ETHER // 2, a1 * ETHER // 2, b * ETHER // 4]
        expected += [(a0 + b) * ETHER, (a1 + b) * ETHER, b * ETHER // 4]
        labels.append(int(a1 > a0))
    assert chain.inference(WAD, model_id, values).values("int256[]") == (expected,)
    classified = chain.inference(CLASSIFY, model_id, values)
    assert classified.values("uint256[]", "int256[]") == (labels, expected)


def test_the_first_decimal_out_of_range_is_named_whatever_its_port() -> None:
    chain = Chain()
    model_id = chain.publish(encode_model(two_ports()), 512)
    values = [0, 0, 2**127, 0, -(2**200), 0]
    outcome = chain.inference(WAD, model_id, values)
    assert outcome.arguments() == (2, 2**127)


def test_infer_and_log(chain: Chain) -> None:
    outcome = chain.inference(LOGGED, SMALL_ID, SMALL_INPUT, caller=BOB)
    assert outcome.values("bytes") == (SMALL_OUTPUT,)
    ((topics, data),) = outcome.logs
    assert topics == (
        topic("Inference(bytes32,address,bytes32,bytes32,bytes,bytes)"),
        SMALL_ID,
        BOB.rjust(32, b"\0"),
    )
    assert decode(("bytes32", "bytes32", "bytes", "bytes"), data) == (
        keccak256(SMALL_INPUT),
        keccak256(SMALL_OUTPUT),
        SMALL_INPUT,
        SMALL_OUTPUT,
    )


@pytest.mark.parametrize("batch", [1, 2, 3, 7])
def test_gas_for_is_what_infer_takes(chain: Chain, batch: int) -> None:
    (gas,) = chain.inference(GAS_FOR, SMALL_ID, batch, static=True).values("uint256")
    row = SMALL_INPUT[:12]
    assert chain.inference(INFER, SMALL_ID, row * batch).gas_used == gas
    assert chain.inference(INFER, SMALL_ID, row * batch, gas=gas).error is None
    short = chain.inference(INFER, SMALL_ID, row * batch, gas=gas - 1)
    assert (short.error, short.gas_used) == ("OutOfGas", gas - 1)


@pytest.mark.parametrize("batch", [0, 2**255])
def test_gas_for_no_batch_at_all(chain: Chain, batch: int) -> None:
    outcome = chain.inference(GAS_FOR, SMALL_ID, batch)
    assert (outcome.error, outcome.arguments()) == ("InvalidBatch(uint256)", (batch,))


@pytest.mark.parametrize(("signature", "arguments"), CALLS)
def test_out_of_gas_by_one_unit(
    chain: Chain, signature: str, arguments: tuple[object, ...]
) -> None:
    needed = chain.inference(signature, *arguments).gas_used
    chain = Chain()
    chain.publish(SMALL)
    short = chain.inference(signature, *arguments, gas=needed - 1)
    assert (short.error, short.logs, short.gas_used) == ("OutOfGas", (), needed - 1)
    assert len(chain.store.plans) == len(chain.store.results) == 0  # nothing was computed
    assert chain.inference(signature, *arguments, gas=needed).error is None


def test_gas_does_not_depend_on_the_caches(chain: Chain) -> None:
    first = chain.inference(INFER, SMALL_ID, SMALL_INPUT)
    second = chain.inference(INFER, SMALL_ID, SMALL_INPUT)
    assert first == second
    assert len(chain.store.results) == 1


@pytest.mark.parametrize(("signature", "arguments"), CALLS)
def test_unpublished_models(signature: str, arguments: tuple[object, ...]) -> None:
    for chain in (Chain(), Chain()):
        outcome = chain.inference(signature, *arguments)
        assert outcome.error == "ModelNotFound(bytes32)"
        assert outcome.arguments() == (SMALL_ID,)
        chain.upload(SMALL)


@pytest.mark.parametrize(
    ("length", "expected"), [(0, 12), (11, 12), (13, 12), (23, 12), (25, 24), (36 + 1, 36)]
)
def test_wrong_lengths(chain: Chain, length: int, expected: int) -> None:
    for signature in (INFER, LOGGED):
        outcome = chain.inference(signature, SMALL_ID, bytes(length))
        assert outcome.error == "InputLengthMismatch(uint256,uint256)"
        assert outcome.arguments() == (expected, length)
        assert outcome.gas_used < 10_000


@pytest.mark.parametrize(("length", "expected"), [(0, 3), (2, 3), (4, 3), (7, 6)])
def test_wrong_numbers_of_decimals(chain: Chain, length: int, expected: int) -> None:
    for signature in (WAD, CLASSIFY):
        outcome = chain.inference(signature, SMALL_ID, [0] * length)
        assert outcome.error == "InputLengthMismatch(uint256,uint256)"
        assert outcome.arguments() == (expected, length)


def test_a_decimal_out_of_range_is_named_by_its_place_in_the_batch(chain: Chain) -> None:
    outcome = chain.inference(WAD, SMALL_ID, [0, 0, 0, 0, 2**127, 0])
    assert outcome.error == "DecimalOutOfRange(uint256,int256)"
    assert outcome.arguments() == (4, 2**127)


def test_no_log_in_a_static_call(chain: Chain) -> None:
    outcome = chain.inference(LOGGED, SMALL_ID, SMALL_INPUT, static=True)
    assert (outcome.error, outcome.data, outcome.logs) == ("WriteProtection", b"", ())


@pytest.mark.parametrize(("signature", "arguments"), CALLS)
def test_no_function_takes_value(
    chain: Chain, signature: str, arguments: tuple[object, ...]
) -> None:
    assert chain.inference(signature, *arguments, value=1).error == "NonPayable()"


@pytest.mark.parametrize("data", [b"", b"\xff", b"\xff\xff\xff\xff"])
def test_unknown_functions(chain: Chain, data: bytes) -> None:
    assert chain.call(INFERENCE, data).error == "UnknownFunction(bytes4)"


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_calldata_makes_anything_but_a_typed_outcome(data: st.DataObject) -> None:
    chain = Chain()
    chain.publish(SMALL)
    signature, arguments = data.draw(st.sampled_from(CALLS))
    raw = bytearray(calldata(signature, *arguments))
    for _ in range(data.draw(st.integers(0, 4))):
        raw[data.draw(st.integers(36, len(raw) - 1))] = data.draw(st.integers(0, 255))
    raw = raw[: data.draw(st.integers(0, len(raw)))]
    outcome = chain.call(INFERENCE, bytes(raw))
    assert outcome.error is None or outcome.gas_used > 0


def test_a_damaged_chunk_stops_the_node(chain: Chain) -> None:
    address = chunk_address(SMALL_ID, 0)
    code = chain.state.code(address)
    chain.state.set_code(address, code[:-1] + bytes([code[-1] ^ 1]))
    with pytest.raises(PrecompileFault, match="database is damaged"):
        chain.inference(INFER, SMALL_ID, SMALL_INPUT)


def test_threads_share_one_store(chain: Chain) -> None:
    outputs: list[bytes] = []

    def work(step: int) -> None:
        for index in range(20):
            row = SMALL_INPUT[:8] + (index * step).to_bytes(4, "little")
            outputs.append(chain.inference(INFER, SMALL_ID, row * 2, static=True).data)

    threads = [Thread(target=work, args=(1,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outputs) == 80
    assert len(set(outputs)) == 20


def test_the_cache_is_bounded_by_weight() -> None:
    cache: BoundedCache[str, int] = BoundedCache(10)
    cache.put("a", 1, 4)
    cache.put("b", 2, 4)
    assert cache.get("a") == 1
    cache.put("c", 3, 4)
    assert (cache.get("b"), cache.get("a"), cache.get("c")) == (None, 1, 3)
    cache.put("a", 5, 2)
    assert (cache.get("a"), cache.weight) == (5, 6)
    cache.put("d", 4, 99)
    assert (cache.get("d"), len(cache), cache.weight) == (4, 1, 99)


def test_the_table_serves_every_native_account() -> None:
    assert set(NATIVE_ACCOUNTS) == set(native_accounts(ModelStore())) == set(NATIVE)


def test_a_first_call_costs_what_the_record_says(chain: Chain) -> None:
    used = chain.inference(INFER, SMALL_ID, SMALL_INPUT, caller=ALICE).gas_used
    assert used < 20_000
