"""CREATE, CREATE2 and SELFDESTRUCT. Yellow Paper H.2; EIP-150, 161, 1014, 3529, 3860, 6780."""

from collections.abc import Callable
from typing import Final

from chain import rlp
from chain.evm.errors import OutOfGas, WriteProtection
from chain.evm.frame import MAX_CALL_DEPTH, Frame
from chain.evm.messages import MAX_INITCODE_SIZE, run_creation
from chain.evm.operations.environment import address_of
from chain.evm.operations.gas import (
    KECCAK256_WORD,
    NEW_ACCOUNT,
    SELFDESTRUCT_REFUND,
    GasSchedule,
)
from chain.evm.operations.memory import read
from genesis.forks import Fork
from precompiles.hashing import keccak256

_MAX_NONCE: Final = (1 << 64) - 1


def created_address(creator: bytes, nonce: int) -> bytes:
    """Address of the account that CREATE or a transaction makes (Yellow Paper 7)."""
    return keccak256(rlp.encode([creator, rlp.uint(nonce)]))[12:]


def created2_address(creator: bytes, salt: int, initcode: bytes) -> bytes:
    """Address of the account that CREATE2 makes (EIP-1014)."""
    return keccak256(b"\xff" + creator + salt.to_bytes(32, "big") + keccak256(initcode))[12:]


def make_create(gas: GasSchedule) -> Callable[[Frame], None]:
    """CREATE."""
    check_size, keeps_64th = _make_initcode(gas), gas.keeps_64th

    def create(frame: Frame) -> None:
        if frame.is_static:
            raise WriteProtection
        stack, state = frame.stack, frame.evm.state
        value, offset, size = stack.pop(), stack.pop(), stack.pop()
        check_size(frame, size)
        initcode = read(frame, offset, size)
        address = created_address(frame.address, state.get_nonce(frame.address))
        _create(frame, value, initcode, address, keeps_64th)

    return create


def make_create2(gas: GasSchedule) -> Callable[[Frame], None]:
    """CREATE2 (EIP-1014)."""
    check_size = _make_initcode(gas)

    def create2(frame: Frame) -> None:
        if frame.is_static:
            raise WriteProtection
        stack = frame.stack
        value, offset, size, salt = stack.pop(), stack.pop(), stack.pop(), stack.pop()
        check_size(frame, size)
        frame.charge(KECCAK256_WORD * (size + 31 >> 5))
        initcode = read(frame, offset, size)
        _create(frame, value, initcode, created2_address(frame.address, salt, initcode), True)

    return create2


def _make_initcode(gas: GasSchedule) -> Callable[[Frame, int], None]:
    """Charge for initcode by its size, and bound that (EIP-3860)."""
    per_word = gas.initcode_word

    def free(frame: Frame, size: int) -> None:
        pass

    def metered(frame: Frame, size: int) -> None:
        if size > MAX_INITCODE_SIZE:
            raise OutOfGas("max initcode size exceeded")
        frame.charge(per_word * (size + 31 >> 5))

    return metered if per_word else free


def _create(frame: Frame, value: int, initcode: bytes, address: bytes, keeps_64th: bool) -> None:
    state, creator = frame.evm.state, frame.address
    frame.return_data = b""
    if (
        state.get_balance(creator) < value
        or state.get_nonce(creator) == _MAX_NONCE
        or frame.depth >= MAX_CALL_DEPTH
    ):
        frame.stack.append(0)
        return
    given = frame.gas - (frame.gas // 64 if keeps_64th else 0)
    frame.gas -= given
    state.mark_address_warm(address)
    state.increment_nonce(creator)
    if state.has_code_or_nonce(address):
        frame.stack.append(0)
        return
    child = Frame(
        frame.evm, creator, address, address, value, b"", initcode, given, frame.depth + 1
    )
    run_creation(child)
    frame.gas += child.gas
    if child.error is None:
        frame.stack.append(int.from_bytes(address, "big"))
    else:
        frame.return_data = child.output
        frame.stack.append(0)


def make_selfdestruct(gas: GasSchedule) -> Callable[[Frame], None]:
    """SELFDESTRUCT: from Cancun on it only moves the balance of older accounts (EIP-6780)."""
    cold = gas.cold_account + gas.call if gas.cold_account else 0
    price_new = gas.fork >= Fork.TANGERINE_WHISTLE
    refunds = gas.fork < Fork.LONDON
    keeps_old = gas.fork >= Fork.CANCUN
    clears_empty = gas.clears_empty

    def selfdestruct(frame: Frame) -> None:
        if frame.is_static:
            raise WriteProtection
        state, address = frame.evm.state, frame.address
        heir = address_of(frame.stack.pop())
        if cold and state.access_address(heir):
            frame.charge(cold)
        balance = state.get_balance(address)
        if price_new:
            if clears_empty:
                is_new = balance and state.account_is_empty(heir)
            else:
                is_new = not state.account_exists(heir)
            if is_new:
                frame.charge(NEW_ACCOUNT)
        if refunds and not state.is_destroyed(address):
            state.add_refund(SELFDESTRUCT_REFUND)
        destroys = not keeps_old or state.was_created(address)
        if heir != address or destroys:
            state.add_balance(heir, balance)
            state.set_balance(address, 0)
        if destroys:
            state.mark_destroyed(address)

    return selfdestruct
