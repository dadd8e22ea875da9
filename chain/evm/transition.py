"""The state transition of one transaction or system call. Source: Yellow Paper section 6 and EIPs.

py-evm's own executor is not used: it formats debug text, copies headers and recovers senders again.
"""

from dataclasses import dataclass
from typing import Any, Final

from eth.exceptions import (
    FullStack,
    InsufficientStack,
    InvalidInstruction,
    InvalidJumpDestination,
    OutOfBoundsRead,
    OutOfGas,
    ReservedBytesInCode,
    Revert,
    VMError,
    WriteProtection,
)
from eth.vm.forks.cancun.transaction_context import CancunTransactionContext
from eth.vm.message import Message

from chain import rlp
from chain.evm.fork import AssayComputation
from chain.evm.rules import (
    DELEGATION_PREFIX,
    GAS_PER_BLOB,
    GasAvailable,
    check_transaction,
    is_delegation,
)
from chain.evm.old_state import WorldState
from chain.fees import AUTHORIZATION_GAS, floor_gas, intrinsic_gas
from chain.receipts import Log
from chain.transactions import MAX_NONCE, Authorization, Transaction
from genesis.forks import Fork
from precompiles.hashing import keccak256

SYSTEM_ADDRESS: Final = bytes.fromhex("fffffffffffffffffffffffffffffffffffffffe")
SYSTEM_CALL_GAS: Final = 30_000_000
_AUTHORIZATION_REFUND: Final = AUTHORIZATION_GAS - 12_500
_MAX_REFUND_QUOTIENT: Final = 5
_NO_RECIPIENT: Final = b""
_ERROR_TEXTS: Final = {  # geth's
    Revert: "revert",
    OutOfGas: "out of gas",
    InsufficientStack: "stack underflow",
    FullStack: "stack limit reached 1024",
    InvalidJumpDestination: "invalid jump destination",
    OutOfBoundsRead: "return data out of bounds",
    WriteProtection: "write protection",
    ReservedBytesInCode: "invalid code: must not begin with 0xef",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one message did.

    Attributes:
        gas_used: charged to the sender: at least the floor, refund subtracted.
        output: return data, or revert data; empty after other errors.
        logs: empty unless it succeeded.
        error: None, ``"revert"``, or the text of an exceptional halt, such as ``"out of gas"``.
        contract_address: of a transaction without recipient, else None.
    """

    gas_used: int
    output: bytes
    logs: tuple[Log, ...]
    error: str | None
    contract_address: bytes | None = None


@dataclass(frozen=True, slots=True)
class _Frame:
    """Result of the outermost message; ``refund`` is the refund counter, >= 0."""

    gas_left: int
    refund: int
    output: bytes
    logs: tuple[Log, ...]
    error: str | None
    destroyed: tuple[bytes, ...]


def apply_transaction(
    computation: type[AssayComputation],
    state: WorldState,
    transaction: Transaction,
    room: GasAvailable,
) -> Outcome:
    """Check and run one transaction.

    Args:
        computation: made by ``computation_class``.
        state: after the transactions before; unchanged when this raises InvalidTransaction.
        transaction: decoded, so its signature is proven.
        room: gas left in the block.

    Raises:
        InvalidTransaction: no block may contain it here.
        ExecutorFault: this node is broken.
    """
    check_transaction(transaction, state, room)
    return run_transaction(computation, state, transaction)


def run_transaction(
    computation: type[AssayComputation], state: WorldState, transaction: Transaction
) -> Outcome:
    """As ``apply_transaction`` for a transaction that was checked, or a simulated one."""
    state.begin_transaction()
    sender = transaction.sender
    price = transaction.effective_gas_price(state.base_fee)
    blob_gas = GAS_PER_BLOB * len(transaction.blob_versioned_hashes)
    fee = transaction.gas_limit * price + blob_gas * state.blob_base_fee
    state.delta_balance(sender, -fee)
    state.increment_nonce(sender)
    refund = sum(_authorize(state, item) for item in transaction.authorization_list)
    created = None
    if transaction.to is None:
        created = contract_address(sender, transaction.nonce)
    frame = _run(computation, state, transaction, price, created)
    used = transaction.gas_limit - frame.gas_left
    used -= min(refund + frame.refund, used // _MAX_REFUND_QUOTIENT)
    used = max(used, floor_gas(transaction, Fork.PRAGUE))
    state.delta_balance(sender, (transaction.gas_limit - used) * price)
    state.delta_balance(state.coinbase, used * (price - state.base_fee))
    state.finish_transaction(frame.destroyed)
    return Outcome(used, frame.output, frame.logs, frame.error, created)


def system_call(
    computation: type[AssayComputation], state: WorldState, target: bytes, data: bytes
) -> Outcome:
    """Run ``target`` as the protocol itself: no fee, no nonce, its own gas (EIP-4788, 7002).

    The outcome may be an error; whether that matters is the caller's rule.
    """
    state.begin_transaction()
    message = Message(
        gas=SYSTEM_CALL_GAS,
        to=target,
        sender=SYSTEM_ADDRESS,
        value=0,
        data=data,
        code=state.get_code(target),
    )
    context = CancunTransactionContext(gas_price=0, origin=SYSTEM_ADDRESS)
    frame = _frame(computation.apply_message(state, message, context))
    state.finish_transaction(frame.destroyed)
    return Outcome(SYSTEM_CALL_GAS - frame.gas_left, frame.output, frame.logs, frame.error)


def contract_address(sender: bytes, nonce: int) -> bytes:
    """Address of the contract that ``sender`` creates with ``nonce``."""
    return keccak256(rlp.encode([sender, rlp.uint(nonce)]))[12:]


def _run(
    computation: type[AssayComputation],
    state: WorldState,
    transaction: Transaction,
    price: int,
    created: bytes | None,
) -> _Frame:
    gas = transaction.gas_limit - intrinsic_gas(transaction, Fork.PRAGUE)
    code, delegated = b"", False
    if transaction.to is not None:
        code = state.get_code(transaction.to)
        delegated = is_delegation(code)
        target = code[3:] if delegated else b""
        code = state.get_code(target) if delegated else code
        if not code and (delegated or transaction.to not in computation.table):
            return _pay(state, transaction, gas)
        if delegated:
            state.mark_address_warm(target)
    _warm(state, transaction, created)
    message = Message(
        gas=gas,
        to=_NO_RECIPIENT if transaction.to is None else transaction.to,
        sender=transaction.sender,
        value=transaction.value,
        data=b"" if transaction.to is None else transaction.data,
        code=transaction.data if transaction.to is None else code,
        create_address=created,
        is_delegation=delegated,
    )
    context = CancunTransactionContext(
        gas_price=price,
        origin=transaction.sender,
        blob_versioned_hashes=transaction.blob_versioned_hashes,
    )
    if created is None:
        return _frame(computation.apply_message(state, message, context))
    if state.has_code_or_nonce(created):
        return _Frame(0, 0, b"", (), "contract address collision", ())
    return _frame(computation.apply_create_message(state, message, context))


def _pay(state: WorldState, transaction: Transaction, gas: int) -> _Frame:
    """A message to an account without code is a payment and nothing else."""
    recipient = transaction.to or _NO_RECIPIENT
    if transaction.value:
        state.delta_balance(transaction.sender, -transaction.value)
        state.delta_balance(recipient, transaction.value)
    state.touch_account(recipient)
    return _Frame(gas, 0, b"", (), None, ())


def _warm(state: WorldState, transaction: Transaction, created: bytes | None) -> None:
    """Addresses and slots that are warm from the start (EIP-2929, 2930, 3651)."""
    for address in (state.coinbase, transaction.sender, created or transaction.to):
        if address is not None:
            state.mark_address_warm(address)
    for address, slots in transaction.access_list:
        state.mark_address_warm(address)
        for slot in slots:
            state.mark_storage_warm(address, slot)


def _frame(outermost: Any) -> _Frame:
    if outermost.is_error:
        text = _text(outermost.error)
        return _Frame(outermost.get_gas_remaining(), 0, outermost.output, (), text, ())
    logs = tuple(
        [
            Log(address, tuple([topic.to_bytes(32, "big") for topic in topics]), data)
            for _, address, topics, data in outermost.log_entries
        ]
    )
    destroyed = tuple(dict.fromkeys(outermost.accounts_to_delete))
    left, refund = outermost.get_gas_remaining(), outermost.gas_refunded
    return _Frame(left, refund, outermost.output, logs, None, destroyed)


def _text(error: VMError) -> str:
    text = _ERROR_TEXTS.get(type(error)) or str(error) or type(error).__name__
    if isinstance(error, InvalidInstruction):
        is_jump = text.startswith("Jump")  # into push data
        return "invalid jump destination" if is_jump else text.replace("I", "i", 1)
    return text


def _authorize(state: WorldState, authorization: Authorization) -> int:
    """Apply one EIP-7702 tuple, or skip it when it is not valid here; the gas refund."""
    if authorization.chain_id not in (0, state.execution_context.chain_id):
        return 0
    if authorization.nonce >= MAX_NONCE:
        return 0
    authority = authorization.authority()
    if authority is None:
        return 0
    state.mark_address_warm(authority)
    code = state.get_code(authority)
    if code and not is_delegation(code):
        return 0
    if state.get_nonce(authority) != authorization.nonce:
        return 0
    refund = _AUTHORIZATION_REFUND if state.account_exists(authority) else 0
    is_reset = not any(authorization.address)
    state.set_code(authority, b"" if is_reset else DELEGATION_PREFIX + authorization.address)
    state.increment_nonce(authority)
    return refund
