"""Contract ABI, strict: what Solidity's own decoder refuses is refused here.

Types are written as in signatures: ``uintN``, ``intN``, ``bytesN``, ``address``, ``bool``,
``bytes``, ``string``, ``T[]`` and tuples ``(T,T)``. Python values: int, bytes (20 for an address),
bool, str and sequences. Normative text: docs/spec/inference-precompile.md section 2.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from precompiles.errors import PrecompileRevert
from precompiles.hashing import keccak256

WORD: Final = 32
INVALID_CALLDATA: Final = "InvalidCalldata()"


def selector(signature: str) -> bytes:
    """First 4 bytes of keccak256 of a canonical function or error signature."""
    return keccak256(signature.encode("ascii"))[:4]


def topic(signature: str) -> bytes:
    """Topic 0 of an event with this canonical signature."""
    return keccak256(signature.encode("ascii"))


@cache
def arguments_of(signature: str) -> tuple[str, ...]:
    """Argument types of ``name(T,T)``."""
    return split_types(signature[signature.index("(") + 1 : -1])


@cache
def split_types(text: str) -> tuple[str, ...]:
    """``"T,(T,T)[],T"`` at its outer commas."""
    parts: list[str] = []
    depth = start = 0
    for index, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    return (*parts, text[start:]) if text else ()


def encode(types: Sequence[str], values: Sequence[Any]) -> bytes:
    """ABI encoding of values that the caller has made; a value outside its type is a bug of ours.

    Raises:
        OverflowError, TypeError, ValueError: a value does not fit its type.
    """
    heads: list[bytes] = []
    tails: list[bytes] = []
    offset = sum(_head_size(kind) for kind in types)
    for kind, value in zip(types, values, strict=True):
        body = _encode_one(kind, value)
        if is_dynamic(kind):
            heads.append(offset.to_bytes(WORD, "big"))
            tails.append(body)
            offset += len(body)
        else:
            heads.append(body)
    return b"".join(heads) + b"".join(tails)


def decode(types: Sequence[str], data: bytes) -> tuple[Any, ...]:
    """Values of ABI-encoded calldata (without selector).

    Offsets and lengths must lie inside ``data`` and every word inside its type's range. Bytes after
    the last value are allowed, and padding is not looked at: both as in Solidity.

    Raises:
        PrecompileRevert: InvalidCalldata().
    """
    return _decode_tuple(tuple(types), data, 0)


def encode_revert(error: PrecompileRevert) -> bytes:
    """Revert data of a typed error: selector and ABI-encoded arguments."""
    arguments = encode(arguments_of(error.signature), error.arguments)
    return selector(error.signature) + arguments


@cache
def is_dynamic(kind: str) -> bool:
    """Whether the encoding of a type has a variable length."""
    if kind in ("bytes", "string") or kind.endswith("[]"):
        return True
    return kind.startswith("(") and any(is_dynamic(item) for item in split_types(kind[1:-1]))


@cache
def _head_size(kind: str) -> int:
    if kind.startswith("(") and not is_dynamic(kind):
        return sum(_head_size(item) for item in split_types(kind[1:-1]))
    return WORD


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % WORD)


def _encode_one(kind: str, value: Any) -> bytes:
    if kind.endswith("[]"):
        return _encode_array(kind[:-2], value)
    if kind.startswith("("):
        return encode(split_types(kind[1:-1]), value)
    if kind in ("bytes", "string"):
        data = value.encode("utf-8") if kind == "string" else value
        return len(data).to_bytes(WORD, "big") + _padded(data)
    return _encode_word(kind, value)


def _encode_array(item: str, values: Sequence[Any]) -> bytes:
    length = len(values).to_bytes(WORD, "big")
    if item == "int256":
        return length + b"".join([value.to_bytes(WORD, "big", signed=True) for value in values])
    return length + encode((item,) * len(values), values)


def _encode_word(kind: str, value: Any) -> bytes:
    if kind.startswith("bytes"):
        if len(value) != int(kind[5:]):
            raise ValueError(f"{kind} has {len(value)} bytes")
        return bytes(_padded(value))
    if kind == "address":
        if len(value) != 20:
            raise ValueError(f"address has {len(value)} bytes")
        return bytes(12) + bytes(value)
    low, high = _range(kind)
    if not low <= value <= high:
        raise OverflowError(f"{value} is not a {kind}")
    return int(value).to_bytes(WORD, "big", signed=low < 0)


@cache
def _range(kind: str) -> tuple[int, int]:
    """Smallest and largest value of an integer type or of bool."""
    if kind == "bool":
        return 0, 1
    if kind.startswith("uint"):
        return 0, (1 << int(kind[4:])) - 1
    if kind.startswith("int"):
        half = 1 << (int(kind[3:]) - 1)
        return -half, half - 1
    raise ValueError(f"unknown ABI type {kind!r}")


def _invalid() -> PrecompileRevert:
    return PrecompileRevert(INVALID_CALLDATA)


def _word(data: bytes, position: int) -> int:
    word = data[position : position + WORD]
    if len(word) != WORD:
        raise _invalid()
    return int.from_bytes(word, "big")


def _decode_tuple(types: tuple[str, ...], data: bytes, base: int) -> tuple[Any, ...]:
    values: list[Any] = []
    position = base
    for kind in types:
        if is_dynamic(kind):
            start = base + _word(data, position)
            if start > len(data):
                raise _invalid()
            values.append(_decode_dynamic(kind, data, start))
        elif kind.startswith("("):
            values.append(_decode_tuple(split_types(kind[1:-1]), data, position))
        else:
            values.append(_decode_word(kind, data, position))
        position += _head_size(kind)
    return tuple(values)


def _decode_dynamic(kind: str, data: bytes, start: int) -> Any:
    if kind.startswith("(") and not kind.endswith("[]"):
        return _decode_tuple(split_types(kind[1:-1]), data, start)
    length = _word(data, start)
    start += WORD
    if kind.endswith("[]"):
        item = kind[:-2]
        if start + length * _head_size(item) > len(data):
            raise _invalid()
        if item == "int256":
            stop = start + length * WORD
            from_bytes = int.from_bytes
            return [
                from_bytes(data[at : at + WORD], "big", signed=True)
                for at in range(start, stop, WORD)
            ]
        return list(_decode_tuple((item,) * length, data, start))
    if start + length > len(data):
        raise _invalid()
    body = data[start : start + length]
    if kind == "bytes":
        return body
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        raise _invalid() from None


def _decode_word(kind: str, data: bytes, position: int) -> Any:
    word = data[position : position + WORD]
    if len(word) != WORD:
        raise _invalid()
    if kind.startswith("bytes"):
        size = int(kind[5:])
        if any(word[size:]):
            raise _invalid()
        return word[:size]
    if kind == "address":
        if any(word[:12]):
            raise _invalid()
        return word[12:]
    low, high = _range(kind)
    value = int.from_bytes(word, "big", signed=low < 0)
    if not low <= value <= high:
        raise _invalid()
    return bool(value) if kind == "bool" else value
