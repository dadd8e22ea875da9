"""ModelRegistry: upload, publish, freeze; every refusal is typed and changes nothing."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genesis.addresses import MODEL_REGISTRY
from precompiles.abi import decode, topic
from precompiles.gas import gas_for
from precompiles.hashing import keccak256
from precompiles.model import operators as op
from precompiles.model.codec import decode_model, encode_model
from precompiles.model.limits import MAX_MODEL_BYTES
from precompiles.model.types import (
    Constant,
    DType,
    IntegerModel,
    Port,
    Quantization,
    TensorType,
)
from precompiles.model.validate import validate_model
from precompiles.model_records import MODELS_SLOT
from precompiles.model_store import chunk_address
from precompiles.priced_state import mapping_slot
from precompiles.publish_gas import proof_gas, publish_gas
from precompiles.registry import read_model
from tests.precompiles.native_calls import (
    ALICE,
    BOB,
    SMALL,
    SMALL_ID,
    Chain,
    calldata,
    words,
)

BEGIN = "begin(bytes32,uint32,uint32)"
UPLOAD = "upload(bytes32,uint32,bytes)"
PUBLISH = "publish(bytes32)"
INFO = (
    "(uint8,uint32,uint32,uint32,uint32,address,uint64,uint64,uint64,uint64,uint64,uint64,uint64,"
    "(string,uint8,uint32[],uint64,uint64,int64)[],(string,uint8,uint32[],uint64,uint64,int64)[])"
)


def refused(chain: Chain, signature: str, *arguments: object, **options: object) -> tuple:  # type: ignore[type-arg]
    """Error and arguments of a registry call that must fail and change nothing."""
    before = chain.state.snapshot()
    outcome = chain.registry(signature, *arguments, **options)
    assert chain.state == before
    assert outcome.logs == ()
    assert outcome.error is not None
    return (outcome.error.partition("(")[0], *(outcome.arguments() if outcome.data else ()))


def test_upload_and_publish() -> None:
    chain = Chain()
    begun = chain.registry(BEGIN, SMALL_ID, len(SMALL), 100)
    chunks = -(-len(SMALL) // 100)
    assert begun.values("uint32") == (chunks,)
    ((topics, data),) = begun.logs
    assert topics == (
        topic("ModelBegun(bytes32,address,uint32,uint32)"),
        SMALL_ID,
        ALICE.rjust(32, b"\0"),
    )
    assert decode(("uint32", "uint32"), data) == (len(SMALL), 100)
    for index in range(chunks):
        chunk = SMALL[100 * index : 100 * index + 100]
        sent = chain.registry(UPLOAD, SMALL_ID, index, chunk, caller=BOB)
        assert sent.values("uint32") == (chunks - 1 - index,)
        assert chain.state.code(chunk_address(SMALL_ID, index)) == b"\0" + chunk
        assert sent.logs[0][0][1:] == (SMALL_ID, index.to_bytes(32, "big"), BOB.rjust(32, b"\0"))
    published = chain.registry(PUBLISH, SMALL_ID)
    cost = validate_model(decode_model(SMALL))
    assert published.values("uint64") == (gas_for(cost, 1),)
    assert published.logs[0][0][0] == topic("ModelPublished(bytes32,address,uint32,uint64)")
    assert decode(("uint32", "uint64"), published.logs[0][1]) == (len(SMALL), gas_for(cost, 1))


def test_the_chunk_address_rule() -> None:
    expected = keccak256(b"\xa1" + SMALL_ID + (5).to_bytes(4, "big"))[12:]
    assert chunk_address(SMALL_ID, 5) == expected


def test_model_info_before_and_after_publishing() -> None:
    chain = Chain()
    assert refused(chain, "modelInfo(bytes32)", SMALL_ID) == ("ModelNotFound", SMALL_ID)
    chain.upload(SMALL, 100)
    chunks = -(-len(SMALL) // 100)
    ((*numbers, inputs, outputs),) = chain.registry("modelInfo(bytes32)", SMALL_ID).values(INFO)
    assert numbers == [1, len(SMALL), 100, chunks, 0, ALICE, 7, 0, 0, 0, 0, 0, 0]
    assert inputs == outputs == []
    chain.registry(PUBLISH, SMALL_ID)
    cost = validate_model(decode_model(SMALL))
    ((*numbers, inputs, outputs),) = chain.registry("modelInfo(bytes32)", SMALL_ID).values(INFO)
    gas = [gas_for(cost, 1), cost.gas_per_call, cost.gas_per_sample]
    assert numbers == [2, len(SMALL), 100, chunks, 0, ALICE, 7, 7, *gas, 12, 16]
    assert inputs == [("features", DType.S32, [3], 1, 2, 0)]
    assert outputs == [("scores", DType.S64, [2], 1, 4, 1)]


def test_rpc_reads_the_same_record_for_free() -> None:
    chain = Chain()
    chain.publish(SMALL)
    info = read_model(chain.state, SMALL_ID)
    assert info.is_published
    assert info.uploader == ALICE
    assert info.record.cost == validate_model(decode_model(SMALL))
    assert (info.record.input_elements, info.record.output_elements) == (3, 2)
    assert [port.name for port in info.signature.inputs] == ["features"]


def test_the_record_lies_where_solidity_would_put_it() -> None:
    chain = Chain()
    chain.publish(SMALL, 100)
    slot = mapping_slot(SMALL_ID, MODELS_SLOT)
    assert slot == int.from_bytes(keccak256(SMALL_ID + (1).to_bytes(32, "big")), "big")
    word = chain.state.storage(MODEL_REGISTRY, slot)
    assert word & 0xFF == 2
    assert word >> 8 & 0xFFFFFFFF == len(SMALL)
    assert word >> 40 & 0xFFFFFFFF == 100
    owner = chain.state.storage(MODEL_REGISTRY, slot + 1)
    assert (owner & ((1 << 160) - 1)).to_bytes(20, "big") == ALICE


def test_model_bytes() -> None:
    chain = Chain()
    chain.publish(SMALL, 64)
    read = "modelBytes(bytes32,uint32,uint32)"
    for offset, length in ((0, len(SMALL)), (0, 0), (len(SMALL), 0), (63, 2), (64, 50), (1, 118)):
        outcome = chain.registry(read, SMALL_ID, offset, length, static=True)
        assert outcome.values("bytes") == (SMALL[offset : offset + length],)
    end = len(SMALL)
    assert refused(chain, read, SMALL_ID, end, 1) == ("InvalidRange", end, 1, end)
    assert refused(chain, read, bytes(32), 0, 1) == ("ModelNotFound", bytes(32))


def test_only_published_models_are_served_as_bytes() -> None:
    chain = Chain()
    chain.upload(SMALL)
    read = "modelBytes(bytes32,uint32,uint32)"
    assert refused(chain, read, SMALL_ID, 0, 1) == ("ModelNotFound", SMALL_ID)


def test_sizes_of_an_upload() -> None:
    chain = Chain()
    model = bytes([1] * 32)
    assert refused(chain, BEGIN, model, 0, 1) == ("InvalidSize", 0, MAX_MODEL_BYTES)
    oversize = MAX_MODEL_BYTES + 1
    assert refused(chain, BEGIN, model, oversize, 98_304) == (
        "InvalidSize",
        oversize,
        MAX_MODEL_BYTES,
    )
    assert refused(chain, BEGIN, model, 10, 0) == ("InvalidChunkSize", 0, 1, 98_304)
    assert refused(chain, BEGIN, model, 10, 98_305) == ("InvalidChunkSize", 98_305, 1, 98_304)
    assert refused(chain, BEGIN, model, 1 << 20, 255) == ("InvalidChunkSize", 255, 256, 98_304)
    assert chain.registry(BEGIN, model, MAX_MODEL_BYTES, 98_304).values("uint32") == (683,)


def test_chunks_may_come_in_any_order_and_an_upload_resumes() -> None:
    chain = Chain()
    chunks = [SMALL[i : i + 80] for i in range(0, len(SMALL), 80)]
    chain.registry(BEGIN, SMALL_ID, len(SMALL), 80)
    for sent, index in enumerate(reversed(range(1, len(chunks)))):
        outcome = chain.registry(UPLOAD, SMALL_ID, index, chunks[index])
        assert outcome.values("uint32") == (len(chunks) - 1 - sent,)
    assert refused(chain, PUBLISH, SMALL_ID) == ("ChunksMissing", 1)
    again = chain.registry(BEGIN, SMALL_ID, len(SMALL), 80, caller=BOB)
    assert again.values("uint32") == (len(chunks),)
    assert again.logs == ()
    assert read_model(chain.state, SMALL_ID).uploader == ALICE
    chain.registry(UPLOAD, SMALL_ID, 0, chunks[0])
    assert chain.registry(PUBLISH, SMALL_ID).error is None


def test_a_chunk_that_is_present_costs_only_its_calldata() -> None:
    chain = Chain()
    chain.upload(SMALL, 64)
    before = chain.state.snapshot()
    again = chain.registry(UPLOAD, SMALL_ID, 0, SMALL[:64])
    assert again.values("uint32") == (0,)
    assert (again.logs, chain.state) == ((), before)
    assert again.gas_used < 10_000


def test_wrong_chunks() -> None:
    chain = Chain()
    assert refused(chain, UPLOAD, SMALL_ID, 0, b"x") == ("UploadNotBegun", SMALL_ID)
    chain.registry(BEGIN, SMALL_ID, len(SMALL), 64)
    chunks, last = -(-len(SMALL) // 64), len(SMALL) % 64
    assert refused(chain, UPLOAD, SMALL_ID, chunks, b"") == ("InvalidChunkIndex", chunks, chunks)
    assert refused(chain, UPLOAD, SMALL_ID, 0, b"x") == ("ChunkLengthMismatch", 64, 1)
    assert refused(chain, UPLOAD, SMALL_ID, chunks - 1, bytes(64)) == (
        "ChunkLengthMismatch",
        last,
        64,
    )


def test_a_wrong_chunk_is_noticed_when_publishing_and_can_be_replaced() -> None:
    chain = Chain()
    damaged = bytes([SMALL[0] ^ 1]) + SMALL[1:]
    chain.upload(damaged, 64, claim=SMALL_ID)
    assert refused(chain, PUBLISH, SMALL_ID) == ("ModelIdMismatch", SMALL_ID, keccak256(damaged))
    repaired = chain.registry(UPLOAD, SMALL_ID, 0, SMALL[:64], caller=BOB)
    assert repaired.values("uint32") == (0,)
    assert chain.registry(PUBLISH, SMALL_ID).error is None


def test_other_pieces_keep_chunks_that_still_fit() -> None:
    chain = Chain()
    chain.registry(BEGIN, SMALL_ID, len(SMALL), 100)
    chain.registry(UPLOAD, SMALL_ID, 0, SMALL[:100])
    chain.registry(BEGIN, SMALL_ID, 100, 50, caller=BOB)
    assert read_model(chain.state, SMALL_ID).record.missing == 2
    chain.registry(BEGIN, SMALL_ID, len(SMALL), 100)
    info = read_model(chain.state, SMALL_ID)
    assert (info.record.missing, info.uploader) == (info.record.chunks - 1, ALICE)
    for index in range(1, info.record.chunks):
        chain.registry(UPLOAD, SMALL_ID, index, SMALL[100 * index : 100 * index + 100])
    assert chain.registry(PUBLISH, SMALL_ID).error is None


def test_a_published_model_is_frozen() -> None:
    chain = Chain()
    chain.publish(SMALL, 64)
    frozen = ("AlreadyPublished", SMALL_ID)
    assert refused(chain, BEGIN, SMALL_ID, len(SMALL), 32) == frozen
    assert refused(chain, UPLOAD, SMALL_ID, 0, bytes(64)) == frozen
    assert refused(chain, PUBLISH, SMALL_ID) == frozen


def test_garbage_is_not_published_and_its_chunks_stay() -> None:
    chain = Chain()
    garbage = b"\xc6not a model"
    model_id = chain.upload(garbage)
    error, reason = refused(chain, PUBLISH, model_id)
    assert error == "InvalidModel"
    assert 0 < len(reason) <= 256
    assert chain.state.code(chunk_address(model_id, 0)) == b"\0" + garbage
    assert read_model(chain.state, model_id).record.status == 1


@settings(max_examples=60)
@given(st.integers(0, len(SMALL) - 1), st.integers(1, 255))
def test_a_damaged_model_is_refused_or_another_legal_model(at: int, flip: int) -> None:
    chain = Chain()
    damaged = SMALL[:at] + bytes([SMALL[at] ^ flip]) + SMALL[at + 1 :]
    model_id = chain.upload(damaged, 512)
    outcome = chain.registry(PUBLISH, model_id)
    assert outcome.error in (None, "InvalidModel(string)")


def test_publishing_needs_a_begun_upload() -> None:
    assert refused(Chain(), PUBLISH, SMALL_ID) == ("UploadNotBegun", SMALL_ID)


def test_the_largest_model_can_be_published_under_the_transaction_cap() -> None:
    chunk_reads = 683 * 2_600
    proof = MAX_MODEL_BYTES * 9 // 32
    assert publish_gas(MAX_MODEL_BYTES) + proof + chunk_reads + 1_000_000 < 1 << 25


def repeated(count: int) -> IntegerModel:
    """Many instructions that read the same constants: a small model that is long to prove."""
    knots = Constant(TensorType(DType.S64, (256,)), words(DType.S64, list(range(256))))
    flat = Constant(TensorType(DType.S64, (256,)), bytes(8 * 256))
    one = TensorType(DType.S64, (1,))
    return IntegerModel(
        inputs=(Port("x", 3, Quantization(1, 1, 0)),),
        outputs=(Port("y", 3 + count, Quantization(1, 1, 0)),),
        constants=(knots, flat, flat),
        tensors=(one,) * (count + 1),
        instructions=tuple(
            op.PiecewiseLinear(x=3 + i, knots=0, values=1, slopes=2, shift=1, output=4 + i)
            for i in range(count)
        ),
    )


def test_the_proof_is_paid_for_each_use_of_a_constant() -> None:
    assert proof_gas(repeated(10)) == 10 * proof_gas(repeated(1))
    assert proof_gas(repeated(1)) > 3 * 256 * 16
    chain = Chain()
    few, many = (encode_model(repeated(count)) for count in (10, 40))
    used = []
    for data in (few, many):
        model_id = chain.upload(data, 8192)
        used.append(chain.registry(PUBLISH, model_id).gas_used)
    assert used[1] - used[0] > 30 * 3 * 256 * 16


def test_too_little_gas_for_the_proof_publishes_nothing() -> None:
    chain = Chain()
    data = encode_model(repeated(10))
    model_id = chain.upload(data, 8192)
    before = chain.state.snapshot()
    enough = publish_gas(len(data)) + proof_gas(repeated(10)) // 2
    assert chain.registry(PUBLISH, model_id, gas=enough).error == "OutOfGas"
    assert chain.state == before


WRITES = [
    (BEGIN, (SMALL_ID, len(SMALL), 64)),
    (UPLOAD, (SMALL_ID, 0, SMALL[:64])),
    (PUBLISH, (SMALL_ID,)),
    ("createRepository(string,string)", ("name", "text")),
    ("release(bytes32,string,bytes32,string)", (bytes(32), "1", SMALL_ID, "")),
    ("setAlias(string,bytes32)", ("alias", SMALL_ID)),
    ("transferRepository(bytes32,address)", (bytes(32), BOB)),
    ("setDeprecated(bytes32,uint32,bool)", (bytes(32), 0, True)),
]


@pytest.mark.parametrize(("signature", "arguments"), WRITES)
def test_no_write_in_a_static_call(signature: str, arguments: tuple[object, ...]) -> None:
    chain = Chain()
    outcome = chain.registry(signature, *arguments, static=True)
    assert (outcome.error, outcome.data) == ("WriteProtection", b"")
    assert chain.state == Chain().state


@pytest.mark.parametrize(("signature", "arguments"), WRITES)
def test_no_function_takes_value(signature: str, arguments: tuple[object, ...]) -> None:
    assert refused(Chain(), signature, *arguments, value=1) == ("NonPayable",)


@pytest.mark.parametrize(
    ("signature", "arguments"), [*WRITES[:1], *WRITES[3:4], ("modelInfo(bytes32)", (SMALL_ID,))]
)
def test_out_of_gas_by_one_unit(signature: str, arguments: tuple[object, ...]) -> None:
    chain = Chain()
    if signature.startswith("modelInfo"):
        chain.publish(SMALL)
    before = chain.state.snapshot()
    needed = chain.registry(signature, *arguments).gas_used
    chain.state.revert(before.snapshot())
    short = chain.registry(signature, *arguments, gas=needed - 1)
    assert (short.error, short.gas_used, chain.state) == ("OutOfGas", needed - 1, before)
    assert chain.registry(signature, *arguments, gas=needed).error is None


def test_upload_and_publish_run_out_of_gas_by_one_unit() -> None:
    done = Chain()
    begun = done.registry(BEGIN, SMALL_ID, len(SMALL), 512)
    assert begun.error is None
    state = done.state.snapshot()
    for signature, arguments in ((UPLOAD, (SMALL_ID, 0, SMALL)), (PUBLISH, (SMALL_ID,))):
        needed = done.registry(signature, *arguments).gas_used
        after = done.state.snapshot()
        done.state.revert(state.snapshot())
        assert done.registry(signature, *arguments, gas=needed - 1).error == "OutOfGas"
        assert done.state == state
        done.state.revert(after)
        state = after.snapshot()


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x01\x02\x03\x04" + bytes(64)])
def test_unknown_functions(data: bytes) -> None:
    outcome = Chain().call(MODEL_REGISTRY, data)
    assert outcome.error == "UnknownFunction(bytes4)"
    assert outcome.arguments() == (data[:4].ljust(4, b"\0"),)


def test_malformed_calldata() -> None:
    chain = Chain()
    whole = calldata(UPLOAD, SMALL_ID, 0, b"abc")
    for cut in (4, 35, 99, 120, 132):
        assert chain.call(MODEL_REGISTRY, whole[:cut]).error == "InvalidCalldata()"


@settings(max_examples=150)
@given(st.data())
def test_no_calldata_makes_anything_but_a_typed_outcome(data: st.DataObject) -> None:
    chain = Chain()
    signature, arguments = data.draw(st.sampled_from(WRITES))
    raw = bytearray(calldata(signature, *arguments))
    for _ in range(data.draw(st.integers(0, 4))):
        raw[data.draw(st.integers(4, len(raw) - 1))] = data.draw(st.integers(0, 255))
    raw = raw[: data.draw(st.integers(0, len(raw)))]
    outcome = chain.call(MODEL_REGISTRY, bytes(raw))
    if outcome.error is not None:
        assert chain.state == Chain().state
