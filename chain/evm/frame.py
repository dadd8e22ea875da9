"""One message call while it runs, and what the calls of one transaction share."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, TypeAlias

from chain.evm.environment import BlockEnvironment, TransactionEnvironment
from chain.evm.errors import Halt, OutOfGas

if TYPE_CHECKING:
    from chain.evm.state import WorldState

MAX_STACK: Final = 1024
MAX_CALL_DEPTH: Final = 1024

Precompile: TypeAlias = Callable[["Frame"], bytes]
"""A contract without bytecode: charges ``frame.gas``, returns its output, or raises Halt."""

Interpret: TypeAlias = Callable[["Frame"], None]
"""Runs ``frame.code`` until it ends: sets ``output`` and ``gas``, or raises Halt (Revert)."""


class Evm:
    """What all frames of one transaction share.

    Attributes:
        state: the world state.
        block, transaction: what opcodes see of them.
        precompiles: address -> precompiled or native contract.
        interpret: the interpreter; a tracing one for traces.
    """

    __slots__ = ("block", "interpret", "precompiles", "state", "transaction")

    def __init__(
        self,
        state: "WorldState",
        block: BlockEnvironment,
        transaction: TransactionEnvironment,
        precompiles: Mapping[bytes, Precompile],
        interpret: Interpret,
    ) -> None:
        self.state = state
        self.block = block
        self.transaction = transaction
        self.precompiles = precompiles
        self.interpret = interpret


class Frame:
    """One message call.

    Attributes:
        evm: shared by all frames of the transaction.
        caller: 20 bytes; CALLER.
        address: account whose storage and balance the code works on; ADDRESS.
        code_address: account that the code was taken from; differs in DELEGATECALL and CALLCODE.
        value: wei; CALLVALUE. Whether it is transferred is ``transfers_value``.
        data: calldata; empty in a creation. While bytecode runs, long calldata is a memoryview of
            the caller's memory, valid until the call ends: slice it, then take ``bytes``.
        code: bytecode to run; initcode in a creation, the delegate's code for a delegated account.
        gas: gas left, >= 0 between opcodes.
        depth: 0 for the outermost message.
        is_static: no state change allowed (EIP-214).
        transfers_value: False for DELEGATECALL.
        is_delegated: ``code`` came through an EIP-7702 designator, so no precompile runs.
        stack: words as ints, 0 to 2**256 - 1, top last, at most 1,024.
        memory: a multiple of 32 bytes.
        return_data: of the last child; RETURNDATASIZE.
        output: what RETURN or REVERT left.
        error: None while running and after success, else how it ended.
    """

    __slots__ = (
        "address", "caller", "code", "code_address", "data", "depth", "error", "evm", "gas",
        "is_delegated", "is_static", "memory", "output", "return_data", "stack",
        "transfers_value", "value",
    )  # fmt: skip

    def __init__(
        self,
        evm: Evm,
        caller: bytes,
        address: bytes,
        code_address: bytes,
        value: int,
        data: bytes,
        code: bytes,
        gas: int,
        depth: int = 0,
        is_static: bool = False,
        transfers_value: bool = True,
        is_delegated: bool = False,
    ) -> None:
        self.evm = evm
        self.caller = caller
        self.address = address
        self.code_address = code_address
        self.value = value
        self.data = data
        self.code = code
        self.gas = gas
        self.depth = depth
        self.is_static = is_static
        self.transfers_value = transfers_value
        self.is_delegated = is_delegated
        self.stack: list[int] = []
        self.memory = bytearray()
        self.return_data = b""
        self.output = b""
        self.error: Halt | None = None

    def charge(self, amount: int) -> None:
        """Take ``amount`` (>= 0) gas or raise OutOfGas."""
        left = self.gas - amount
        if left < 0:
            raise OutOfGas
        self.gas = left


def expand(frame: Frame, end: int) -> None:
    """Charge for and grow memory, so that it holds ``end`` bytes, more than it has now.

    Yellow Paper equation 326: 3 gas per word and words**2 / 512.
    """
    memory = frame.memory
    words, before = end + 31 >> 5, len(memory) >> 5
    frame.charge(3 * (words - before) + (words * words >> 9) - (before * before >> 9))
    memory.extend(bytes(words - before << 5))
