"""Percentiles of tips, and places of logs, on blocks made by hand from signed transactions."""

from typing import Any

import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from chain.blocks import Block
from chain.header import EMPTY_TRIE_ROOT, Header
from chain.receipts import Log, Receipt, logs_bloom
from chain.transactions import Transaction, decode_transaction
from genesis.forks import OSAKA_FROM_GENESIS
from rpc import encode
from rpc.fees import percentile_tips

BASE_FEE = 1_000
SIGNER = Account.from_key(b"\x01" * 32)


def transaction(nonce: int, tip: int) -> Transaction:
    fields: dict[str, Any] = {
        "chainId": 1,
        "nonce": nonce,
        "gas": 21_000,
        "maxFeePerGas": 10**6,
        "maxPriorityFeePerGas": tip,
        "to": b"\x02" * 20,
        "value": 0,
    }
    return decode_transaction(bytes(SIGNER.sign_transaction(fields).raw_transaction))


TRANSACTIONS = [transaction(nonce, 10 * (7 * nonce % 11)) for nonce in range(11)]
HEADER = Header(
    parent_hash=bytes(32),
    ommers_hash=bytes(32),
    coinbase=bytes(20),
    state_root=EMPTY_TRIE_ROOT,
    transactions_root=bytes(32),
    receipts_root=bytes(32),
    logs_bloom=bytes(256),
    difficulty=0,
    number=5,
    gas_limit=60_000_000,
    gas_used=0,
    timestamp=9,
    extra_data=b"",
    mix_hash=bytes(32),
    nonce=bytes(8),
    base_fee_per_gas=BASE_FEE,
    withdrawals_root=EMPTY_TRIE_ROOT,
    blob_gas_used=0,
    excess_blob_gas=0,
    parent_beacon_block_root=bytes(32),
    requests_hash=bytes(32),
)


def block_of(gas_and_logs: list[tuple[int, int]]) -> tuple[Block, tuple[Receipt, ...]]:
    """A block whose i-th transaction used so much gas and left so many logs."""
    receipts, total = [], 0
    for gas, count in gas_and_logs:
        total += gas
        logs = tuple(Log(b"\x03" * 20, (), bytes([i])) for i in range(count))
        receipts.append(Receipt(2, 1, total, logs_bloom(logs), logs))
    return Block(HEADER, tuple(TRANSACTIONS[: len(receipts)])), tuple(receipts)


GAS_AND_LOGS = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 3)), min_size=1, max_size=11)


@given(GAS_AND_LOGS, st.lists(st.integers(0, 100), min_size=1, max_size=5).map(sorted))
def test_percentiles_weigh_tips_by_gas(
    gas_and_logs: list[tuple[int, int]], percentiles: list[int]
) -> None:
    """Every unit of gas is one vote for its transaction's tip; the p-th percentile of the votes."""
    block, receipts = block_of(gas_and_logs)
    votes: list[int] = []
    for tx, (gas, _) in zip(block.transactions, gas_and_logs, strict=True):
        votes += [tx.max_priority_fee_per_gas] * gas
    votes.sort()
    want = [votes[max(-(-len(votes) * p // 100) - 1, 0)] for p in percentiles]
    assert percentile_tips(block, receipts, [float(p) for p in percentiles]) == want


def test_an_empty_block_has_no_tips() -> None:
    assert percentile_tips(Block(HEADER, ()), (), [10.0, 90.0]) == [0, 0]


@given(GAS_AND_LOGS)
def test_receipts_number_logs_through_the_block(gas_and_logs: list[tuple[int, int]]) -> None:
    block, receipts = block_of(gas_and_logs)
    encoded: Any = encode.receipts(block, receipts, OSAKA_FROM_GENESIS)
    alone = [encode.receipt(block, receipts, i, OSAKA_FROM_GENESIS) for i in range(len(receipts))]
    assert alone == encoded
    logs = [log for receipt in encoded for log in receipt["logs"]]
    assert [log["logIndex"] for log in logs] == [hex(i) for i in range(len(logs))]
    for index, (gas, count) in enumerate(gas_and_logs):
        assert int(encoded[index]["gasUsed"], 16) == gas
        assert len(encoded[index]["logs"]) == count
        for log in encoded[index]["logs"]:
            assert log["transactionHash"] == encoded[index]["transactionHash"]
            assert log["transactionIndex"] == hex(index)


@pytest.mark.parametrize(
    ("nonce", "address"),
    [  # sender and addresses of go-ethereum's crypto tests
        (0, "333c3310824b7c685133f2bedb2ca4b8b4df633d"),
        (1, "8bda78331c916a08481428e4b07c96d3e916d165"),
        (2, "c9ddedf451bc62ce88bf9292afb13df35b670699"),
    ],
)
def test_created_addresses(nonce: int, address: str) -> None:
    sender = bytes.fromhex("970e8128ab834e8eac17ab8e3812f010678cf791")
    assert encode.created_address(sender, nonce).hex() == address
