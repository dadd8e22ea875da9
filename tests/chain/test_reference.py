"""The reference switch: py-evm computes the same blocks, and a difference is told."""

import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from chain.blocks import Block
from chain.deep_stack import run_deep
from chain.evm.reference import ReferenceMismatch, check_against_reference
from chain.execution import execute_block
from chain.genesis_block import genesis_block
from chain.requests import ExecutedBlock
from chain.transactions import decode_transaction
from genesis.forks import Fork, schedule_of
from precompiles.context import Call
from precompiles.errors import PrecompileHalt, PrecompileRevert
from tests.chain import records
from tests.chain.evm_world import CONTRACT, OTHER, MemoryChain, contract, forward, op
from tests.chain.fixture_chain import fixture_chain
from tests.differential.signing import BLOB, encode
from tests.differential.transactions import random_draft
from tests.differential.worlds import CHAIN_ID, random_world

PER_BLOCK = 8


def compare(chain: MemoryChain, executed: ExecutedBlock) -> None:
    """Both implementations on the block that ``chain`` would append next."""
    run_deep(
        check_against_reference,
        chain.spec,
        chain.head.header,
        executed.block,
        chain,
        executed,
        chain.natives,
    )


@pytest.mark.filterwarnings("ignore:SELFDESTRUCT opcode present:DeprecationWarning")
@pytest.mark.parametrize("fork", [Fork.PRAGUE, Fork.OSAKA])
@pytest.mark.parametrize("seed", range(6))
def test_py_evm_agrees_on_random_blocks(seed: int, fork: Fork) -> None:
    rnd = random.Random(seed)
    case = random_world(rnd, fork)
    base = replace(records.spec(), chain_id=CHAIN_ID, schedule=schedule_of(fork))
    chain = MemoryChain(case.state(), spec=base)
    for block in range(2):
        drafts = [random_draft(rnd, case, number, block) for number in range(PER_BLOCK)]
        raws = [encode(draft.with_(max_fee=10**11)) for draft in drafts if draft.type != BLOB]
        built, _ = chain.build([decode_transaction(raw) for raw in raws])
        assert built.receipts
        compare(chain, built)
        chain.append(built)


def teller(call: Call) -> bytes:
    """A native account that uses everything a native account has."""
    call.charge(1_000 + len(call.calldata))
    if call.calldata[:1] == b"\1":
        raise PrecompileRevert("ModelNotFound(bytes32)", (bytes(32),))
    if call.calldata[:1] == b"\2":
        raise PrecompileHalt("no more")
    call.state.set_storage(call.address, 1, call.state.storage(call.address, 1) + 1)
    call.state.set_code(OTHER, b"\x00" + call.calldata)
    call.emit((bytes(32), call.caller.rjust(32, b"\0")), call.calldata)
    return call.gas_left().to_bytes(32, "big")


def test_py_evm_agrees_on_native_accounts() -> None:
    address = bytes.fromhex("7e11" * 10)
    caller = forward(0xF1, address) + op(0xFA, 60_000, address, 0, 0, 0, 0)
    stored = contract(b"\xfe", storage={1: 7})
    accounts = {address: stored, CONTRACT: contract(caller + b"\x50")}
    chain = MemoryChain(accounts, natives={address: teller})
    numbers = enumerate([b"\0ok", b"\1revert", b"\2halt", b""])
    sent = [
        records.transaction(number, to=to, gas=200_000, data=data, value=0)
        for number, data in numbers
        for to in (address, CONTRACT)[number % 2 :][:1]
    ]
    built, rejected = chain.build(sent)
    assert not rejected
    assert [receipt.status for receipt in built.receipts] == [1, 1, 0, 1]
    compare(chain, built)


class Imported:
    """The fixture chain block by block; satisfies NodeSource."""

    def __init__(self, nodes: dict[bytes, bytes], blocks: Sequence[Block]) -> None:
        self.nodes, self.blocks = nodes, blocks

    def node(self, digest: bytes) -> bytes:
        return self.nodes[digest]

    def canonical_hash(self, number: int) -> bytes | None:
        return self.blocks[number].hash

    def block(self, block_hash: bytes) -> Block | None:
        return next((block for block in self.blocks if block.hash == block_hash), None)


@pytest.mark.filterwarnings("ignore:SELFDESTRUCT opcode present:DeprecationWarning")
def test_py_evm_agrees_on_the_fixture_chain_from_frontier_to_osaka() -> None:
    spec, blocks = fixture_chain()
    source = Imported(dict(genesis_block(spec)[1]), blocks)

    def follow() -> None:
        for parent, block in pairwise(blocks):
            executed = execute_block(spec, parent.header, block, source)
            check_against_reference(spec, parent.header, block, source, executed)
            source.nodes |= executed.nodes

    run_deep(follow)


def altered(executed: ExecutedBlock, **changes: Any) -> ExecutedBlock:
    header = replace(executed.block.header, **changes)
    return replace(executed, block=replace(executed.block, header=header))


@pytest.mark.parametrize(
    "name", ["state_root", "receipts_root", "gas_used", "logs_bloom", "requests_hash"]
)
def test_a_difference_names_the_field_and_both_values(name: str) -> None:
    chain = MemoryChain()
    built, _ = chain.build([records.transaction()])
    before = getattr(built.block.header, name)
    wrong = before + 1 if isinstance(before, int) else bytes(len(before) - 1) + b"\1"
    show = str(before) if isinstance(before, int) else before.hex()
    changed = altered(built, **{name: wrong})
    with pytest.raises(ReferenceMismatch, match=f"{name}: ours .*, py-evm .*{show}"):
        run_deep(
            check_against_reference,
            chain.spec,
            chain.head.header,
            built.block,
            chain,
            changed,
            chain.natives,
        )


def test_a_block_that_py_evm_refuses_is_a_difference() -> None:
    chain = MemoryChain()
    built, _ = chain.build([records.transaction(nonce=0)])
    again = replace(built.block, transactions=built.block.transactions * 2)
    with pytest.raises(ReferenceMismatch, match=r"ours is valid, py-evm: .*nonce"):
        compare(chain, replace(built, block=again))
