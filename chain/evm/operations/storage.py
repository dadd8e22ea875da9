"""Storage, persistent and transient: SLOAD, SSTORE, TLOAD, TSTORE."""

from collections.abc import Callable

from chain.evm.errors import OutOfGas, WriteProtection
from chain.evm.frame import Frame
from chain.evm.operations.gas import STORAGE_RESET, STORAGE_SET, GasSchedule


def make_sload(gas: GasSchedule) -> Callable[[Frame], None]:
    """SLOAD."""
    cold = gas.cold_slot

    def sload(frame: Frame) -> None:
        stack, state = frame.stack, frame.evm.state
        slot = stack[-1]
        if cold and state.access_slot(frame.address, slot):
            frame.charge(cold)
        stack[-1] = state.get_storage(frame.address, slot)

    return sload


def make_sstore(gas: GasSchedule) -> Callable[[Frame], None]:
    """SSTORE: by the current value, or by the original one, too (EIP-1283, EIP-2200, EIP-2929)."""
    return _make_net_sstore(gas) if gas.net_storage else _make_plain_sstore(gas)


def _make_plain_sstore(gas: GasSchedule) -> Callable[[Frame], None]:
    refund = gas.storage_clear_refund

    def sstore(frame: Frame) -> None:
        if frame.is_static:
            raise WriteProtection
        stack, state, address = frame.stack, frame.evm.state, frame.address
        slot, value = stack.pop(), stack.pop()
        current = state.get_storage(address, slot)
        frame.charge(STORAGE_SET if value and not current else STORAGE_RESET)
        if current and not value:
            state.add_refund(refund)
        state.set_storage(address, slot, value)

    return sstore


def _make_net_sstore(gas: GasSchedule) -> Callable[[Frame], None]:
    stipend, cold, access = gas.storage_stipend, gas.cold_storage, gas.sload
    clear, reset = gas.storage_clear_refund, STORAGE_RESET - gas.cold_storage
    set_refund, reset_refund = STORAGE_SET - access, reset - access

    def sstore(frame: Frame) -> None:
        if frame.is_static:
            raise WriteProtection
        if frame.gas <= stipend:
            raise OutOfGas
        stack, state, address = frame.stack, frame.evm.state, frame.address
        slot, value = stack.pop(), stack.pop()
        cost = cold if cold and state.access_slot(address, slot) else 0
        current = state.get_storage(address, slot)
        if current == value:
            frame.charge(cost + access)
            return
        original = state.original_storage(address, slot)
        if original == current:
            frame.charge(cost + (reset if original else STORAGE_SET))
            if original and not value:
                state.add_refund(clear)
        else:
            frame.charge(cost + access)
            refund = reset_refund if original else set_refund
            if original != value:
                refund = 0
            if original and not (current and value):
                refund += clear if current else -clear
            if refund:
                state.add_refund(refund)
        state.set_storage(address, slot, value)

    return sstore


def tload(frame: Frame) -> None:
    """TLOAD (EIP-1153)."""
    stack = frame.stack
    stack[-1] = frame.evm.state.get_transient(frame.address, stack[-1])


def tstore(frame: Frame) -> None:
    """TSTORE (EIP-1153)."""
    if frame.is_static:
        raise WriteProtection
    stack = frame.stack
    frame.evm.state.set_transient(frame.address, stack.pop(), stack.pop())
