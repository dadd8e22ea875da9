"""Failures of the chain, each with a reason that names the two values that differ.

ChainError
├── InvalidTransaction     somebody else's transaction; texts are geth's, clients parse them
├── InvalidBlock           somebody else's block
│   ├── UnknownParent      the parent is not in the database (sync, do not blame)
│   ├── InvalidSeal        the commit certificate does not prove the block
│   └── ExecutionMismatch  the block declares other results than this node computed
├── ProofError             a Merkle proof does not prove what it claims
├── StoreError             the database cannot be used: foreign, newer, locked, full
├── StateNotAvailable      the state after an old block was given up (pruned database)
└── ExecutorFault          this node is broken: stop, never vote
"""

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from chain.receipts import Receipt


class ChainError(Exception):
    """Root of everything that this package raises on purpose."""


class InvalidTransaction(ChainError):
    """A transaction that no block may contain, or that this node does not take.

    Args:
        reason: geth's text; ``str(error)`` is exactly this.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class MalformedTransaction(InvalidTransaction):
    """The bytes are not a canonical transaction."""


class InvalidSignature(InvalidTransaction):
    """r, s, v or y_parity out of range, high s, or no public key behind them (EIP-2)."""

    def __init__(self, detail: str) -> None:
        super().__init__(f"invalid transaction v, r, s values: {detail}")


class TypeNotSupported(InvalidTransaction):
    """An unknown envelope type, or blobs (this chain has no blob pool)."""

    def __init__(self, detail: str) -> None:
        super().__init__(f"transaction type not supported: {detail}")


class WrongChainId(InvalidTransaction):
    """Signed for another chain."""

    def __init__(self, have: int | None, want: int) -> None:
        super().__init__(f"invalid chain id for signer: have {have} want {want}")


class UnprotectedTransaction(InvalidTransaction):
    """A legacy transaction without EIP-155 replay protection, offered to the pool."""

    def __init__(self) -> None:
        super().__init__("only replay-protected (EIP-155) transactions allowed over RPC")


class NonceTooLow(InvalidTransaction):
    """The nonce is used up."""

    def __init__(self, next_nonce: int, nonce: int) -> None:
        super().__init__(f"nonce too low: next nonce {next_nonce}, tx nonce {nonce}")


class NonceTooHigh(InvalidTransaction):
    """An earlier nonce is missing."""

    def __init__(self, next_nonce: int, nonce: int) -> None:
        super().__init__(f"nonce too high: next nonce {next_nonce}, tx nonce {nonce}")


class AlreadyKnown(InvalidTransaction):
    """The pool holds this very transaction."""

    def __init__(self) -> None:
        super().__init__("already known")


class ReplacementUnderpriced(InvalidTransaction):
    """Same sender and nonce as a pooled transaction without 10 % more of both fees."""

    def __init__(self, have: int, want: int) -> None:
        super().__init__(
            f"replacement transaction underpriced: have {have} wei per gas want {want}"
        )


class InsufficientFunds(InvalidTransaction):
    """Balance below value + gas limit * maximum fee (all in wei)."""

    def __init__(self, address: bytes, have: int, want: int) -> None:
        super().__init__(
            "insufficient funds for gas * price + value: "
            f"address 0x{address.hex()} have {have} want {want}"
        )


class IntrinsicGasTooLow(InvalidTransaction):
    """Gas limit below the cost that is due before the first opcode (EIP-2028, 2930, 3860, 7702)."""

    text: ClassVar[str] = "intrinsic gas too low"

    def __init__(self, have: int, want: int) -> None:
        super().__init__(f"{self.text}: have {have}, want {want}")


class FloorGasTooLow(IntrinsicGasTooLow):
    """Gas limit below the least gas that calldata of this size uses (EIP-7623)."""

    text = "insufficient gas for floor data gas cost"


class GasLimitExceeded(InvalidTransaction):
    """Gas limit above the block's, or above what is left in the block being built."""

    def __init__(self, gas_limit: int, available: int) -> None:
        super().__init__(
            f"exceeds block gas limit: tx gas limit {gas_limit}, available {available}"
        )


class BlockFull(InvalidTransaction):
    """No bytes left in the block being built; a later one may take the transaction."""

    def __init__(self, size: int, room: int) -> None:
        super().__init__(f"block is full: {size} bytes, {room} left")


class GasCapExceeded(InvalidTransaction):
    """Gas limit above the chain's cap of one transaction (``assay.transactionGasCap``)."""

    def __init__(self, gas_limit: int, cap: int) -> None:
        super().__init__(f"transaction gas limit too high (cap: {cap}, tx: {gas_limit})")


class FeeCapTooLow(InvalidTransaction):
    """Maximum fee below the base fee of the block."""

    def __init__(self, address: bytes, max_fee_per_gas: int, base_fee: int) -> None:
        super().__init__(
            f"max fee per gas less than block base fee: address 0x{address.hex()}, "
            f"maxFeePerGas: {max_fee_per_gas}, baseFee: {base_fee}"
        )


class TipAboveFeeCap(InvalidTransaction):
    """maxPriorityFeePerGas above maxFeePerGas (EIP-1559)."""

    def __init__(self, priority_fee: int, max_fee: int) -> None:
        super().__init__(
            "max priority fee per gas higher than max fee per gas: "
            f"maxPriorityFeePerGas: {priority_fee}, maxFeePerGas: {max_fee}"
        )


class SenderNotEoa(InvalidTransaction):
    """The sender has code that is not a delegation (EIP-3607, EIP-7702)."""

    def __init__(self, address: bytes, code_size: int) -> None:
        super().__init__(f"sender not an eoa: address 0x{address.hex()}, len(code): {code_size}")


class InitcodeTooLarge(InvalidTransaction):
    """Creation code above 49,152 bytes (EIP-3860)."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"max initcode size exceeded: code size {size} limit {limit}")


class PoolRefused(InvalidTransaction):
    """A limit of this node's pool, not of the chain: full, oversized, too many of one sender."""


class InvalidBlock(ChainError):
    """A block that breaks a rule; the reason names the field and both values."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UnknownParent(InvalidBlock):
    """The parent is not here: nobody's fault until sync says otherwise."""

    def __init__(self, parent_hash: bytes) -> None:
        super().__init__(f"unknown parent 0x{parent_hash.hex()}")
        self.parent_hash = parent_hash


class InvalidSeal(InvalidBlock):
    """A commit certificate that does not prove its block."""


class ExecutionMismatch(InvalidBlock):
    """Execution gave another result than the header declares.

    Args:
        field: header field, for example ``receipts_root``.
        declared: what the block says.
        computed: what this node computed.
        receipts: this node's receipts, kept as evidence for the operator.
    """

    def __init__(
        self,
        field: str,
        declared: bytes | int,
        computed: bytes | int,
        receipts: "tuple[Receipt, ...]" = (),
    ) -> None:
        super().__init__(f"{field}: declared {_show(declared)}, computed {_show(computed)}")
        self.field, self.receipts = field, receipts


class ProofError(ChainError):
    """A Merkle proof that does not prove what it claims."""


class StoreError(ChainError):
    """The database cannot be used; the text says what to do."""


class StateNotAvailable(ChainError):
    """Somebody asked for the state after a block that this node does not keep any more."""


class CallFailed(ChainError):
    """A gas estimate cannot succeed.

    Args:
        reason: ``revert``, or geth's text such as ``gas required exceeds allowance (N)``.
        output: revert data, empty for other failures.
    """

    def __init__(self, reason: str, output: bytes = b"") -> None:
        super().__init__(reason)
        self.reason, self.output = reason, output


class ExecutorFault(ChainError):
    """This node cannot execute blocks: stop loudly, never vote."""


def _show(value: bytes | int) -> str:
    return str(value) if isinstance(value, int) else "0x" + value.hex()
