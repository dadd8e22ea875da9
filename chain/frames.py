"""Messages between the node and its own worker processes: 4 bytes of length, then a pickle.

Both ends are this program of this version, joined by a private pipe; nothing else can write there.
"""

import pickle
from dataclasses import dataclass
from typing import IO, Final

from chain.errors import (
    CallFailed,
    ExecutorFault,
    InvalidBlock,
    InvalidSeal,
    InvalidTransaction,
    StateNotAvailable,
    StoreError,
)
from chain.header import Header
from genesis.spec import GenesisError

MAX_FRAME: Final = 1 << 28
LENGTH_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class Hello:
    """First message of a worker: its database is open."""

    genesis_hash: bytes
    head: Header


@dataclass(frozen=True, slots=True)
class Request:
    """One call; ``method`` is a key of the worker's table."""

    id: int
    method: str
    arguments: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """Result of one call, or the error that it raised."""

    id: int
    value: object = None
    failure: "Failure | None" = None


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as text: exceptions with arguments do not survive pickling.

    Attributes:
        kind: key of the table of errors; anything else means that the worker is broken.
        reason: ``str`` of the error.
        output: revert data of a failed call.
    """

    kind: str
    reason: str
    output: bytes = b""


_KINDS: Final[dict[str, type[Exception]]] = {
    "seal": InvalidSeal,
    "block": InvalidBlock,
    "transaction": InvalidTransaction,
    "store": StoreError,
    "state": StateNotAvailable,
    "genesis": GenesisError,
}


def failure_of(error: BaseException) -> Failure:
    """What is sent for an error; kind ``fault`` for everything that nobody expected."""
    if isinstance(error, CallFailed):
        return Failure("call", error.reason, error.output)
    for kind, known in _KINDS.items():
        if isinstance(error, known):
            return Failure(kind, str(error))
    return Failure("fault", f"{type(error).__name__}: {error}")


def error_of(failure: Failure) -> Exception:
    """The error to raise for a failure; ExecutorFault for kind ``fault``."""
    if failure.kind == "call":
        return CallFailed(failure.reason, failure.output)
    return _KINDS.get(failure.kind, ExecutorFault)(failure.reason)


def pack(message: object) -> bytes:
    """Length and pickle of one message."""
    body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    if len(body) > MAX_FRAME:
        raise ValueError(f"message of {len(body)} bytes, at most {MAX_FRAME}")
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def unpack(body: bytes) -> object:
    """Message from the bytes after the length."""
    message: object = pickle.loads(body)  # noqa: S301 - our own process wrote it
    return message


def read_frame(stream: IO[bytes]) -> object | None:
    """Next message of a blocking stream, None at its end (the other process is gone)."""
    prefix = stream.read(LENGTH_BYTES)
    if len(prefix) < LENGTH_BYTES:
        return None
    size = int.from_bytes(prefix, "big")
    body = stream.read(size)
    return unpack(body) if len(body) == size else None
