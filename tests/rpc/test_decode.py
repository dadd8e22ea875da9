"""JSON values into domain values, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpc import decode
from rpc.call_decode import call_request
from rpc.errors import InvalidParams

ANYTHING = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=80)
BLOCK = bytes(32)


@pytest.mark.parametrize(
    ("value", "number"),
    [("0x0", 0), ("0x", 0), ("0x1F", 31), ("0x0001", 1), (7, 7), ("0x" + "f" * 64, 2**256 - 1)],
)
def test_quantity(value: object, number: int) -> None:
    assert decode.quantity(value) == number


@pytest.mark.parametrize(
    "value",
    [
        "",
        "1",
        "0x-1",
        "-0x1",
        "0x1_0",
        "0xg",
        "0x" + "1" + "0" * 64,
        -1,
        1.5,
        True,
        [],
        "0x 1",
        "0x+1",
    ],
)
def test_quantity_refuses(value: object) -> None:
    with pytest.raises(InvalidParams):
        decode.quantity(value)


@pytest.mark.parametrize("value", ["", "12", "0x1", "0xzz", "0x 1 2", 5, None, "0x12\n"])
def test_data_refuses(value: object) -> None:
    with pytest.raises(InvalidParams):
        decode.data(value)


def test_sizes_are_checked() -> None:
    assert decode.address("0x" + "Ab" * 20) == b"\xab" * 20
    with pytest.raises(InvalidParams, match="address needs 20 bytes, got 19"):
        decode.address("0x" + "ab" * 19)
    with pytest.raises(InvalidParams, match="hash needs 32 bytes, got 20"):
        decode.hash32("0x" + "ab" * 20)
    assert decode.hash32("ab" * 32) == b"\xab" * 32  # web3.py's tracing sends no prefix


def test_storage_keys_may_be_short() -> None:
    for key in ("0x0", "0x", "0x" + "0" * 64, "0" * 64, 0):
        assert decode.slot(key) == 0
    with pytest.raises(InvalidParams, match="storage key too long"):
        decode.slot("0x" + "0" * 66)


def test_argument_names_the_position() -> None:
    with pytest.raises(InvalidParams, match="missing value for required argument 1"):
        decode.argument(["0x0"], 1, decode.address)
    with pytest.raises(InvalidParams, match="invalid argument 0: expected hex data"):
        decode.argument([5], 0, decode.address)
    assert decode.argument([None], 0, decode.flag, True) is True


@given(ANYTHING)
def test_decoders_raise_nothing_else(value: object) -> None:
    for decoder in (
        decode.quantity,
        decode.data,
        decode.address,
        decode.hash32,
        decode.slot,
        decode.block_tag,
        decode.text,
        decode.flag,
    ):
        try:
            decoder(value)
        except InvalidParams:
            continue


def test_a_call_with_everything() -> None:
    request = call_request(
        BLOCK,
        {
            "from": "0x" + "11" * 20,
            "to": "0x" + "22" * 20,
            "data": "0x1234",
            "input": "0x1234",
            "value": "0x5",
            "gas": "0x5208",
            "maxFeePerGas": "0x9",
            "maxPriorityFeePerGas": "0x1",
            "nonce": "0x2",
            "chainId": "0x1",
            "type": "0x2",
            "accessList": [{"address": "0x" + "33" * 20, "storageKeys": ["0x" + "00" * 32]}],
            "someKeyOfTheFuture": {},
        },
        {"0x" + "44" * 20: {"balance": "0x1", "stateDiff": {"0x" + "00" * 32: "0x" + "01" * 32}}},
        {"number": "0x10", "time": "0x20", "baseFeePerGas": "0x0"},
    )
    assert request.sender == b"\x11" * 20
    assert request.data == b"\x12\x34"
    assert (request.value, request.gas, request.nonce) == (5, 21_000, 2)
    assert request.access_list == ((b"\x33" * 20, (0,)),)
    override = request.state_overrides[b"\x44" * 20]
    assert (override.balance, override.nonce, override.state) == (1, None, None)
    assert override.state_diff == ((0, int.from_bytes(b"\x01" * 32, "big")),)
    assert (request.block_overrides.number, request.block_overrides.timestamp) == (16, 32)
    assert request.block_overrides.base_fee_per_gas == 0


def test_a_call_without_recipient_is_a_creation() -> None:
    assert call_request(BLOCK, {"data": "0x00", "to": None}).to is None


@pytest.mark.parametrize(
    ("call", "overrides", "text"),
    [
        ({"data": "0x01", "input": "0x02"}, None, 'both "data" and "input"'),
        ({"gasPrice": "0x1", "maxFeePerGas": "0x1"}, None, "both gasPrice and"),
        ({"to": "0x1"}, None, "to: invalid hex data"),
        ({"gas": hex(2**64)}, None, "gas: number"),
        ([], None, "expected an object, got array"),
        ({"accessList": [{"address": None}]}, None, "accessList: "),
        ({}, {"0x12": {}}, "address needs 20 bytes"),
        ({}, {"0x" + "00" * 20: {"state": {}, "stateDiff": {}}}, "both state and stateDiff"),
        ({}, {"0x" + "00" * 20: {"nonce": "x"}}, "nonce: "),
    ],
)
def test_bad_calls(call: object, overrides: object, text: str) -> None:
    with pytest.raises(InvalidParams, match=text.replace("(", r"\(")):
        call_request(BLOCK, call, overrides)
