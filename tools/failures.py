"""Which exceptions are a user's mistake or a refused input, told in one line."""

import sys

EXPECTED = (
    ("genesis.errors", "GenesisError"),
    ("precompiles.errors", "ModelError"),
    ("chain.errors", "ChainError"),
    ("consensus.errors", "ConsensusError"),
    ("tools.errors", "ToolError"),
)
"""Root of each package's own error family. A class from a module that was never imported cannot
be the class of an error in flight, so nothing is imported for this table."""


def explain(error: BaseException) -> str | None:
    """One line for an expected failure, None when the error is a bug of ours."""
    for module, name in EXPECTED:
        family = getattr(sys.modules.get(module), name, None)
        if family is not None and isinstance(error, family):
            return str(error)
    if isinstance(error, OSError):
        return f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
    return None
