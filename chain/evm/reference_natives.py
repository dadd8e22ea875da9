"""This chain's native accounts as precompiled contracts of py-evm."""

from types import SimpleNamespace
from typing import Any, cast

from eth.exceptions import OutOfGas, Revert, WriteProtection

from chain.errors import ExecutorFault
from chain.evm import errors as halts
from chain.evm.precompiled.native import native
from chain.evm.reference_osaka import Precompile
from precompiles.context import NativeAccount


def adapted(address: bytes, account: NativeAccount) -> Precompile:
    """A native account as a function of a py-evm computation; its halts become py-evm's."""
    run = native(address, account)

    def precompile(computation: Any) -> None:
        frame = _NativeFrame(computation)
        try:
            computation.output = run(cast("Any", frame))
        except halts.Revert:
            computation.output = frame.output
            raise Revert(frame.output) from None
        except halts.WriteProtection as error:
            raise WriteProtection(str(error)) from None
        except halts.Halt as error:
            raise OutOfGas(str(error)) from None

    return precompile


class _NativeFrame:
    """What ``native`` reads and writes of a Frame, over a py-evm computation."""

    def __init__(self, computation: Any) -> None:
        self._computation = computation
        message, state = computation.msg, computation.state
        self.address, self.caller = message.storage_address, message.sender
        self.value, self.data, self.is_static = message.value, message.data, message.is_static
        self.output = b""
        block = SimpleNamespace(number=state.block_number, timestamp=state.timestamp)
        self.evm = SimpleNamespace(state=_NativeState(computation), block=block)

    @property
    def gas(self) -> int:
        """Gas left."""
        left: int = self._computation.get_gas_remaining()
        return left

    @gas.setter
    def gas(self, left: int) -> None:
        if left < 0:
            raise ExecutorFault("a native account spent more gas than it had")
        self._computation.consume_gas(self.gas - left, reason="native account")


class _NativeState:
    """The methods of WorldState that native accounts need, over a py-evm state."""

    def __init__(self, computation: Any) -> None:
        self._computation, state = computation, computation.state
        self.get_storage, self.set_storage = state.get_storage, state.set_storage
        self.get_code, self.set_code = state.get_code, state.set_code
        self.get_nonce, self.set_nonce = state.get_nonce, state.set_nonce

    def add_log(self, address: bytes, topics: tuple[bytes, ...], data: bytes) -> None:
        """Append a log."""
        words = tuple([int.from_bytes(topic, "big") for topic in topics])
        self._computation.add_log_entry(address, words, data)
