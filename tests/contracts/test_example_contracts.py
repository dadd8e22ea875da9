"""The library and the examples against the native accounts, in real blocks."""

import pytest

from genesis.addresses import INFERENCE, MODEL_REGISTRY
from precompiles.abi import decode, selector, topic
from precompiles.hashing import keccak256
from precompiles.model import operators as op
from precompiles.model.codec import encode_model
from precompiles.model.types import (
    Constant,
    DType,
    IntegerModel,
    Port,
    Quantization,
    TensorType,
)
from tests.contracts.evm_chain import ADDRESSES, Contract, EvmChain, Reverted, created_address
from tests.precompiles.native_calls import SMALL, SMALL_ID, words

ETHER = 10**18
ALICE, BOB = ADDRESSES[:2]


def digit_model() -> IntegerModel:
    """64 pixels (q / 15) to ten s32 scores: score k is the sum of pixels 6k to 6k + 5."""
    weight = [int(6 * k <= i < 6 * k + 6) for i in range(64) for k in range(10)]
    constants = (
        Constant(TensorType(DType.S8, (64, 10)), words(DType.S8, weight)),
        Constant(TensorType(DType.S32, (10,)), words(DType.S32, [0] * 10)),
        Constant(TensorType(DType.S32, (10,)), words(DType.S32, [1 << 30] * 10)),
    )
    gemm = op.Gemm(
        x=3,
        weight=0,
        bias=1,
        multiplier=2,
        shift=30,
        zero_point=0,
        lo=-(2**31),
        hi=2**31 - 1,
        output=4,
    )
    return IntegerModel(
        inputs=(Port("image", 3, Quantization(1, 15, 0)),),
        outputs=(Port("scores", 4, Quantization(1, 15, 0)),),
        constants=constants,
        tensors=(TensorType(DType.U8, (64,)), TensorType(DType.S32, (10,))),
        instructions=(gemm,),
    )


def image(digit: int, strength: int = 9) -> bytes:
    return bytes(strength if 6 * digit <= i < 6 * digit + 6 else 1 for i in range(64))


@pytest.fixture(scope="module")
def reader() -> Contract:
    chain = EvmChain()
    model_id = chain.publish(encode_model(digit_model()))
    return chain.deploy("DigitReader", model_id)


def test_a_digit_is_classified_for_free(reader: Contract) -> None:
    digit, scores = reader.read("classify", image(7))
    assert digit == 7
    assert scores == [54 * ETHER if k == 7 else 6 * ETHER for k in range(10)]


def test_a_digit_is_read_in_a_transaction(reader: Contract) -> None:
    receipt = reader.send("read", image(3), sender=1)
    assert receipt.status == 1
    inference, reading = receipt.logs
    assert inference.address == INFERENCE
    assert inference.topics == (
        topic("Inference(bytes32,address,bytes32,bytes32,bytes,bytes)"),
        reader.read("model"),
        reader.address.rjust(32, b"\0"),
    )
    _, _, raw, output = decode(("bytes32", "bytes32", "bytes", "bytes"), inference.data)
    assert raw == bytes(15 * pixel for pixel in image(3))
    assert output == words(DType.S32, [15 * (54 if k == 3 else 6) for k in range(10)])
    assert reading.address == reader.address
    assert reading.topics[1:] == (BOB.rjust(32, b"\0"), (3).to_bytes(32, "big"))
    assert reading.data == keccak256(image(3))
    assert reader.read("lastDigit", BOB) == 3


def test_images_that_are_none(reader: Contract) -> None:
    assert reader.error("classify", image(1)[:-1]) == ("NotAnImage", 64, 63)
    assert reader.error("read", image(1) + b"\0") == ("NotAnImage", 64, 65)
    assert reader.error("read", bytes(5) + b"\x11" + bytes(58)) == ("PixelOutOfRange", 5, 17)
    assert reader.error("lastDigit", ADDRESSES[5]) == ("NothingRead", ADDRESSES[5])


def test_a_reader_needs_a_published_digit_model() -> None:
    chain = EvmChain()
    with pytest.raises(Reverted):
        chain.deploy("DigitReader", bytes(32))
    chain.publish(SMALL)
    with pytest.raises(Reverted):
        chain.deploy("DigitReader", SMALL_ID)


def risk_model() -> bytes:
    """Two features, two probabilities in steps of 2**-24: bad = feature 0, good = 1 - bad."""
    s32, s64 = DType.S32, DType.S64
    weight = Constant(TensorType(s32, (2, 2)), words(s32, [1, -1, 0, 0]))
    bias = Constant(TensorType(s64, (2,)), words(s64, [0, 1 << 24]))
    step = Quantization(1, 1 << 24, 0)
    return encode_model(
        IntegerModel(
            inputs=(Port("features", 2, step),),
            outputs=(Port("probabilities", 3, step),),
            constants=(weight, bias),
            tensors=(TensorType(s32, (2,)), TensorType(s64, (2,))),
            instructions=(op.LinearInteger(x=2, weight=0, bias=1, output=3),),
        )
    )


@pytest.fixture
def pool() -> Contract:
    chain = EvmChain()
    model_id = chain.publish(risk_model())
    pool = chain.deploy("RiskPool", model_id, 0, 3 * ETHER // 10)
    assert pool.send("deposit", sender=2, value=50 * ETHER).status == 1
    return pool


GOOD, BAD = [ETHER // 4, 0], [ETHER // 2, 0]


def test_a_loan_is_priced_by_the_model(pool: Contract) -> None:
    assert pool.read("riskOf", GOOD) == ETHER // 4
    interest = 8 * (ETHER * 2 // 100 + ETHER // 8)
    assert pool.read("lend", BOB, 8 * ETHER, GOOD) == interest
    receipt = pool.send("lend", BOB, 8 * ETHER, GOOD)
    assert receipt.status == 1
    assert receipt.logs[0].topics[1] == BOB.rjust(32, b"\0")
    assert decode(("uint256", "uint256", "int256"), receipt.logs[0].data) == (
        8 * ETHER,
        interest,
        ETHER // 4,
    )
    assert pool.read("loans", BOB) == (8 * ETHER, interest)
    owed = 8 * ETHER + interest
    assert pool.error("repay", sender=1, value=1) == ("WrongAmount", owed, 1)
    assert pool.send("repay", sender=1, value=owed).status == 1
    assert pool.read("loans", BOB) == (0, 0)
    assert pool.chain.state.account(pool.address).balance == 50 * ETHER + interest


def test_failures_of_the_pool(pool: Contract) -> None:
    assert pool.error("lend", BOB, ETHER, BAD) == ("RiskTooHigh", ETHER // 2, 3 * ETHER // 10)
    assert pool.error("lend", BOB, 51 * ETHER, GOOD) == (
        "NotEnoughLiquidity",
        51 * ETHER,
        50 * ETHER,
    )
    assert pool.error("lend", BOB, ETHER, GOOD, sender=1) == ("NotKeeper", BOB)
    assert pool.error("lend", BOB, ETHER, [1]) == ("InputLengthMismatch", 2, 1)
    assert pool.error("repay", sender=1) == ("NoLoan", BOB)
    pool.send("lend", BOB, ETHER, GOOD)
    assert pool.error("lend", BOB, ETHER, GOOD) == ("LoanOpen", BOB)
    assert pool.send("withdraw", 50 * ETHER, sender=2).status == 0  # one ether is lent out
    assert pool.send("withdraw", 49 * ETHER, sender=2).status == 1
    assert pool.read("deposits", ADDRESSES[2]) == ETHER


def test_a_class_that_the_model_lacks() -> None:
    chain = EvmChain()
    pool = chain.deploy("RiskPool", chain.publish(risk_model()), 2, ETHER)
    assert pool.error("riskOf", GOOD) == ("NoSuchClass", 2, 2)


def test_a_pool_of_an_unknown_model() -> None:
    pool = EvmChain().deploy("RiskPool", bytes([5] * 32), 0, ETHER)
    assert pool.error("riskOf", GOOD) == ("ModelNotFound", bytes([5] * 32))


@pytest.mark.parametrize("account", [INFERENCE, MODEL_REGISTRY])
def test_native_accounts_refuse_delegatecall(account: bytes) -> None:
    chain = EvmChain()
    # copy calldata, DELEGATECALL with it, revert with what came back
    code = bytes.fromhex("365f5f375f5f365f73") + account + bytes.fromhex("5af43d5f5f3e3d5ffd")
    creation = bytes([0x60, len(code)]) + bytes.fromhex("8060095f395ff3") + code
    assert chain.send(None, creation).status == 1
    with pytest.raises(Reverted) as caught:
        chain.call(created_address(ADDRESSES[0], 0), bytes(4))
    assert caught.value.data == selector("DelegateCallNotSupported()")
