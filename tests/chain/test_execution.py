"""Blocks: what is built executes to the same; what differs in one field is refused."""

from dataclasses import replace
from typing import Any

import pytest

from chain.blocks import MAX_BLOCK_SIZE, decode_block
from chain.errors import (
    ExecutionMismatch,
    ExecutorFault,
    GasLimitExceeded,
    InvalidBlock,
    NonceTooHigh,
    NonceTooLow,
    UnknownParent,
)
from chain.execution import build_block
from chain.extra_data import chain_extra_data, commit_hash
from chain.fees import next_base_fee
from chain.header import EMPTY_REQUESTS_HASH
from chain.receipts import Receipt, transactions_root
from genesis.addresses import BEACON_ROOTS, HISTORY_STORAGE
from precompiles.hashing import keccak256
from tests.chain import records
from tests.chain.evm_world import (
    COINBASE,
    CONTRACT,
    OTHER,
    MemoryChain,
    contract,
    forward,
    in_deep_thread,
    initcode,
    op,
    push,
)
from tests.chain.records import GWEI, account


def transfers(count: int) -> list[Any]:
    return [records.transaction(number, value=number) for number in range(count)]


def test_transfers_move_value_and_fees() -> None:
    chain = MemoryChain()
    before = chain.state().account(account(0)).balance
    receipts = chain.mine(records.transaction(0, value=5, tip=7))
    base_fee = chain.head.header.base_fee_per_gas
    assert receipts == (Receipt(2, 1, 21_000, bytes(256), ()),)
    state = chain.state()
    assert state.account(records.RECIPIENT).balance == 5
    assert state.account(account(0)).balance == before - 5 - 21_000 * (base_fee + 7)
    assert state.account(account(0)).nonce == 1
    assert state.account(COINBASE).balance == 21_000 * 7


def test_blocks_follow_each_other_with_their_base_fee() -> None:
    chain = MemoryChain()
    fees = []
    for _ in range(4):
        fees.append(next_base_fee(chain.head.header))
        chain.mine()
    assert fees == [block.header.base_fee_per_gas for block in chain.blocks[1:]]
    assert fees == sorted(fees, reverse=True)
    assert chain.head.header.requests_hash == EMPTY_REQUESTS_HASH


def test_building_is_deterministic() -> None:
    built = [MemoryChain().build(transfers(8))[0] for _ in range(2)]
    assert built[0] == built[1]


def test_invalid_transactions_are_left_out_with_their_reason() -> None:
    chain = MemoryChain()
    candidates = [
        records.transaction(0, nonce=1),
        records.transaction(0, nonce=0),
        records.transaction(1, gas=60_000_001),
        records.transaction(0, nonce=0, value=2),
        records.transaction(0, nonce=1),
    ]
    built, rejected = chain.build(candidates)
    assert built.block.transactions == (candidates[1], candidates[4])
    assert [type(error) for _, error in rejected][::2] == [NonceTooHigh, NonceTooLow]
    clean = MemoryChain().build([candidates[1], candidates[4]])[0]
    assert built == clean


def test_gas_limit_of_the_block_bounds_the_sum_of_limits_as_they_come() -> None:
    chain = MemoryChain()
    cap = chain.spec.qbft.transaction_gas_cap
    big = [records.transaction(number, gas=cap) for number in range(3)]
    built, rejected = chain.build(big)
    assert len(built.block.transactions) == 3  # each leaves what it did not use
    burner = MemoryChain({CONTRACT: contract(b"\xfe")})
    burn = [records.transaction(n, gas=cap, to=CONTRACT, value=0) for n in range(3)]
    built, rejected = burner.build(burn)
    assert len(built.block.transactions) == 1
    assert [type(error) for _, error in rejected] == [GasLimitExceeded] * 2


def test_block_never_outgrows_the_size_limit() -> None:
    spec = replace(records.spec(), gas_limit=1_000_000_000)
    chain = MemoryChain(spec=spec)
    data = bytes(1_000_000)
    candidates = [
        records.transaction(number, data=data, gas=10_100_000, value=0) for number in range(10)
    ]
    built, rejected = chain.build(candidates)
    assert len(built.block.rlp) <= MAX_BLOCK_SIZE
    assert len(built.block.transactions) == 8
    assert all("block is full" in str(error) for _, error in rejected)


CHANGES = {
    "parent_hash": bytes(32),
    "ommers_hash": bytes(32),
    "state_root": bytes(32),
    "transactions_root": bytes(32),
    "receipts_root": bytes(32),
    "logs_bloom": b"\1" + bytes(255),
    "difficulty": 1,
    "number": 5,
    "gas_limit": 60_000_001,
    "gas_used": 1,
    "timestamp": 0,
    "extra_data": b"",
    "mix_hash": bytes(32),
    "nonce": b"\1" * 8,
    "base_fee_per_gas": 7,
    "withdrawals_root": bytes(32),
    "blob_gas_used": 131_072,
    "excess_blob_gas": 1,
    "parent_beacon_block_root": b"\1" * 32,
    "requests_hash": bytes(32),
}


@pytest.mark.parametrize("field", CHANGES)
def test_block_with_one_wrong_field_is_refused(field: str) -> None:
    chain = MemoryChain()
    block = chain.build(transfers(3))[0].block
    wrong = replace(block, header=replace(block.header, **{field: CHANGES[field]}))
    with pytest.raises(InvalidBlock, match=field if field != "parent_hash" else "parent"):
        chain.execute(wrong)


def test_another_coinbase_gives_another_state() -> None:
    chain = MemoryChain()
    block = chain.build([records.transaction()])[0].block
    with pytest.raises(ExecutionMismatch) as error:
        chain.execute(replace(block, header=replace(block.header, coinbase=OTHER)))
    assert error.value.field == "state_root"
    assert len(error.value.receipts) == 1


@pytest.mark.parametrize(
    "extra_data",
    [b"x" * 33, chain_extra_data(b"v" * 26) + b"\0", b"\xc5\x80\xc0\xc0\x01\xc0"],
    ids=["long", "trailing", "round 1"],
)
def test_extra_data_must_be_the_chain_form(extra_data: bytes) -> None:
    chain = MemoryChain()
    block = chain.build()[0].block
    with pytest.raises(InvalidBlock, match="extra_data"):
        chain.execute(replace(block, header=replace(block.header, extra_data=extra_data)))
    with pytest.raises(InvalidBlock, match="extra_data"):
        chain.build(extra_data=extra_data)


def test_attributes_that_break_a_header_rule_build_nothing() -> None:
    chain = MemoryChain()
    for change in (
        {"timestamp": chain.head.header.timestamp},
        {"mix_hash": bytes(32)},
        {"gas_limit": 59_999_999},
    ):
        with pytest.raises(InvalidBlock, match=next(iter(change))):
            chain.build(**change)


def test_parent_that_is_not_the_parent() -> None:
    chain = MemoryChain()
    block = chain.build()[0].block
    chain.mine()
    with pytest.raises(UnknownParent):
        chain.execute(block)


def test_body_of_another_block_is_refused() -> None:
    chain = MemoryChain()
    block = chain.build(transfers(3))[0].block
    with pytest.raises(ExecutionMismatch, match="transactions_root"):
        chain.execute(replace(block, transactions=block.transactions[:2]))


def test_block_with_an_invalid_transaction_names_its_index() -> None:
    chain = MemoryChain()
    block = chain.build([records.transaction(0)])[0].block
    body = (*block.transactions, records.transaction(1, nonce=3))
    root = transactions_root([transaction.raw for transaction in body])
    wrong = replace(block, transactions=body, header=replace(block.header, transactions_root=root))
    with pytest.raises(InvalidBlock, match="transaction 1: nonce too high"):
        chain.execute(wrong)


def test_failed_execution_changes_nothing() -> None:
    chain = MemoryChain()
    block = chain.build(transfers(3))[0].block
    nodes = dict(chain.nodes)
    with pytest.raises(InvalidBlock):
        chain.execute(replace(block, header=replace(block.header, state_root=bytes(32))))
    assert chain.nodes == nodes
    assert chain.execute(block).block == block


def test_state_that_is_not_there_is_a_fault_of_this_node() -> None:
    chain = MemoryChain()
    chain.nodes.clear()
    with pytest.raises(ExecutorFault):
        chain.build()


def test_seals_and_round_do_not_enter_execution() -> None:
    chain = MemoryChain()
    header = chain.build(transfers(2))[0].block.header
    assert commit_hash(header, 0) == header.hash
    assert commit_hash(header, 1) != header.hash


def test_system_contracts_remember_parents() -> None:
    chain = MemoryChain()
    for _ in range(3):
        chain.mine()
    state = chain.state()
    for number in range(3):
        stored = state.storage(HISTORY_STORAGE, number)
        assert stored == int.from_bytes(chain.blocks[number].hash, "big")
    timestamp = chain.head.header.timestamp
    assert state.storage(BEACON_ROOTS, timestamp % 8191) == timestamp
    assert state.storage(BEACON_ROOTS, timestamp % 8191 + 8191) == 0


def test_opcodes_see_the_block() -> None:
    # CHAINID, NUMBER, TIMESTAMP, COINBASE, PREVRANDAO, BASEFEE, GASLIMIT, BLOCKHASH(NUMBER - 2)
    opcodes = [b"\x46", b"\x43", b"\x42", b"\x41", b"\x44", b"\x48", b"\x45"]
    opcodes.append(push(2) + b"\x43\x03\x40")
    code = b"".join([each + push(slot) + b"\x55" for slot, each in enumerate(opcodes)])
    chain = MemoryChain({CONTRACT: contract(code)})
    chain.mine()
    chain.mine()
    chain.mine(records.transaction(to=CONTRACT, gas=500_000, value=0))
    header, state = chain.head.header, chain.state()
    want = [
        chain.spec.chain_id,
        3,
        header.timestamp,
        int.from_bytes(COINBASE, "big"),
        int.from_bytes(header.mix_hash, "big"),
        header.base_fee_per_gas,
        60_000_000,
        int.from_bytes(chain.blocks[1].hash, "big"),
    ]
    assert [state.storage(CONTRACT, slot) for slot in range(len(want))] == want
    assert header.mix_hash == keccak256(chain.blocks[2].header.mix_hash + (3).to_bytes(32, "big"))


def test_contract_is_created_and_runs() -> None:
    chain = MemoryChain()
    runtime = op(0x55, 0, 42) + op(0xA1, 0, 0, 99)
    receipt = chain.mine(records.transaction(to=b"", data=initcode(runtime), gas=200_000, value=0))
    assert receipt[0].status == 1
    created = keccak256(b"\xd6\x94" + account(0) + b"\x80")[12:]
    assert chain.state().code(created) == runtime
    log = chain.mine(records.transaction(nonce=1, to=created, gas=100_000, value=0))[0].logs[0]
    assert (log.address, log.topics) == (created, ((99).to_bytes(32, "big"),))
    assert chain.state().storage(created, 0) == 42


@pytest.mark.parametrize("runtime", [b"\xef\x00", bytes(24_577)], ids=["EIP-3541", "EIP-170"])
def test_code_that_may_not_be_deployed_burns_the_gas(runtime: bytes) -> None:
    chain = MemoryChain()
    tx = records.transaction(to=b"", data=initcode(runtime), gas=6_000_000, value=0)
    receipt = chain.mine(tx)[0]
    assert (receipt.status, receipt.cumulative_gas_used) == (0, 6_000_000)


def test_delegation_makes_an_account_run_code() -> None:
    chain = MemoryChain({records.RECIPIENT: contract(op(0x55, 0, 1))})
    chain.mine(
        records.transaction(
            0, type=4, to=account(1), gas=200_000, value=0, extra=[[records.authorization(1)]]
        )
    )
    state = chain.state()
    assert state.code(account(1)) == b"\xef\x01\x00" + records.RECIPIENT
    assert state.storage(account(1), 0) == 1
    assert state.account(account(1)).nonce == 1
    chain.mine(records.transaction(1, nonce=1))  # a delegated sender still sends


def test_recursion_ends_in_a_result() -> None:
    """A contract that calls itself as deep as its gas allows, in the thread that workers use."""
    code = b"\x5f\x54" + push(1) + b"\x01\x5f\x55"  # count in slot 0
    code += b"\x5f\x5f\x5f\x5f\x5f\x30\x5a\xf1\x50"
    chain = MemoryChain({CONTRACT: contract(code)})
    cap = chain.spec.qbft.transaction_gas_cap

    def run() -> None:
        chain.mine(records.transaction(to=CONTRACT, gas=cap, value=0))

    in_deep_thread(run)
    assert 250 < chain.state().storage(CONTRACT, 0) <= 1025


def test_hostile_jump_destinations_cost_one_scan() -> None:
    """Many calls of 24 KB of code whose jump looks back over pushes (evm.md, section 7)."""
    hostile = push(24_570) + b"\x56" + b"\x7f" * 24_566 + b"\x5b" + b"\x00" * 4
    caller = b"".join([op(0xFA, 100_000, OTHER, 0, 0, 0, 0) + b"\x50" for _ in range(50)])
    chain = MemoryChain({CONTRACT: contract(caller), OTHER: contract(hostile)})
    assert chain.mine(records.transaction(to=CONTRACT, gas=6_000_000, value=0))[0].status == 1


def test_logs_of_reverted_frames_are_dropped_and_order_is_kept() -> None:
    inner = op(0xA0, 0, 0) + b"\x00"
    reverting = op(0xA0, 0, 0) + op(0xFD, 0, 0)
    third = bytes.fromhex("0e" * 20)
    code = op(0xA1, 0, 0, 1) + op(0xF1, 50_000, OTHER, 0, 0, 0, 0, 0) + b"\x50"
    code += op(0xF1, 50_000, third, 0, 0, 0, 0, 0) + b"\x50" + op(0xA1, 0, 0, 2)
    chain = MemoryChain(
        {CONTRACT: contract(code), OTHER: contract(inner), third: contract(reverting)}
    )
    receipt = chain.mine(records.transaction(to=CONTRACT, gas=500_000, value=0))[0]
    assert [log.address for log in receipt.logs] == [CONTRACT, OTHER, CONTRACT]
    assert [log.topics[:1] for log in receipt.logs][::2] == [
        ((1).to_bytes(32, "big"),),
        ((2).to_bytes(32, "big"),),
    ]
    assert chain.head.header.logs_bloom == receipt.logs_bloom


def test_encoded_block_executes_to_itself() -> None:
    chain = MemoryChain({CONTRACT: contract(forward(0xF1, OTHER)), OTHER: contract(b"\x00")})
    built = chain.build([records.transaction(to=CONTRACT, gas=100_000, max_fee=3 * GWEI)])[0]
    assert chain.execute(decode_block(built.block.rlp)) == built


def test_this_chains_native_accounts_are_the_default() -> None:
    chain = MemoryChain()
    executed, rejected = build_block(
        chain.spec, chain.head.header, chain.attributes(), transfers(1), chain
    )
    assert not rejected
    assert executed == chain.build(transfers(1))[0]
