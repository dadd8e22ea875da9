"""Three kinds of precompile failure that must never be confused.

    PrecompileError
    ├── PrecompileRevert   the caller is wrong; typed revert data, unused gas returned
    └── PrecompileHalt     the caller is wrong; all its gas burned (out of gas, write protection)
    PrecompileFault        this node is broken; the block stops loudly, never a result
    ModelError             bytes are not a legal model (registration reverts, the CLI reports)

``PrecompileFault`` deliberately does not derive from ``PrecompileError``.
"""

from collections.abc import Sequence


class PrecompileError(Exception):
    """A deterministic failure of one call: every node sees the same."""


class PrecompileRevert(PrecompileError):
    """Revert with a Solidity custom error.

    Args:
        signature: canonical error signature, e.g. ``ModelNotFound(bytes32)``.
        arguments: its values in ABI order.
    """

    def __init__(self, signature: str, arguments: Sequence[object] = ()) -> None:
        super().__init__(signature, tuple(arguments))
        self.signature = signature
        self.arguments = tuple(arguments)


class PrecompileHalt(PrecompileError):
    """Exceptional halt: the gas given to the call is gone, nothing was changed."""


class OutOfGas(PrecompileHalt):
    """The declared work costs more than the gas left; nothing was computed."""

    def __init__(self, need: int, have: int) -> None:
        super().__init__(f"out of gas: need {need}, have {have}")
        self.need, self.have = need, have


class WriteProtection(PrecompileHalt):
    """A state change inside a static call (EIP-214)."""


class PrecompileFault(Exception):
    """This node cannot compute the result (corrupt chunk, failed self-test): stop the block."""


class ModelError(ValueError):
    """These bytes are not a legal integer model; the text names the rule and both values."""
