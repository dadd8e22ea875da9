"""Chains of blocks: what ``build_block`` makes and ``execute_block`` takes, EELS makes too."""

import random
from dataclasses import replace
from typing import Any

import pytest

from chain.blocks import Block, decode_block
from chain.deep_stack import run_deep
from chain.errors import InvalidTransaction
from chain.execution import build_block, execute_block
from chain.genesis_block import genesis_block
from chain.requests import BlockAttributes, ExecutedBlock
from chain.transactions import Transaction, decode_transaction
from genesis.addresses import CONSOLIDATION_REQUESTS, WITHDRAWAL_REQUESTS
from genesis.forks import Fork, schedule_of
from genesis.spec import GenesisSpec
from tests.differential.eels import FORKS, Eels
from tests.differential.signing import SET_CODE, Draft, encode
from tests.differential.transactions import random_draft
from tests.differential.worlds import CHAIN_ID, COINBASE, ETHER, GWEI, Case, random_world

MERGED = [fork for fork in FORKS if fork >= Fork.PARIS]
BLOCKS = 3
PER_BLOCK = 8


class Chain:
    """Blocks with Ethereum's rules in memory; satisfies NodeSource."""

    def __init__(self, case: Case) -> None:
        self.spec = GenesisSpec(
            chain_id=CHAIN_ID,
            gas_limit=30_000_000,
            alloc=case.state(),
            assay=None,
            schedule=schedule_of(case.fork),
        )
        block, nodes = genesis_block(self.spec)
        self.nodes, self.blocks = dict(nodes), [block]

    def node(self, digest: bytes) -> bytes:
        return self.nodes[digest]

    def canonical_hash(self, number: int) -> bytes | None:
        return self.blocks[number].hash if number < len(self.blocks) else None

    def block(self, block_hash: bytes) -> Block | None:
        return next((block for block in self.blocks if block.hash == block_hash), None)

    def extend(self, transactions: list[Transaction]) -> ExecutedBlock:
        parent = self.blocks[-1].header
        attributes = BlockAttributes(
            timestamp=parent.timestamp + 12,
            coinbase=COINBASE,
            mix_hash=bytes([parent.number + 1]) * 32,
            extra_data=b"differential",
            gas_limit=parent.gas_limit,
        )
        built, _ = build_block(self.spec, parent, attributes, transactions, self)
        again = execute_block(self.spec, parent, decode_block(built.block.rlp), self)
        assert again == built
        self.nodes |= built.nodes
        self.blocks.append(built.block)
        return built


def requests(rnd: random.Random, sender: int, nonce: int) -> Draft:
    """A validator's withdrawal or consolidation request (EIP-7002, EIP-7251)."""
    to, size = rnd.choice([(WITHDRAWAL_REQUESTS, 56), (CONSOLIDATION_REQUESTS, 96)])
    fee = rnd.choice([0, 1, 10])
    data = rnd.randbytes(size)
    return Draft(sender=sender, nonce=nonce, to=to, data=data, value=fee, gas=300_000)


def decoded(raw: bytes) -> Transaction | None:
    try:
        return decode_transaction(raw)
    except InvalidTransaction:
        return None


def drafts(rnd: random.Random, case: Case, block: int) -> list[bytes]:
    made = []
    for sender in range(PER_BLOCK):
        draft = random_draft(rnd, case, sender, block)
        if case.fork >= Fork.PRAGUE and sender % 3 == 0 and draft.type != SET_CODE:
            draft = requests(rnd, sender, block)
        made.append(encode(draft.with_(max_fee=10 * GWEI + draft.tip)))
    return made


def eels_block(eels: Eels, chain: Chain, block: Block) -> dict[str, Any]:
    header = block.header
    parent = chain.blocks[header.number - 1].header
    known = [ancestor.hash for ancestor in chain.blocks[: header.number]]
    environment = {
        "block_gas_limit": header.gas_limit,
        "block_hashes": known,
        "coinbase": header.coinbase,
        "number": header.number,
        "base_fee_per_gas": header.base_fee_per_gas,
        "time": header.timestamp,
        "prev_randao": header.mix_hash,
        "excess_blob_gas": header.excess_blob_gas,
        "parent_beacon_block_root": header.parent_beacon_block_root,
    }
    fork = chain.spec.schedule.fork(header.number, header.timestamp)
    rules = eels.ask(
        "header",
        fork=FORKS[fork],
        parent=parent.rlp,
        gas_limit=header.gas_limit,
        timestamp=header.timestamp,
    )
    found = eels.block(environment, [transaction.raw for transaction in block.transactions])
    assert not any(result["refused"] for result in found.pop("transactions"))
    found.pop("receipts")
    if fork < Fork.CANCUN:
        found.pop("blob_gas_used")
    return found | rules


@pytest.mark.parametrize("fork", MERGED, ids=lambda fork: fork.name)
@pytest.mark.parametrize("seed", range(3))
def test_blocks(eels: Eels, fork: Fork, seed: int) -> None:
    rnd = random.Random(seed)
    case = random_world(rnd, fork)
    rich = {
        address: replace(account, balance=1_000 * ETHER) if not account.code else account
        for address, account in case.alloc.items()
    }
    case = replace(case, alloc=rich)
    chain = Chain(case)
    assert eels.open(fork, CHAIN_ID, case.state()) == chain.blocks[0].header.state_root
    included = 0
    for number in range(BLOCKS):
        candidates = [decoded(raw) for raw in drafts(rnd, case, number)]
        wanted = [transaction for transaction in candidates if transaction is not None]
        built = run_deep(chain.extend, wanted)
        found = eels_block(eels, chain, built.block)
        assert found == {name: getattr(built.block.header, name) for name in found}
        included += len(built.receipts)
    assert included > BLOCKS
