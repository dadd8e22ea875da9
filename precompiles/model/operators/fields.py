"""Types of the fields of operator records."""

from typing import TypeAlias

Value: TypeAlias = int
"""A value id: an operand or the output."""

Ints: TypeAlias = tuple[int, ...]
