"""Values of a genesis file: JSON in, checked Python values out; GenesisError names the field."""

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from genesis.errors import GenesisError

_UINT64_MAX = (1 << 64) - 1
_OPENING: Final = b"[{"
_BRACKETS: Final = re.compile(rb"[\[{\]}]")


def nesting(text: str | bytes) -> int:
    """Depth of a JSON text, brackets inside strings counted too; look before you decode.

    Python's decoder recurses in C as deep as the recursion limit lets it, and py-evm raises that
    limit for the whole process: nested brackets would then end the process, not the decoding.
    """
    depth = deepest = 0
    encoded = text.encode(errors="replace") if isinstance(text, str) else text
    for match in _BRACKETS.finditer(encoded):
        depth += 1 if match[0] in _OPENING else -1
        deepest = max(deepest, depth)
    return deepest


def object_of(value: Any, name: str) -> Mapping[str, Any]:
    """A JSON object."""
    if not isinstance(value, dict):
        raise GenesisError(f"{name}: {_show(value)}, expected an object")
    return value


def refuse_unknown(fields: Mapping[str, Any], known: Collection[str], name: str) -> None:
    """Raise on a field that would have no effect: a misspelt rule must not be ignored."""
    for field in fields:
        if field not in known:
            raise GenesisError(f"{name}: field {field!r} is unknown")


def number(value: Any, name: str, low: int = 0, high: int = _UINT64_MAX) -> int:
    """An integer in ``low`` to ``high``: JSON integer, decimal string or 0x hex string."""
    if isinstance(value, str) and value.isascii():
        digits = value.lower()
        is_hex = digits.startswith("0x")
        body = digits[2:] if is_hex else digits
        is_clean = bool(body) and len(body) <= 80 and not set(body) - set("0123456789abcdef")
        try:
            parsed = int(body, 16 if is_hex else 10) if is_clean else None
        except ValueError:
            parsed = None
    else:
        parsed = value if isinstance(value, int) and not isinstance(value, bool) else None
    if parsed is None:
        raise GenesisError(f"{name}: {_show(value)}, expected an integer or a 0x hex string")
    if not low <= parsed <= high:
        raise GenesisError(f"{name}: {parsed}, expected {low} to {high}")
    return parsed


def boolean(value: Any, name: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise GenesisError(f"{name}: {_show(value)}, expected true or false")
    return value


def data(value: Any, name: str, length: int | None = None) -> bytes:
    """Bytes from a 0x hex string, of exactly ``length`` when that is given."""
    if not isinstance(value, str) or value[:2] not in ("0x", "0X"):
        raise GenesisError(f"{name}: {_show(value)}, expected a 0x hex string")
    try:
        result = bytes.fromhex(value[2:])
    except ValueError:
        raise GenesisError(
            f"{name}: {_show(value)}, expected an even number of hex digits"
        ) from None
    if len(result) * 2 != len(value) - 2:  # bytes.fromhex skips blanks
        raise GenesisError(f"{name}: {_show(value)}, expected hex digits only")
    if length is not None and len(result) != length:
        raise GenesisError(f"{name}: {len(result)} bytes, expected {length}")
    return result


def address(value: Any, name: str) -> bytes:
    """20 bytes from a 0x hex string in any case; a checksum in the case is not verified."""
    return data(value, name, 20)


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
