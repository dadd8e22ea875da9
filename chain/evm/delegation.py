"""Delegation designators: code of an account that runs another account's code (EIP-7702)."""

from typing import Final

DELEGATION_PREFIX: Final = b"\xef\x01\x00"
"""A designator is this and a 20-byte address."""

_SIZE: Final = 23


def is_delegation(code: bytes) -> bool:
    """Whether an account's code is a designator."""
    return len(code) == _SIZE and code[:3] == DELEGATION_PREFIX
