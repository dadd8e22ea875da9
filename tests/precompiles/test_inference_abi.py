"""The ABI codec: equal to eth_abi where both accept, and never anything but its own error."""

import eth_abi
import pytest
from eth_abi.exceptions import InvalidPointer, NonEmptyPaddingBytes
from hypothesis import given
from hypothesis import strategies as st

from precompiles.abi import decode, encode, encode_revert, selector, split_types
from precompiles.errors import PrecompileRevert

VALUES = {
    "uint256": st.integers(0, 2**256 - 1),
    "uint32": st.integers(0, 2**32 - 1),
    "uint8": st.integers(0, 255),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "int256": st.integers(-(2**255), 2**255 - 1),
    "bool": st.booleans(),
    "bytes32": st.binary(min_size=32, max_size=32),
    "bytes4": st.binary(min_size=4, max_size=4),
    "bytes": st.binary(max_size=70),
    "string": st.text(max_size=40),
}
VALUES |= {f"{kind}[]": st.lists(values, max_size=4) for kind, values in VALUES.items()}
VALUES["(uint32,string)"] = st.tuples(VALUES["uint32"], VALUES["string"])
VALUES["(uint32,bool)"] = st.tuples(VALUES["uint32"], VALUES["bool"])
VALUES["(uint32,string)[]"] = st.lists(VALUES["(uint32,string)"], max_size=3)
VALUES["(uint32,bool)[]"] = st.lists(VALUES["(uint32,bool)"], max_size=3)
VALUES["((uint32,bool),bytes)"] = st.tuples(VALUES["(uint32,bool)"], VALUES["bytes"])


@st.composite
def typed_values(draw: st.DrawFn) -> tuple[tuple[str, ...], tuple[object, ...]]:
    types = tuple(draw(st.lists(st.sampled_from(sorted(VALUES)), max_size=4)))
    return types, tuple(draw(VALUES[kind]) for kind in types)


def normal(value: object) -> object:
    return tuple(normal(item) for item in value) if isinstance(value, list | tuple) else value


@given(typed_values())
def test_encoding_equals_eth_abi_and_decodes_back(
    pair: tuple[tuple[str, ...], tuple[object, ...]],
) -> None:
    types, values = pair
    data = encode(types, values)
    assert data == eth_abi.encode(types, values)
    assert normal(decode(types, data)) == normal(values)


@given(typed_values(), st.data())
def test_damaged_calldata_is_refused_or_read_as_eth_abi_reads_it(
    pair: tuple[tuple[str, ...], tuple[object, ...]], data: st.DataObject
) -> None:
    types, values = pair
    damaged = bytearray(encode(types, values))
    for _ in range(data.draw(st.integers(0, 3))):
        if damaged:
            at = data.draw(st.integers(0, len(damaged) - 1))
            damaged[at] = data.draw(st.integers(0, 255))
    cut = bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    try:
        ours = decode(types, cut)
    except PrecompileRevert:
        return
    try:
        theirs = eth_abi.decode(types, cut + bytes(31))  # it wants the last word to be whole
    except (NonEmptyPaddingBytes, InvalidPointer):
        return  # Solidity and we look neither at padding nor for overlaps
    assert normal(ours) == normal(theirs)


ONE = (1).to_bytes(32, "big")
HUGE = (2**256 - 1).to_bytes(32, "big")


@pytest.mark.parametrize(
    ("types", "data"),
    [
        (("uint256",), b""),
        (("uint256",), ONE[:31]),
        (("uint32",), HUGE),
        (("bool",), (2).to_bytes(32, "big")),
        (("address",), HUGE),
        (("bytes4",), HUGE),
        (("bytes",), HUGE),
        (("bytes",), (32).to_bytes(32, "big")),
        (("bytes",), (32).to_bytes(32, "big") + HUGE),
        (("bytes",), (32).to_bytes(32, "big") + ONE),
        (("int256[]",), (32).to_bytes(32, "big") + (2**251).to_bytes(32, "big")),
        (("int256[]",), (32).to_bytes(32, "big") + (2).to_bytes(32, "big") + ONE),
        (("string",), (32).to_bytes(32, "big") + ONE + b"\xff" + bytes(31)),
    ],
)
def test_malformed_calldata(types: tuple[str, ...], data: bytes) -> None:
    with pytest.raises(PrecompileRevert) as caught:
        decode(types, data)
    assert caught.value.signature == "InvalidCalldata()"


def test_an_array_longer_than_calldata_is_refused_before_it_is_read() -> None:
    data = (32).to_bytes(32, "big") + (2**64).to_bytes(32, "big")
    with pytest.raises(PrecompileRevert):
        decode(("uint32[]",), data)


def test_revert_data() -> None:
    error = PrecompileRevert("InputLengthMismatch(uint256,uint256)", (64, 3))
    expected = selector("InputLengthMismatch(uint256,uint256)")
    assert encode_revert(error) == expected + eth_abi.encode(["uint256"] * 2, [64, 3])
    assert encode_revert(PrecompileRevert("NonPayable()")) == selector("NonPayable()")


def test_known_selectors() -> None:
    assert selector("transfer(address,uint256)").hex() == "a9059cbb"
    assert selector("Error(string)").hex() == "08c379a0"


def test_types_split_at_outer_commas_only() -> None:
    assert split_types("") == ()
    assert split_types("(a,b)[],c,(d,(e,f))") == ("(a,b)[]", "c", "(d,(e,f))")


@pytest.mark.parametrize(
    ("kind", "value"),
    [("uint8", 256), ("int64", 2**63), ("bytes32", b""), ("address", b""), ("what", 1)],
)
def test_our_own_values_are_checked_when_encoded(kind: str, value: object) -> None:
    with pytest.raises((ValueError, OverflowError)):
        encode((kind,), (value,))
