"""Errors of the command line: the text says what is wrong and what to do next."""


class ToolError(Exception):
    """A command cannot do what was asked."""


class KeyFileError(ToolError):
    """A key file is missing, unreadable, malformed, or the password does not open it."""


class NodeUnreachable(ToolError):
    """No JSON-RPC answer from the given URL."""


class RequestRefused(ToolError):
    """The node answered a request with a JSON-RPC error.

    Attributes:
        code: of the error object; 3 for an execution that reverted.
        message: the node's text.
        data: anything, or None; revert data as a 0x hex string.
    """

    def __init__(self, method: str, code: int, message: str, data: object = None) -> None:
        super().__init__(f"{method}: {message}")
        self.method, self.code, self.message, self.data = method, code, message, data


class TransactionFailed(ToolError):
    """A transaction was mined and failed, or was not mined in time."""
