"""Prague's computation on our state: py-evm's opcodes and gas, our frames around them.

What differs from py-evm 0.12.1b1, and why:

* messages are journaled by ``WorldState`` and log nothing (py-evm formats debug text eagerly);
* ``interpreter`` runs the code; jump destinations are found by one scan per code, remembered by
  code: py-evm's look-back per jump and frame lets 10,000 gas take seconds;
* initcode is charged once: py-evm charges the CREATE of a delegated sender (EIP-7702) twice;
* a finished child hands its logs, refund and destroyed accounts to its parent and is dropped;
  py-evm keeps every frame of a transaction alive and sorts the logs once per level.
"""

from typing import Any, Final

from eth.exceptions import InsufficientFunds, OutOfGas, VMError
from eth.vm.code_stream import CodeStream
from eth.vm.forks.prague.computation import PragueComputation
from eth.vm.gas_meter import GasMeter, allow_negative_refund_strategy
from eth.vm.memory import Memory
from eth.vm.stack import Stack

from chain.evm.interpreter import jump_destinations, run_code
from chain.evm.precompiles import Precompile
from chain.fees import MAX_INITCODE_SIZE

_CODE_DEPOSIT_GAS: Final = 200


class AnalysedCode(CodeStream):  # type: ignore[misc]  # py-evm ships no types
    """py-evm's program counter over code whose jump destinations are known."""

    def __init__(self, code: bytes) -> None:
        self.program_counter = 0
        self._raw_code_bytes = code
        self._length_cache = len(code)

    def is_valid_opcode(self, position: int) -> bool:
        """Whether a JUMP may land at ``position``, where py-evm has just seen a JUMPDEST byte."""
        return jump_destinations(self._raw_code_bytes)[position] == 1


class PlainGasMeter(GasMeter):  # type: ignore[misc]  # py-evm ships no types
    """py-evm's gas meter without its log lines."""

    def __init__(self, start_gas: int) -> None:
        self.refund_strategy = allow_negative_refund_strategy
        self.start_gas = self.gas_remaining = start_gas
        self.gas_refunded = 0

    def consume_gas(self, amount: int, reason: str) -> None:
        """Take ``amount`` (>= 0) or raise OutOfGas."""
        if amount > self.gas_remaining:
            raise OutOfGas(f"out of gas: need {amount}, have {self.gas_remaining}: {reason}")
        self.gas_remaining -= amount


class AssayComputation(PragueComputation):  # type: ignore[misc]  # py-evm ships no types
    """One message call: py-evm's computation with the frames of this module's docstring.

    ``table`` maps the address of every precompile and native account to its function; set it on a
    subclass made by ``computation_class``.
    """

    table: dict[bytes, Precompile]

    def __init__(self, state: Any, message: Any, transaction_context: Any) -> None:
        self.state = state
        self.msg = message
        self.transaction_context = transaction_context
        self.code: Any = AnalysedCode(message.code)
        self._gas_meter = PlainGasMeter(message.gas)
        self._stack = Stack()
        self._memory = Memory()
        self.accounts_to_delete: list[bytes] = []
        self.beneficiaries: list[bytes] = []
        self._log_entries: list[tuple[int, bytes, tuple[int, ...], bytes]] = []
        self.contracts_created: list[bytes] = []

    @classmethod
    def apply_message(
        cls, state: Any, message: Any, transaction_context: Any, parent_computation: Any = None
    ) -> Any:
        """Transfer value and run; a failed message leaves nothing behind."""
        snapshot = state.snapshot()
        if message.should_transfer_value and message.value:
            if state.get_balance(message.sender) < message.value:
                raise InsufficientFunds(f"balance below {message.value} wei")
            state.delta_balance(message.sender, -message.value)
            state.delta_balance(message.storage_address, message.value)
        state.touch_account(message.storage_address)
        computation = cls.apply_computation(state, message, transaction_context, parent_computation)
        if computation.is_error:
            state.revert(snapshot)
        return computation

    @classmethod
    def apply_create_message(
        cls, state: Any, message: Any, transaction_context: Any, parent_computation: Any = None
    ) -> Any:
        """Run initcode and store what it returns (EIP-170, EIP-3541, EIP-3860)."""
        if len(message.code) > MAX_INITCODE_SIZE:
            raise OutOfGas(f"initcode of {len(message.code)} bytes, at most {MAX_INITCODE_SIZE}")
        snapshot = state.snapshot()
        state.increment_nonce(message.storage_address)
        computation = cls.apply_message(state, message, transaction_context, parent_computation)
        if computation.is_error:
            state.revert(snapshot)
            return computation
        code = computation.output
        if code:
            try:
                cls.validate_contract_code(code)
                computation.consume_gas(len(code) * _CODE_DEPOSIT_GAS, reason="code deposit")
            except VMError as error:
                computation.fail(error)
                state.revert(snapshot)
            else:
                state.set_code(message.storage_address, code)
        return computation

    @classmethod
    def apply_computation(
        cls, state: Any, message: Any, transaction_context: Any, parent_computation: Any = None
    ) -> Any:
        """Run precompile or code of one message; VM errors become the computation's error."""
        computation = cls(state, message, transaction_context)
        if parent_computation is not None:
            computation.contracts_created = parent_computation.contracts_created
        if message.is_create:
            computation.contracts_created.append(message.storage_address)
        precompile = None if message.is_delegation else cls.table.get(message.code_address)
        try:
            if precompile is None:
                run_code(computation)
            else:
                precompile(computation)
        except VMError as error:
            computation.fail(error)
        return computation

    def fail(self, error: VMError) -> None:
        """End with ``error``: burn the gas left and drop the return data where it says so."""
        self._error = error.with_traceback(None)  # traceback and causes keep every frame alive
        error.__cause__ = error.__context__ = None
        if error.burns_gas:
            self._gas_meter.gas_remaining = 0
        if error.erases_return_data:
            self.return_data = b""

    def add_child_computation(self, child_computation: Any) -> None:
        """Take over what a finished child leaves: return data, and on success logs and refund."""
        child = child_computation
        if child.msg.is_create:
            self.return_data = child.output if child.is_error else b""
        else:
            self.return_data = child.output
        if not child.is_error:
            self._log_entries += child.log_entries
            self.accounts_to_delete += child.accounts_to_delete
            self._gas_meter.gas_refunded += child.gas_refunded

    def register_account_for_deletion(self, beneficiary: bytes) -> None:
        """Note that this account was created in this transaction and destroyed itself."""
        self.accounts_to_delete.append(self.msg.storage_address)

    @property
    def log_entries(self) -> list[tuple[int, bytes, tuple[int, ...], bytes]]:
        """(counter, address, topics, data) of this call and its successful children, in order."""
        return self._log_entries

    @property
    def gas_refunded(self) -> int:
        """Refund counter of this call and its successful children; may be negative for a while."""
        refunded: int = self._gas_meter.gas_refunded
        return refunded


def computation_class(table: dict[bytes, Precompile]) -> type[AssayComputation]:
    """The computation with these precompiles and native accounts."""
    return type("TableComputation", (AssayComputation,), {"table": table})
