"""This chain's native accounts as contracts without bytecode.

They know nothing of the EVM (``precompiles.context``); ``native`` adapts them to a frame.
"""

from collections.abc import Mapping, Sequence
from functools import cache

from chain.errors import ExecutorFault
from chain.evm import errors as halts
from chain.evm.frame import Frame, Precompile
from chain.evm.state import WorldState
from precompiles.abi import encode_revert
from precompiles.context import Call, NativeAccount
from precompiles.errors import OutOfGas, PrecompileHalt, PrecompileRevert, WriteProtection


@cache
def default_natives() -> Mapping[bytes, NativeAccount]:
    """This chain's native accounts; their kernels (numba) load on the first call, not at import."""
    from precompiles.table import NATIVE_ACCOUNTS

    return NATIVE_ACCOUNTS


def native(address: bytes, function: NativeAccount) -> Precompile:
    """Adapt a native account.

    The result reverts with typed data on PrecompileRevert, burns all gas on PrecompileHalt, and
    raises ExecutorFault on everything else: a value that only one node computes must never become
    state. Reached by DELEGATECALL or CALLCODE it reverts, because it would write its caller's
    storage.
    """

    def run(frame: Frame) -> bytes:
        try:
            if frame.address != address:
                raise PrecompileRevert("DelegateCallNotSupported()")
            return bytes(function(_call(frame, address)))
        except PrecompileRevert as error:
            frame.output = encode_revert(error)
            raise halts.Revert from None
        except WriteProtection as error:
            raise halts.WriteProtection(str(error)) from None
        except PrecompileHalt as error:
            raise halts.OutOfGas(str(error)) from None
        except ExecutorFault:
            raise
        except Exception as error:  # the one place that sorts precompile errors
            raise ExecutorFault(
                f"native account 0x{address.hex()} failed: {type(error).__name__}: {error}"
            ) from error

    return run


class JournaledView:
    """``precompiles.context.StateView`` over the world state; refuses writes in a static call."""

    def __init__(self, state: WorldState, is_static: bool) -> None:
        self._state = state
        self._is_static = is_static

    def storage(self, address: bytes, slot: int) -> int:
        """Word at ``slot``."""
        return self._state.get_storage(address, slot)

    def set_storage(self, address: bytes, slot: int, value: int) -> None:
        """Write a word; undone when the call reverts."""
        self._check_writable()
        if not 0 <= value < 1 << 256 or not 0 <= slot < 1 << 256:
            raise ExecutorFault(f"storage word out of range: slot {slot:#x}, value {value:#x}")
        self._state.set_storage(address, slot, value)

    def code(self, address: bytes) -> bytes:
        """Runtime code."""
        return self._state.get_code(address)

    def set_code(self, address: bytes, code: bytes) -> None:
        """Create or replace an account's code, with nonce 1 at least."""
        self._check_writable()
        self._state.set_code(address, code)
        if self._state.get_nonce(address) == 0:
            self._state.set_nonce(address, 1)

    def _check_writable(self) -> None:
        if self._is_static:
            raise WriteProtection("native account writes state inside a static call")


def _call(frame: Frame, address: bytes) -> Call:
    state, block = frame.evm.state, frame.evm.block

    def charge(amount: int) -> None:
        if amount < 0:
            raise ExecutorFault(f"native account 0x{address.hex()} charges {amount} gas")
        if amount > frame.gas:
            raise OutOfGas(amount, frame.gas)
        frame.gas -= amount

    def emit(topics: Sequence[bytes], data: bytes) -> None:
        if frame.is_static:
            raise WriteProtection("native account logs inside a static call")
        if len(topics) > 4 or any(len(topic) != 32 for topic in topics):
            raise ExecutorFault(f"native account 0x{address.hex()} emits malformed topics")
        state.add_log(address, tuple(topics), data)

    return Call(
        address=address,
        caller=frame.caller,
        value=frame.value,
        calldata=bytes(frame.data),
        is_static=frame.is_static,
        block_number=block.number,
        timestamp=block.timestamp,
        state=JournaledView(state, frame.is_static),
        charge=charge,
        gas_left=lambda: frame.gas,
        emit=emit,
    )
