"""Errors of the command line: the text says what is wrong and what to do next."""


class ToolError(Exception):
    """A command cannot do what was asked."""


class KeyFileError(ToolError):
    """A key file is missing, unreadable, malformed, or the password does not open it."""


class NodeUnreachable(ToolError):
    """No JSON-RPC answer from the given URL."""
