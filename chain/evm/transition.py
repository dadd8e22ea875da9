"""The state transition of one transaction or system call: Yellow Paper section 6 and EIPs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from chain import rlp
from chain.blobs import GAS_PER_BLOB
from chain.evm.delegation import DELEGATION_PREFIX, is_delegation
from chain.evm.environment import BlockEnvironment, TransactionEnvironment
from chain.evm.errors import AddressCollision, Halt, Revert
from chain.evm.frame import Evm, Frame, Interpret, Precompile
from chain.evm.messages import run_creation, run_message
from chain.evm.rules import (
    GasAvailable,
    check_transaction,
)
from chain.evm.state import WorldState
from chain.fees import AUTHORIZATION_GAS, floor_gas, intrinsic_gas
from chain.receipts import Log
from chain.transactions import MAX_NONCE, Authorization, Transaction
from genesis.forks import Fork
from precompiles.hashing import keccak256

SYSTEM_ADDRESS: Final = bytes.fromhex("fffffffffffffffffffffffffffffffffffffffe")
SYSTEM_CALL_GAS: Final = 30_000_000
_AUTHORIZATION_REFUND: Final = AUTHORIZATION_GAS - 12_500
_MAX_REFUND_QUOTIENT: Final = 5  # EIP-3529
_FRONTIER_MAX_REFUND_QUOTIENT: Final = 2


@dataclass(frozen=True, slots=True)
class BlockMachine:
    """What the transactions and system calls of one block share.

    Attributes:
        state: the world state, changed by each of them.
        block: what opcodes see of the block.
        precompiles: address -> precompiled or native contract.
        interpret: the interpreter of bytecode; another one traces.
    """

    state: WorldState
    block: BlockEnvironment
    precompiles: Mapping[bytes, Precompile]
    interpret: Interpret

    def evm(self, transaction: TransactionEnvironment) -> Evm:
        """What the frames of one transaction share."""
        return Evm(self.state, self.block, transaction, self.precompiles, self.interpret)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one message did.

    Attributes:
        gas_used: charged to the sender: at least the floor, refund subtracted.
        output: return data, revert data, or created code; empty after other errors.
        logs: empty unless it succeeded.
        error: None, ``"revert"``, or the text of an exceptional halt, such as ``"out of gas"``.
        contract_address: of a transaction without recipient, else None.
    """

    gas_used: int
    output: bytes
    logs: tuple[Log, ...]
    error: str | None
    contract_address: bytes | None = None


def apply_transaction(
    machine: BlockMachine, transaction: Transaction, room: GasAvailable
) -> Outcome:
    """Check and run one transaction.

    Args:
        machine: of the block; its state is the one after the transactions before, and unchanged
            when this raises InvalidTransaction.
        transaction: decoded, so its signature is proven.
        room: gas left in the block.

    Raises:
        InvalidTransaction: no block may contain it here.
        ExecutorFault: this node is broken.
    """
    check_transaction(transaction, machine.state, machine.block, room)
    return run_transaction(machine, transaction)


def run_transaction(machine: BlockMachine, transaction: Transaction) -> Outcome:
    """As ``apply_transaction`` for a transaction that was checked, or a simulated one."""
    state, block, sender = machine.state, machine.block, transaction.sender
    gas_limit, fork = transaction.gas_limit, block.fork
    state.begin_transaction()
    price = transaction.effective_gas_price(block.base_fee_per_gas)
    blob_gas = GAS_PER_BLOB * len(transaction.blob_versioned_hashes)
    state.add_balance(sender, -gas_limit * price - blob_gas * block.blob_base_fee)
    state.increment_nonce(sender)
    refund = sum(_authorize(state, block.chain_id, item) for item in transaction.authorization_list)
    gas = gas_limit - intrinsic_gas(transaction, fork)
    if transaction.to is None:
        frame = _create(machine, transaction, price, gas)
    else:
        frame = _call(machine, transaction, transaction.to, price, gas)
    error = frame.error
    used = gas_limit - frame.gas
    quotient = _MAX_REFUND_QUOTIENT if fork >= Fork.LONDON else _FRONTIER_MAX_REFUND_QUOTIENT
    used -= min(refund + state.refund, used // quotient)
    used = max(used, floor_gas(transaction, fork))
    state.add_balance(sender, (gas_limit - used) * price)
    state.add_balance(block.coinbase, used * (price - block.base_fee_per_gas))
    logs = tuple(state.logs)
    state.finish_transaction(fork >= Fork.SPURIOUS_DRAGON)
    created = frame.address if transaction.to is None else None
    return Outcome(used, frame.output, logs, None if error is None else error_text(error), created)


def system_call(machine: BlockMachine, target: bytes, data: bytes) -> Outcome:
    """Run ``target`` as the protocol itself: no fee, no nonce, its own gas (EIP-4788, 7002).

    Without code at ``target`` nothing happens. The outcome may be an error; whether that matters is
    the caller's rule.
    """
    state = machine.state
    code = state.get_code(target)
    if not code:
        return Outcome(0, b"", (), None)
    state.begin_transaction()
    evm = machine.evm(TransactionEnvironment(SYSTEM_ADDRESS, 0))
    frame = Frame(evm, SYSTEM_ADDRESS, target, target, 0, data, code, SYSTEM_CALL_GAS)
    run_message(frame)
    error, logs = frame.error, tuple(state.logs)
    state.finish_transaction(True)
    text = None if error is None else error_text(error)
    return Outcome(SYSTEM_CALL_GAS - frame.gas, frame.output, logs, text)


def contract_address(sender: bytes, nonce: int) -> bytes:
    """Address of the contract that ``sender`` creates with ``nonce``."""
    return keccak256(rlp.encode([sender, rlp.uint(nonce)]))[12:]


def error_text(error: Halt) -> str:
    """``Outcome.error`` of a message that ended like this."""
    return "revert" if isinstance(error, Revert) else str(error)


def _call(
    machine: BlockMachine, transaction: Transaction, to: bytes, price: int, gas: int
) -> Frame:
    state = machine.state
    code, code_address, delegated = state.get_code(to), to, False
    if machine.block.fork >= Fork.PRAGUE and is_delegation(code):
        delegated, code_address = True, code[len(DELEGATION_PREFIX) :]
        code = state.get_code(code_address)
    evm = machine.evm(_environment(transaction, price))
    frame = Frame(
        evm,
        transaction.sender,
        to,
        code_address,
        transaction.value,
        transaction.data,
        code,
        gas,
        is_delegated=delegated,
    )
    if not code and (delegated or to not in machine.precompiles):
        # a payment and nothing else; what is warm or could be undone does not matter
        if transaction.value:
            state.add_balance(transaction.sender, -transaction.value)
        state.add_balance(to, transaction.value)
        return frame
    _warm(machine, transaction, to)
    if delegated:
        state.mark_address_warm(code_address)
    run_message(frame)
    return frame


def _create(machine: BlockMachine, transaction: Transaction, price: int, gas: int) -> Frame:
    address = contract_address(transaction.sender, transaction.nonce)
    evm = machine.evm(_environment(transaction, price))
    frame = Frame(
        evm,
        transaction.sender,
        address,
        address,
        transaction.value,
        b"",
        transaction.data,
        gas,
    )
    _warm(machine, transaction, address)
    if machine.state.has_code_or_nonce(address):
        frame.gas, frame.error = 0, AddressCollision()
    else:
        run_creation(frame)
    return frame


def _environment(transaction: Transaction, price: int) -> TransactionEnvironment:
    return TransactionEnvironment(transaction.sender, price, transaction.blob_versioned_hashes)


def _warm(machine: BlockMachine, transaction: Transaction, target: bytes) -> None:
    """Addresses and slots that are warm from the start (EIP-2929, 2930, 3651)."""
    state, fork = machine.state, machine.block.fork
    if fork < Fork.BERLIN:
        return
    if fork >= Fork.SHANGHAI:
        state.mark_address_warm(machine.block.coinbase)
    state.mark_address_warm(transaction.sender)
    state.mark_address_warm(target)
    for address, slots in transaction.access_list:
        state.mark_address_warm(address)
        for slot in slots:
            state.mark_storage_warm(address, slot)


def _authorize(state: WorldState, chain_id: int, authorization: Authorization) -> int:
    """Apply one EIP-7702 tuple, or skip it when it is not valid here; the gas refund."""
    if authorization.chain_id not in (0, chain_id):
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
