"""JSON-RPC errors: codes and texts that clients branch on (geth's, where geth has one).

    RpcError                 code, message and optional data of an error object
    ├── InvalidParams        -32602, the request's parameters
    ├── MethodNotFound       -32601
    └── ExecutionReverted    3, data = raw revert bytes

Errors of the floors below become one of these in `error_of`; what it does not know is a bug of the
node and is reported as -32603 without details.
"""

import logging
from typing import Final

from chain.errors import CallFailed, ChainError, InvalidTransaction, StateNotAvailable
from rpc.abi_registry import revert_reason

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
SERVER_ERROR: Final = -32000
RESOURCE_NOT_FOUND: Final = -32001
LIMIT_EXCEEDED: Final = -32005
REVERTED: Final = 3
SYNC_TIMEOUT: Final = 4
"""EIP-7966: the transaction was accepted but not included in time; data = its hash."""

_LOG = logging.getLogger("assay.rpc")


class RpcError(Exception):
    """An error object of JSON-RPC 2.0.

    Args:
        code: one of the constants above.
        message: what clients match on; the prefix is geth's.
        data: anything JSON can carry, or None for no ``data`` member.
    """

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(code, message, data)
        self.code, self.message, self.data = code, message, data

    def to_json(self) -> dict[str, object]:
        """The ``error`` member of a response."""
        error: dict[str, object] = {"code": self.code, "message": self.message}
        if self.data is not None:
            error["data"] = self.data
        return error


class InvalidParams(RpcError):
    """A parameter is missing or malformed."""

    def __init__(self, message: str) -> None:
        super().__init__(INVALID_PARAMS, message)


class MethodNotFound(RpcError):
    """No such method on this node (geth's text: ethers matches it)."""

    def __init__(self, method: str) -> None:
        super().__init__(METHOD_NOT_FOUND, f"the method {method} does not exist/is not available")


class ExecutionReverted(RpcError):
    """A call reverted.

    Args:
        reason: decoded reason, or the empty string when nothing could be decoded.
        output: raw revert bytes.
    """

    def __init__(self, reason: str, output: bytes) -> None:
        message = f"execution reverted: {reason}" if reason else "execution reverted"
        super().__init__(REVERTED, message, "0x" + output.hex())


def error_of(error: Exception) -> RpcError:
    """Sort an exception that a method raised; logs what only a bug can explain."""
    if isinstance(error, RpcError):
        return error
    if isinstance(error, CallFailed) and error.reason == "revert":
        return ExecutionReverted(revert_reason(error.output), error.output)
    if isinstance(error, CallFailed | InvalidTransaction | StateNotAvailable):
        return RpcError(SERVER_ERROR, str(error))
    if isinstance(error, ChainError):
        _LOG.error("chain error in a request: %s", error)
        return RpcError(INTERNAL_ERROR, str(error))
    _LOG.error("bug in a request handler", exc_info=error)
    return RpcError(INTERNAL_ERROR, "internal error")
