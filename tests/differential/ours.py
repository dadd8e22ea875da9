"""A case on our own EVM, by the functions that blocks are executed with."""

from dataclasses import dataclass, replace
from typing import Any

from chain.blobs import GAS_PER_BLOB, blob_base_fee
from chain.blocks import Withdrawal
from chain.errors import InvalidTransaction
from chain.evm.environment import BlockEnvironment
from chain.evm.frame import Interpret
from chain.evm.interpreter import interpret
from chain.evm.payments import pay_rewards, pay_withdrawals
from chain.evm.precompiled.table import precompiles_of
from chain.evm.requests import collect_requests, requests_hash
from chain.evm.rules import GasAvailable
from chain.evm.state import WorldState
from chain.evm.transition import BlockMachine, Outcome, apply_transaction, system_call
from chain.genesis_block import genesis_block
from chain.receipts import Receipt, encode_receipt, logs_bloom, receipts_root, union_bloom
from chain.transactions import Transaction, decode_transaction
from genesis.addresses import BEACON_ROOTS, HISTORY_STORAGE
from genesis.forks import Fork
from genesis.spec import GenesisSpec
from tests.chain import records
from tests.differential.worlds import CHAIN_ID, Case

_TRANSACTION_CAP = 1 << 24  # EIP-7825


@dataclass(frozen=True)
class Result:
    """What one transaction did; ``refused`` is the error's class and text when it is invalid."""

    refused: str = ""
    gas_used: int = 0
    output: bytes = b""
    failed: bool = False
    error: str = ""


def machine_of(case: Case, run: Interpret = interpret) -> BlockMachine:
    """The state before the block, and what its transactions share."""
    spec = GenesisSpec(chain_id=CHAIN_ID, alloc=case.state(), assay=None)
    block, nodes = genesis_block(spec)
    environment, fork = case.environment, case.fork
    limits = case.blob_parameters()
    excess = environment.excess_blob_gas
    seen = BlockEnvironment(
        chain_id=CHAIN_ID,
        fork=fork,
        number=environment.number,
        timestamp=environment.timestamp,
        gas_limit=environment.gas_limit,
        coinbase=environment.coinbase,
        prev_randao=(
            int.from_bytes(environment.mix_hash, "big")
            if fork >= Fork.PARIS
            else environment.difficulty
        ),
        base_fee_per_gas=environment.base_fee_per_gas,
        blob_base_fee=blob_base_fee(excess, limits.base_fee_update_fraction) if limits else 0,
        ancestor_hash=lambda number: environment.ancestors[number - environment.number],
    )
    precompiles = precompiles_of(fork)
    state = WorldState(nodes.__getitem__, block.header.state_root, precompiles)
    return BlockMachine(state, seen, precompiles, run)


def run_case(case: Case, run: Interpret = interpret) -> tuple[list[Result], dict[str, Any]]:
    """Execute the block; one result per transaction, and what its header would say."""
    machine = machine_of(case, run)
    environment, fork, limits = case.environment, case.fork, case.blob_parameters()
    if fork >= Fork.CANCUN:
        system_call(machine, BEACON_ROOTS, environment.parent_beacon_block_root)
    if fork >= Fork.PRAGUE:
        system_call(machine, HISTORY_STORAGE, environment.ancestors[-1])
    results: list[Result] = []
    receipts: list[Receipt] = []
    used = blob_gas = 0
    for raw in case.transactions:
        cap = _TRANSACTION_CAP if fork >= Fork.OSAKA else None
        blob_room = GAS_PER_BLOB * limits.max - blob_gas if limits else None
        room = GasAvailable(environment.gas_limit - used, cap, blob_room)
        try:
            transaction = decode_transaction(raw, homestead=fork >= Fork.HOMESTEAD)
            outcome = apply_transaction(machine, transaction, room)
        except InvalidTransaction as error:
            results.append(Result(f"{type(error).__name__}: {error}"))
            continue
        used += outcome.gas_used
        blob_gas += GAS_PER_BLOB * len(transaction.blob_versioned_hashes)
        receipts.append(_receipt(machine, transaction, outcome, used))
        failed, error_text = outcome.error is not None, outcome.error or ""
        results.append(Result("", outcome.gas_used, outcome.output, failed, error_text))
    return results, _end(case, machine, receipts) | {"gas_used": used, "blob_gas_used": blob_gas}


def _receipt(
    machine: BlockMachine, transaction: Transaction, outcome: Outcome, used: int
) -> Receipt:
    root = b""
    if machine.block.fork < Fork.BYZANTIUM:
        root = machine.state.make_root()
    status = int(outcome.error is None)
    bloom = logs_bloom(outcome.logs)
    return Receipt(transaction.type, status, used, bloom, outcome.logs, root)


def _end(case: Case, machine: BlockMachine, receipts: list[Receipt]) -> dict[str, Any]:
    state, fork = machine.state, case.fork
    found: dict[str, Any] = {}
    pay_withdrawals(state, [Withdrawal(*values) for values in case.withdrawals])
    header = records.header(number=case.environment.number, coinbase=case.environment.coinbase)
    ommers = [replace(header, number=number, coinbase=who) for number, who in case.ommers]
    pay_rewards(state, fork, header, ommers)
    if fork >= Fork.PRAGUE:
        logs = [log for receipt in receipts for log in receipt.logs]
        found["requests_hash"] = requests_hash(collect_requests(machine, logs, None))
    return found | {
        "receipts": [encode_receipt(receipt) for receipt in receipts],
        "receipts_root": receipts_root(receipts),
        "logs_bloom": union_bloom([receipt.logs_bloom for receipt in receipts]),
        "state_root": state.make_root(),
    }
