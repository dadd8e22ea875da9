import pytest
import rlp as library
from hypothesis import given
from hypothesis import strategies as st

from chain import rlp

ITEMS = st.recursive(
    st.binary(max_size=70), lambda items: st.lists(items, max_size=6), max_leaves=30
)


@given(ITEMS)
def test_round_trip_and_equal_to_the_library(item: rlp.Item) -> None:
    encoded = rlp.encode(item)
    assert rlp.decode(encoded) == item
    assert encoded == library.encode(item)


@given(st.binary(max_size=80))
def test_accepts_exactly_what_encodes_back(data: bytes) -> None:
    try:
        item = rlp.decode(data)
    except rlp.RlpError:
        return
    assert rlp.encode(item) == data


@given(st.lists(ITEMS, max_size=6))
def test_split_gives_the_encodings(items: list[rlp.Item]) -> None:
    parts = rlp.split_list(rlp.encode(items))
    assert parts == [rlp.encode(item) for item in items]
    assert rlp.join_list(parts) == rlp.encode(items)


@given(st.lists(ITEMS, max_size=6), st.integers(0, 7))
def test_a_bounded_split_agrees_or_is_refused(items: list[rlp.Item], most: int) -> None:
    encoded = rlp.encode(items)
    if len(items) <= most:
        assert rlp.split_up_to(encoded, most) == rlp.split_list(encoded)
    else:
        with pytest.raises(rlp.RlpError, match=f"at most {most} items"):
            rlp.split_up_to(encoded, most)


@given(st.binary(max_size=80))
def test_a_bounded_split_accepts_what_the_split_accepts(data: bytes) -> None:
    try:
        parts = rlp.split_list(data)
    except rlp.RlpError:
        with pytest.raises(rlp.RlpError):
            rlp.split_up_to(data, 80)
    else:
        assert rlp.split_up_to(data, 80) == parts


@given(ITEMS)
def test_a_string_is_no_list(item: rlp.Item) -> None:
    if isinstance(item, bytes):
        assert rlp.string(rlp.encode(item)) == item
    else:
        with pytest.raises(rlp.RlpError, match="found a list"):
            rlp.string(rlp.encode(item))


@given(st.integers(0, 2**256 - 1))
def test_integers(value: int) -> None:
    assert rlp.as_uint(rlp.decode(rlp.encode_uint(value))) == value


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("", "no item"),
        ("8100", "single byte"),
        ("817f", "single byte"),
        ("b800", "not minimal"),
        ("b837" + "aa" * 55, "not minimal"),
        ("b90038" + "aa" * 56, "not minimal"),
        ("83aabb", "truncated"),
        ("c3aa", "truncated"),
        ("b9", "truncated"),
        ("c281", "truncated"),
        ("c2817f", "single byte"),
        ("c383aabb", "truncated"),
        ("01bb", "after the item"),
        ("c0c0", "after the item"),
        ("bfffffffffffffffff", "truncated"),
    ],
)
def test_refuses(data: str, text: str) -> None:
    with pytest.raises(rlp.RlpError, match=text):
        rlp.decode(bytes.fromhex(data))


def test_refuses_deep_nesting_before_the_stack_overflows() -> None:
    data = b"\xc0"
    for _ in range(5_000):
        data = rlp.join_list([data])
    with pytest.raises(rlp.RlpError, match="nested deeper"):
        rlp.decode(data)


@pytest.mark.parametrize(("data", "bits"), [(b"\x00", 64), (b"\x00\x01", 64), (b"\x01" * 9, 64)])
def test_refuses_integers(data: bytes, bits: int) -> None:
    with pytest.raises(rlp.RlpError, match="integer"):
        rlp.as_uint(data, bits)


def test_refuses_other_shapes() -> None:
    with pytest.raises(rlp.RlpError, match="expected a list"):
        rlp.as_list(b"")
    with pytest.raises(rlp.RlpError, match="expected bytes"):
        rlp.as_bytes([])
    with pytest.raises(rlp.RlpError, match="expected 20 bytes, found 3"):
        rlp.as_bytes(b"abc", 20)
    with pytest.raises(rlp.RlpError, match="expected a list"):
        rlp.split_list(b"\x80")
    with pytest.raises(rlp.RlpError, match="after the list"):
        rlp.split_list(b"\xc0\xc0")
