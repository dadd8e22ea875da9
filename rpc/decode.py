"""JSON values -> domain values: strict where meaning is at stake, lenient where clients are sloppy.

Every decoder takes one JSON value and raises `InvalidParams`. `argument` picks it out of the
positional parameters and adds the position to the text, as geth does.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from rpc.errors import InvalidParams

T = TypeVar("T")

Decoder = Callable[[object], T]

Params = Sequence[object]
"""Positional parameters of a request."""

Fields = Mapping[str, object]
"""A JSON object."""

MAX_HEX_CHARACTERS: Final = 2 * 4 * 1024 * 1024
UINT64: Final = 2**64
UINT256: Final = 2**256
HEAD_TAGS: Final = ("latest", "pending", "safe", "finalized")
TAGS: Final = frozenset({*HEAD_TAGS, "earliest"})

_REQUIRED: Final = object()
_QUANTITY: Final = re.compile("0[xX][0-9a-fA-F]{0,80}")


def argument(
    params: Params,
    index: int,
    decoder: Decoder[T],
    default: object = _REQUIRED,
) -> T:
    """Decode parameter ``index``; absent and null mean ``default``.

    Raises:
        InvalidParams: absent without a default, or malformed.
    """
    value = params[index] if index < len(params) else None
    if value is None:
        if default is _REQUIRED:
            raise InvalidParams(f"missing value for required argument {index}")
        return default  # type: ignore[return-value]  # the caller's own type
    try:
        return decoder(value)
    except InvalidParams as error:
        raise InvalidParams(f"invalid argument {index}: {error.message}") from None


def text(value: object) -> str:
    """A string."""
    if not isinstance(value, str):
        raise InvalidParams(f"expected a string, got {kind(value)}")
    return value


def flag(value: object) -> bool:
    """A boolean."""
    if not isinstance(value, bool):
        raise InvalidParams(f"expected a boolean, got {kind(value)}")
    return value


def mapping(value: object) -> Fields:
    """An object."""
    if not isinstance(value, dict):
        raise InvalidParams(f"expected an object, got {kind(value)}")
    return value


def sequence(value: object) -> Sequence[object]:
    """An array."""
    if not isinstance(value, list):
        raise InvalidParams(f"expected an array, got {kind(value)}")
    return value


def quantity(value: object, limit: int = UINT256) -> int:
    """Hex quantity in [0, limit); plain JSON integers are taken too, for curl users."""
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, str) and _QUANTITY.fullmatch(value):
        number = int(value[2:] or "0", 16)
    else:
        raise InvalidParams(f"expected a hex number with 0x prefix, got {shorten(value)}")
    if not 0 <= number < limit:
        raise InvalidParams(f"number {shorten(value)} is not in [0, {limit:#x})")
    return number


def uint64(value: object) -> int:
    """Hex quantity below 2**64."""
    return quantity(value, UINT64)


def data(value: object) -> bytes:
    """Hex bytes with 0x prefix, at most 4 MiB."""
    if not isinstance(value, str) or value[:2] not in ("0x", "0X"):
        raise InvalidParams(f"expected hex data with 0x prefix, got {shorten(value)}")
    if len(value) > MAX_HEX_CHARACTERS + 2:
        raise InvalidParams(f"hex data of {len(value)} characters, limit {MAX_HEX_CHARACTERS}")
    try:
        decoded = bytes.fromhex(value[2:])
    except ValueError:
        raise InvalidParams(f"invalid hex data {shorten(value)}") from None
    if 2 * len(decoded) != len(value) - 2:  # fromhex skips blanks
        raise InvalidParams(f"invalid hex data {shorten(value)}")
    return decoded


def address(value: object) -> bytes:
    """20 bytes; the checksum's case is not checked."""
    return _fixed(value, 20, "address")


def hash32(value: object) -> bytes:
    """32 bytes; a missing 0x prefix is forgiven (web3.py's tracing sends none)."""
    if isinstance(value, str) and len(value) == 64:
        value = "0x" + value
    return _fixed(value, 32, "hash")


def slot(value: object) -> int:
    """Storage position: 32 bytes, a short hex string or a quantity."""
    if isinstance(value, str) and len(value) > 66:
        raise InvalidParams(f"storage key too long: {len(value)} characters, limit 66")
    if isinstance(value, str) and value[:2] not in ("0x", "0X"):
        value = "0x" + value
    return quantity(value)


def block_tag(value: object) -> int | str:
    """Block number or one of `TAGS`."""
    if isinstance(value, str) and value in TAGS:
        return value
    return quantity(value, UINT64)


def _fixed(value: object, size: int, name: str) -> bytes:
    decoded = data(value)
    if len(decoded) != size:
        raise InvalidParams(f"{name} needs {size} bytes, got {len(decoded)}")
    return decoded


def kind(value: object) -> str:
    """JSON's name of a value's type, for error texts."""
    names = {str: "string", bool: "boolean", int: "number", float: "number", list: "array"}
    return "null" if value is None else names.get(type(value), "object")


def shorten(value: object) -> str:
    """A value as it appears in an error text: at most 40 characters of a string."""
    if isinstance(value, str):
        return repr(value if len(value) <= 40 else value[:40] + "…")
    return repr(value) if isinstance(value, int | float) else kind(value)
