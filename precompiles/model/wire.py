"""Strict RLP of nested byte strings, without recursion on hostile input.

Only the shortest encoding of each item is accepted, nesting is bounded, and every failure is a
``ModelError``. Source: Ethereum yellow paper, appendix B.
"""

from collections.abc import Sequence
from typing import TypeAlias

from precompiles.errors import ModelError

Item: TypeAlias = bytes | Sequence["Item"]
MAX_DEPTH = 6
"""Deepest legal nesting of lists; a model needs four."""

_SHORT_STRING, _LONG_STRING = 0x80, 0xB7
_SHORT_LIST, _LONG_LIST = 0xC0, 0xF7


def encode_item(item: Item) -> bytes:
    """RLP of a byte string or of a sequence of items."""
    if isinstance(item, bytes):
        if len(item) == 1 and item[0] < _SHORT_STRING:
            return item
        return _header(len(item), _SHORT_STRING) + item
    payload = b"".join(encode_item(child) for child in item)
    return _header(len(payload), _SHORT_LIST) + payload


def decode_item(data: bytes, max_items: int) -> Item:
    """The one item that ``data`` encodes; strings are copied out.

    Raises:
        ModelError: not canonical RLP, trailing bytes, deeper than ``MAX_DEPTH``, or more than
            ``max_items`` items in all.
    """
    root: list[Item] = []
    stack = [(root, len(data))]
    position = count = 0
    while stack:
        items, stop = stack[-1]
        if position == stop:
            stack.pop()
            continue
        is_list, start, end = _read_header(data, position, stop)
        count += 1
        if count > max_items or len(stack) > MAX_DEPTH:
            raise ModelError(f"wire: more than {max_items} items or {MAX_DEPTH} levels")
        if is_list:
            child: list[Item] = []
            items.append(child)
            stack.append((child, end))
            position = start
        else:
            items.append(data[start:end])
            position = end
    if len(root) != 1:
        raise ModelError(f"wire: {len(root)} items, expected 1")
    return root[0]


def _header(length: int, offset: int) -> bytes:
    if length < 56:
        return bytes([offset + length])
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([offset + 55 + len(size)]) + size


def _read_header(data: bytes, position: int, stop: int) -> tuple[bool, int, int]:
    """(is a list, first payload byte, end) of the item at ``position``, which ends by ``stop``."""
    prefix = data[position]
    if prefix < _SHORT_STRING:
        return False, position, position + 1
    is_list = prefix >= _SHORT_LIST
    short, long = (_SHORT_LIST, _LONG_LIST) if is_list else (_SHORT_STRING, _LONG_STRING)
    start = position + 1
    length = prefix - short
    if prefix > long:
        size = prefix - long
        length = int.from_bytes(data[start : start + size], "big")
        start += size
        if start > stop or length < 56 or data[position + 1] == 0:
            raise ModelError(f"wire: length at byte {position} is not in its shortest form")
    end = start + length
    if end > stop:
        raise ModelError(f"wire: item at byte {position} ends at {end}, its list at {stop}")
    if not is_list and length == 1 and data[start] < _SHORT_STRING:
        raise ModelError(f"wire: byte {data[start]} at {position} needs no length")
    return is_list, start, end
