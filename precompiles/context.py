"""What a native account may see and do during one call. The chain implements it over its state.

A native account is a function ``(Call) -> returndata`` that raises ``PrecompileRevert`` or
``PrecompileHalt``; anything else that escapes it means that the node is broken.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol


class StateView(Protocol):
    """Journaled state at one point of a transaction; a revert of the call undoes all writes."""

    def storage(self, address: bytes, slot: int) -> int:
        """Word at ``slot`` (0 to 2**256-1) of a 20-byte address; 0 when never written."""

    def set_storage(self, address: bytes, slot: int, value: int) -> None:
        """Write a word; charges nothing, the caller of this method has charged before."""

    def code(self, address: bytes) -> bytes:
        """Runtime code of an account, empty when it has none."""

    def set_code(self, address: bytes, code: bytes) -> None:
        """Create or replace an account's code, with nonce 1; charges nothing."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a native account.

    Attributes:
        address: the native account itself, 20 bytes.
        caller: ``msg.sender``, 20 bytes.
        value: wei sent along.
        calldata: input bytes.
        is_static: inside a STATICCALL; writes and logs raise WriteProtection.
        block_number, timestamp: of the block being executed.
        state: journaled state.
        charge: take gas (>= 0) before the work it pays for; raises OutOfGas.
        gas_left: gas that ``charge`` can still take.
        emit: append a log of ``address``: 32-byte topics and data; charges nothing.
    """

    address: bytes
    caller: bytes
    value: int
    calldata: bytes
    is_static: bool
    block_number: int
    timestamp: int
    state: StateView
    charge: Callable[[int], None]
    gas_left: Callable[[], int]
    emit: Callable[[Sequence[bytes], bytes], None]


class NativeAccount(Protocol):
    """The function behind a native address."""

    def __call__(self, call: Call) -> bytes:
        """Return ABI-encoded returndata; raise PrecompileRevert or PrecompileHalt."""
