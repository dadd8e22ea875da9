"""One message on the same small world: by our interpreter and by stock py-evm, for each fork."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any
from warnings import catch_warnings, simplefilter

from eth.db.atomic import AtomicDB
from eth.vm.execution_context import ExecutionContext
from eth.vm.forks.cancun.transaction_context import CancunTransactionContext
from eth.vm.forks.spurious_dragon._utils import collect_touched_accounts
from eth.vm.message import Message

from chain.evm.environment import BlockEnvironment, TransactionEnvironment
from chain.evm.frame import Evm, Frame, Interpret
from chain.evm.interpreter import interpret
from chain.evm.messages import run_creation, run_message
from chain.evm.precompiled.table import precompiles_of
from chain.evm.state import WorldState
from chain.header import EMPTY_TRIE_ROOT
from genesis.forks import Fork

SENDER, CONTRACT, COINBASE = b"\xaa" * 20, b"\xcc" * 20, b"\xc0" * 20
STOCK_FORKS = [fork for fork in Fork if fork <= Fork.PRAGUE]
NUMBER, TIMESTAMP, GAS_LIMIT, CHAIN_ID, PREV_RANDAO, BASE_FEE = 300, 1_700_000_000, 10**8, 7, 99, 7
BLOB_HASHES = (b"\1" + bytes(31), b"\1" + b"\xff" * 31)


@dataclass(frozen=True)
class Account:
    balance: int = 0
    nonce: int = 0
    code: bytes = b""
    storage: Mapping[int, int] | None = None


@dataclass(frozen=True)
class Result:
    gas: int
    output: bytes
    failed: bool
    logs: list[tuple[bytes, tuple[int, ...], bytes]]
    refund: int
    state_root: bytes


World = Mapping[bytes, Account]


def block_hash(number: int) -> bytes:
    return b"\xb1" + number.to_bytes(31, "big")


def make_evm(fork: Fork, world: World, interpreter: Interpret = interpret) -> Evm:
    """An EVM at the begin of a transaction from SENDER to CONTRACT."""
    precompiles = precompiles_of(fork)
    state = WorldState({}.__getitem__, EMPTY_TRIE_ROOT)
    for address, account in world.items():
        state.set_balance(address, account.balance)
        state.set_nonce(address, account.nonce)
        state.set_code(address, account.code)
        for slot, value in (account.storage or {}).items():
            state.set_storage(address, slot, value)
    state.make_root()  # as a block finds it: storage in a trie
    state.begin_transaction()
    for address in (SENDER, CONTRACT, *precompiles):
        state.mark_address_warm(address)
    block = BlockEnvironment(
        CHAIN_ID, fork, NUMBER, TIMESTAMP, GAS_LIMIT, COINBASE, PREV_RANDAO,
        BASE_FEE if fork >= Fork.LONDON else 0, 1 if fork >= Fork.CANCUN else 0, block_hash,
    )  # fmt: skip
    hashes = BLOB_HASHES if fork >= Fork.CANCUN else ()
    return Evm(state, block, TransactionEnvironment(SENDER, 5, hashes), precompiles, interpreter)


def run_ours(
    fork: Fork, world: World, data: bytes = b"", value: int = 0, gas: int = 10**6,
    create: bytes | None = None, interpreter: Interpret = interpret,
) -> Result:  # fmt: skip
    """Call CONTRACT, or create it from ``create``."""
    evm = make_evm(fork, world, interpreter)
    code = evm.state.get_code(CONTRACT) if create is None else create
    frame = Frame(evm, SENDER, CONTRACT, CONTRACT, value, data, code, gas)
    (run_message if create is None else run_creation)(frame)
    state = evm.state
    logs = [
        (log.address, tuple(int.from_bytes(topic, "big") for topic in log.topics), log.data)
        for log in state.logs
    ]
    refund = state.refund
    state.finish_transaction(fork >= Fork.SPURIOUS_DRAGON)
    root = state.make_root()
    return Result(frame.gas, frame.output, frame.error is not None, logs, refund, root)


def stock_state(fork: Fork, world: World) -> Any:
    """py-evm's state, before the message."""
    name = fork.name.lower()
    kind = getattr(import_module(f"eth.vm.forks.{name}"), f"{_camel(fork)}VM")
    context = ExecutionContext(
        COINBASE, TIMESTAMP, NUMBER, PREV_RANDAO, PREV_RANDAO.to_bytes(32, "big"), GAS_LIMIT,
        [block_hash(NUMBER - depth) for depth in range(1, 257)], CHAIN_ID,
        BASE_FEE if fork >= Fork.LONDON else None, 0 if fork >= Fork.CANCUN else None,
    )  # fmt: skip
    state = kind.get_state_class()(AtomicDB(), context, EMPTY_TRIE_ROOT)
    for address, account in world.items():
        state.set_balance(address, account.balance)
        state.set_nonce(address, account.nonce)
        state.set_code(address, account.code)
        for slot, value in (account.storage or {}).items():
            state.set_storage(address, slot, value)
    state.lock_changes()
    return state


def run_stock(
    fork: Fork, world: World, data: bytes = b"", value: int = 0, gas: int = 10**6,
    create: bytes | None = None,
) -> Result:  # fmt: skip
    """The same by py-evm."""
    state = stock_state(fork, world)
    if fork >= Fork.BERLIN:
        for address in (SENDER, CONTRACT, *precompiles_of(fork)):
            state.mark_address_warm(address)
    kind = state.computation_class
    hashes = {"blob_versioned_hashes": BLOB_HASHES} if fork >= Fork.CANCUN else {}
    context_kind = CancunTransactionContext if hashes else state.get_transaction_context_class()
    context = context_kind(gas_price=5, origin=SENDER, **hashes)
    if create is None:
        message = Message(gas, CONTRACT, SENDER, value, data, state.get_code(CONTRACT))
    else:
        if (
            fork >= Fork.SHANGHAI
        ):  # stock charges for initcode here, not as part of the intrinsic gas
            gas += 2 * ((len(create) + 31) // 32)
        message = Message(gas, b"", SENDER, value, data, create, create_address=CONTRACT)
    with catch_warnings():
        simplefilter("ignore")  # that SELFDESTRUCT is deprecated
        run = kind.apply_message if create is None else kind.apply_create_message
        computation = run(state, message, context)
    destroyed = computation.get_accounts_for_deletion()
    for address in destroyed:
        state.delete_account(address)
    if fork >= Fork.SPURIOUS_DRAGON:
        for address in collect_touched_accounts(computation):
            if state.account_exists(address) and state.account_is_empty(address):
                state.delete_account(address)
    refund = 0 if computation.is_error else computation.get_gas_refund()
    if fork < Fork.LONDON:
        refund += 24_000 * len(destroyed)
    failed = computation.is_error
    burnt = failed and computation.should_burn_gas
    return Result(
        computation.get_gas_remaining(), b"" if burnt else computation.output, failed,
        list(computation.get_log_entries()), refund, state.make_state_root(),
    )  # fmt: skip


def _camel(fork: Fork) -> str:
    return "".join(word.capitalize() for word in fork.name.split("_"))
