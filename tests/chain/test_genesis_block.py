"""Block 0: the same file gives the same block, and the state is the file's."""

from dataclasses import replace

import pytest

from chain.errors import InvalidBlock
from chain.genesis_block import genesis_block
from chain.state_reader import EMPTY_ACCOUNT, StateReader
from chain.validator_set import read_validators
from genesis.spec import Allocation, format_genesis, parse_genesis
from precompiles.hashing import keccak256
from tests.chain import records

RICH = bytes.fromhex("aa" * 20)
EMPTY = bytes.fromhex("ab" * 20)


def test_state_is_that_of_the_file() -> None:
    spec = records.spec()
    block, nodes = genesis_block(spec)
    reader = StateReader(nodes.__getitem__, block.header.state_root)
    for address, allocation in spec.alloc.items():
        account = reader.account(address)
        assert (account.nonce, account.balance) == (allocation.nonce, allocation.balance)
        assert reader.code(address) == allocation.code
        for slot, word in allocation.storage.items():
            assert reader.storage(address, slot) == word
    assert read_validators(reader) == tuple(sorted(records.account(n) for n in range(4)))
    assert all(keccak256(node) == digest for digest, node in nodes.items())


def test_equal_files_give_equal_blocks_and_any_change_another() -> None:
    spec = records.spec()
    block, nodes = genesis_block(spec)
    assert genesis_block(parse_genesis(format_genesis(spec))) == (block, nodes)
    shuffled = replace(spec, alloc=dict(reversed(spec.alloc.items())))
    assert genesis_block(shuffled) == (block, nodes)
    for change in (
        {"timestamp": spec.timestamp + 1},
        {"gas_limit": spec.gas_limit + 1},
        {"alloc": {**spec.alloc, RICH: Allocation(balance=1)}},
    ):
        assert genesis_block(replace(spec, **change))[0].hash != block.hash


def test_empty_accounts_are_left_out() -> None:
    spec = records.spec()
    with_empty = replace(spec, alloc={**spec.alloc, EMPTY: Allocation(storage={1: 0})})
    assert genesis_block(with_empty) == genesis_block(spec)
    block, nodes = genesis_block(with_empty)
    reader = StateReader(nodes.__getitem__, block.header.state_root)
    assert reader.account(EMPTY) == EMPTY_ACCOUNT


def test_storage_without_an_account_is_refused() -> None:
    spec = records.spec()
    bad = replace(spec, alloc={**spec.alloc, EMPTY: Allocation(storage={1: 1})})
    with pytest.raises(InvalidBlock, match=EMPTY.hex()):
        genesis_block(bad)


def test_supply_that_could_overflow_a_balance_is_refused() -> None:
    spec = records.spec()
    bad = replace(spec, alloc={**spec.alloc, RICH: Allocation(balance=(1 << 256) - 1)})
    with pytest.raises(InvalidBlock, match="supply"):
        genesis_block(bad)
