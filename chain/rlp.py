"""Recursive Length Prefix, strict: every value has exactly one accepted encoding.

Source: Yellow Paper, appendix B. Own code because decoding is the door of the node: one pass, no
classes, slices of the original bytes for signing hashes and raw transactions.
"""

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

Item: TypeAlias = "bytes | Sequence[Item]"
"""What can be encoded: bytes or nested sequences of bytes."""

Decoded: TypeAlias = "bytes | list[Decoded]"
"""What decoding gives."""

MAX_DEPTH = 32
"""Deeper nesting is refused; nothing on this chain needs more than 6."""

_STRING_PREFIXES: Final = tuple([bytes((0x80 + size,)) for size in range(56)])
_LIST_PREFIXES: Final = tuple([bytes((0xC0 + size,)) for size in range(56)])
_SMALL_UINTS: Final = (b"\x80", *[bytes((value,)) for value in range(1, 0x80)])


class RlpError(ValueError):
    """Not canonical RLP, or not of the expected shape."""


def encode(item: Item) -> bytes:
    """RLP of bytes or of nested sequences of bytes."""
    if isinstance(item, bytes):
        return encode_bytes(item)
    return join_list(
        [encode_bytes(part) if isinstance(part, bytes) else encode(part) for part in item]
    )


def encode_bytes(data: bytes) -> bytes:
    """RLP of one byte string."""
    size = len(data)
    if size < 56:
        return data if size == 1 and data < b"\x80" else _STRING_PREFIXES[size] + data
    return _long_prefix(0xB7, size) + data


def join_list(encoded: Iterable[bytes]) -> bytes:
    """RLP list of items that are encoded already."""
    payload = b"".join(encoded)
    size = len(payload)
    return (_LIST_PREFIXES[size] if size < 56 else _long_prefix(0xF7, size)) + payload


def list_prefix(size: int) -> bytes:
    """What precedes the payload of a list of ``size`` bytes."""
    return _LIST_PREFIXES[size] if size < 56 else _long_prefix(0xF7, size)


def uint(value: int) -> bytes:
    """Big-endian bytes without leading zeros; zero is empty. Not yet RLP: pass it to encode."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def encode_uint(value: int) -> bytes:
    """RLP of an integer >= 0."""
    if value < 0x80:
        return _SMALL_UINTS[value]
    return encode_bytes(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def decode(data: bytes) -> Decoded:
    """Decode one item that fills ``data`` exactly.

    Raises:
        RlpError: truncated, trailing bytes, non-minimal length or nesting above MAX_DEPTH.
    """
    item, end = _decode(data, 0, len(data), 0)
    if end != len(data):
        raise RlpError(f"{len(data) - end} bytes after the item")
    return item


def decode_list(data: bytes) -> list[Decoded]:
    """As ``decode``; raises RlpError when the item is not a list."""
    return as_list(decode(data))


def list_payload(data: bytes) -> bytes:
    """What a list that fills ``data`` exactly holds, still encoded; items are not checked."""
    is_list, start, end = _header(data, 0, len(data))
    if not is_list or end != len(data):
        raise RlpError("not one whole list")
    return data[start:]


def split_list(data: bytes) -> list[bytes]:
    """The encodings of the items of a list that fills ``data`` exactly; items are not decoded."""
    is_list, start, end = _header(data, 0, len(data))
    if not is_list:
        raise RlpError("expected a list, found a string")
    if end != len(data):
        raise RlpError(f"{len(data) - end} bytes after the list")
    items = []
    while start < end:
        first = data[start]
        if first < 0x80:
            stop = start + 1
        elif first == 0xA0 and start + 33 <= end:
            stop = start + 33  # a hash, most of what a trie node holds
        else:
            stop = _header(data, start, end)[2]
        items.append(data[start:stop])
        start = stop
    return items


def split_up_to(data: bytes, most: int) -> list[bytes]:
    """As ``split_list``, at the price of ``most`` items: a longer list is an RlpError at once.

    For what strangers send: decoding megabytes of tiny or nested items takes seconds.
    """
    is_list, start, end = _header(data, 0, len(data))
    if not is_list or end != len(data):
        raise RlpError(f"{len(data)} bytes are not one whole list")
    items: list[bytes] = []
    while start < end:
        if len(items) == most:
            raise RlpError(f"list is too long, at most {most} items")
        stop = _header(data, start, end)[2]
        items.append(data[start:stop])
        start = stop
    return items


def string(item: bytes) -> bytes:
    """The byte string that an encoded item is; RlpError at once when it is a list."""
    if item[:1] >= b"\xc0":
        raise RlpError(f"expected bytes, found a list of {len(item)} bytes")
    return as_bytes(decode(item))


def as_list(item: Decoded) -> list[Decoded]:
    """``item`` when it is a list, else RlpError."""
    if isinstance(item, bytes):
        raise RlpError(f"expected a list, found {len(item)} bytes")
    return item


def as_bytes(item: Decoded, size: int | None = None) -> bytes:
    """``item`` when it is a byte string (of ``size`` bytes where given), else RlpError."""
    if not isinstance(item, bytes):
        raise RlpError(f"expected bytes, found a list of {len(item)}")
    if size is not None and len(item) != size:
        raise RlpError(f"expected {size} bytes, found {len(item)}")
    return item


def as_uint(item: Decoded, bits: int = 256) -> int:
    """A canonical integer below 2**bits, else RlpError."""
    data = as_bytes(item)
    if data[:1] == b"\0":
        raise RlpError("integer with leading zero")
    if len(data) * 8 > bits:
        raise RlpError(f"integer of {len(data)} bytes exceeds {bits} bits")
    return int.from_bytes(data, "big")


def _long_prefix(offset: int, size: int) -> bytes:
    """Prefix of a payload of at least 56 bytes; ``offset`` is 0xB7 for strings, 0xF7 for lists."""
    if size < 256:
        return bytes((offset + 1, size))
    length = uint(size)
    return bytes((offset + len(length),)) + length


def _header(data: bytes, at: int, limit: int) -> tuple[bool, int, int]:
    """(is list, payload start, payload end) of the item at ``at``; it must end by ``limit``."""
    if at >= limit:
        raise RlpError("truncated: no item")
    first = data[at]
    if first < 0x80:
        return False, at, at + 1
    is_list = first >= 0xC0
    size = first - (0xC0 if is_list else 0x80)
    start = at + 1
    if size > 55:
        start, size = _long_size(data, start, size - 55, limit)
    end = start + size
    if end > limit:
        raise RlpError(f"truncated: item ends at {end} of {limit} bytes")
    if size == 1 and not is_list and data[start] < 0x80:
        raise RlpError("single byte below 0x80 with a prefix")
    return is_list, start, end


def _long_size(data: bytes, at: int, count: int, limit: int) -> tuple[int, int]:
    start = at + count
    if start > limit:
        raise RlpError("truncated: length")
    size = int.from_bytes(data[at:start], "big")
    if data[at] == 0 or size < 56:
        raise RlpError("length is not minimal")
    return start, size


def _decode(data: bytes, at: int, limit: int, depth: int) -> tuple[Decoded, int]:
    is_list, start, end = _header(data, at, limit)
    if not is_list:
        return data[start:end], end
    return _decode_items(data, start, end, depth + 1), end


def _decode_items(data: bytes, at: int, limit: int, depth: int) -> list[Decoded]:
    """Items of a list between ``at`` and ``limit``; what is short is decoded in place."""
    if depth > MAX_DEPTH:
        raise RlpError(f"nested deeper than {MAX_DEPTH}")
    items: list[Decoded] = []
    while at < limit:
        first = data[at]
        if first < 0x80:
            end = at + 1
            items.append(data[at:end])
        elif first <= 0xB7:
            end = at + first - 0x7F
            if end > limit:
                raise RlpError(f"truncated: item ends at {end} of {limit} bytes")
            if first == 0x81 and data[at + 1] < 0x80:
                raise RlpError("single byte below 0x80 with a prefix")
            items.append(data[at + 1 : end])
        else:
            item, end = _decode(data, at, limit, depth)
            items.append(item)
        at = end
    return items


def bytes_list(item: Decoded, size: int | None = None) -> tuple[bytes, ...]:
    """A flat list of byte strings (each of ``size`` bytes where given), else RlpError."""
    return tuple([as_bytes(part, size) for part in as_list(item)])
