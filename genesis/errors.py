"""Errors of the genesis package.

GenesisError    a genesis file or a list of first accounts cannot start a chain
"""


class GenesisError(ValueError):
    """Names the field, what it holds, and what was expected."""
