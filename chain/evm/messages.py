"""Message call and contract creation. Yellow Paper sections 7 and 8.

Whoever calls has checked depth and balance. A frame that ends in a halt has changed nothing; only
its ``error`` tells. Calls recurse in Python, about five Python frames for each of the EVM's.
"""

import sys
from typing import Final

from chain.deep_stack import RECURSION_LIMIT
from chain.evm.errors import CodeTooLarge, Halt, InvalidCode, OutOfGas, Revert
from chain.evm.frame import Frame
from genesis.forks import Fork

CODE_DEPOSIT_BYTE: Final = 200
MAX_CODE_SIZE: Final = 24_576
MAX_INITCODE_SIZE: Final = 2 * MAX_CODE_SIZE
_PRECOMPILE_INPUT: Final = 4_096

# a RecursionError at depth 1,024 would make a valid block invalid here
sys.setrecursionlimit(max(RECURSION_LIMIT, sys.getrecursionlimit()))


def run_message(frame: Frame) -> None:
    """Run a call: transfer, then precompiled contract or code.

    Afterwards ``output``, ``gas`` and ``error`` are the result. Never raises Halt.
    """
    evm = frame.evm
    snapshot = evm.state.snapshot()
    if frame.transfers_value:
        if frame.value:
            _transfer(frame)
        elif not frame.code:
            _touch(frame)
    try:
        precompile = None if frame.is_delegated else evm.precompiles.get(frame.code_address)
        if precompile is not None:
            data: object = frame.data
            if isinstance(data, memoryview):
                frame.data = _input(frame, data)
            frame.output = precompile(frame)
        elif frame.code:
            evm.interpret(frame)
    except Halt as error:
        _fail(frame, error, snapshot)


def run_creation(frame: Frame) -> None:
    """Run initcode on a new account and store what it returns as code.

    ``frame.code`` is the initcode. Whether the account is free is checked by the caller. After
    success ``output`` is the stored code.
    """
    evm, address = frame.evm, frame.address
    state, fork = evm.state, evm.block.fork
    snapshot = state.snapshot()
    state.mark_created(address)
    _transfer(frame)  # even of nothing: the account must exist
    if fork >= Fork.SPURIOUS_DRAGON:  # EIP-161
        state.set_nonce(address, 1)
    try:
        if frame.code:
            evm.interpret(frame)
        _deposit(frame, fork)
    except Halt as error:
        _fail(frame, error, snapshot)


def _input(frame: Frame, data: memoryview) -> bytes:
    """Calldata of a precompiled contract as bytes, of Ethereum's no more than it can look at.

    Those that read beyond the first 4,096 bytes cost at least 3 gas per word, so they halt on as
    much as this frame's gas cannot pay for.
    """
    if frame.code:  # one of ours; charges by itself
        return bytes(data)
    return bytes(data[: max(_PRECOMPILE_INPUT, 32 * (frame.gas // 3 + 1))])


def _deposit(frame: Frame, fork: Fork) -> None:
    """Pay for and store the code that initcode returned."""
    code = frame.output
    if not code:
        return
    if fork >= Fork.LONDON and code[0] == 0xEF:  # EIP-3541
        raise InvalidCode
    if fork >= Fork.SPURIOUS_DRAGON and len(code) > MAX_CODE_SIZE:  # EIP-170
        raise CodeTooLarge
    left = frame.gas - CODE_DEPOSIT_BYTE * len(code)
    if left >= 0:
        frame.gas = left
        frame.evm.state.set_code(frame.address, code)
    elif fork >= Fork.HOMESTEAD:  # EIP-2
        raise OutOfGas("contract creation code storage out of gas")
    else:
        frame.output = b""


def _transfer(frame: Frame) -> None:
    state = frame.evm.state
    state.add_balance(frame.caller, -frame.value)
    state.add_balance(frame.address, frame.value)


def _touch(frame: Frame) -> None:
    """What a call of nothing does to an account without code: EIP-161, and before it, existence."""
    state, address = frame.evm.state, frame.address
    if frame.evm.block.fork >= Fork.SPURIOUS_DRAGON:
        state.touch_account(address)
    elif not state.account_exists(address):
        state.set_balance(address, 0)


def _fail(frame: Frame, error: Halt, snapshot: int) -> None:
    frame.evm.state.revert(snapshot)
    if not isinstance(error, Revert):
        frame.gas = 0
        frame.output = b""
    # an exception keeps the Python frames that it passed alive, and they keep this one
    error.__traceback__ = error.__context__ = error.__cause__ = None
    frame.error = error
