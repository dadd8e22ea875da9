"""How a message call ends when it does not succeed; geth's texts, which clients match on.

Halt
├── OutOfGas, StackUnderflow, StackOverflow, InvalidJump, InvalidOpcode, WriteProtection,
│   ReturnDataOutOfBounds, InvalidCode, CodeTooLarge, AddressCollision, PrecompileFailure
└── Revert          keeps the gas left and its output; every other one burns all gas

``CallDepthExceeded`` and ``InsufficientBalance`` end a call before it begins: the caller gets its
gas back. These are results, not failures of the node (that is ``chain.errors.ExecutorFault``).
"""

from typing import ClassVar


class Halt(Exception):
    """Exceptional halt: all gas of the message is gone, its changes are undone."""

    text: ClassVar[str] = "execution halted"

    def __str__(self) -> str:
        return self.args[0] if self.args else self.text


class OutOfGas(Halt):
    """Less gas than the next step costs."""

    text = "out of gas"


class StackUnderflow(Halt):
    """Fewer words on the stack than the opcode takes."""

    text = "stack underflow"


class StackOverflow(Halt):
    """More than 1,024 words."""

    text = "stack limit reached 1024"


class InvalidJump(Halt):
    """Jump to something that is no JUMPDEST, or lies in push data."""

    text = "invalid jump destination"


class InvalidOpcode(Halt):
    """A byte that is no opcode in this fork; the text names it."""

    def __init__(self, value: int) -> None:
        name = "INVALID" if value == 0xFE else f"opcode {value:#x} not defined"
        super().__init__(f"invalid opcode: {name}")


class WriteProtection(Halt):
    """State change inside a static call (EIP-214)."""

    text = "write protection"


class ReturnDataOutOfBounds(Halt):
    """RETURNDATACOPY beyond the return data (EIP-211)."""

    text = "return data out of bounds"


class InvalidCode(Halt):
    """Created code begins with 0xEF (EIP-3541)."""

    text = "invalid code: must not begin with 0xef"


class CodeTooLarge(Halt):
    """Created code above 24,576 bytes (EIP-170)."""

    text = "max code size exceeded"


class AddressCollision(Halt):
    """Creation on an account with nonce, code or storage (EIP-684, EIP-7610)."""

    text = "contract address collision"


class PrecompileFailure(Halt):
    """Input that a precompiled contract rejects; the text says why."""

    text = "precompile failed"


class CallDepthExceeded(Halt):
    """Call below depth 1,024."""

    text = "max call depth exceeded"


class InsufficientBalance(Halt):
    """Value above the caller's balance."""

    text = "insufficient balance for transfer"


class Revert(Halt):
    """REVERT: undone, but the gas left and the output stay."""

    text = "execution reverted"
