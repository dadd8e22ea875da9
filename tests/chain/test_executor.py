"""The executor in this process: competing proposals, one cache, few states."""

import gc
import random
from pathlib import Path

from chain.blocks import decode_block
from chain.executor import Executor, collection_paused
from chain.extra_data import chain_extra_data
from chain.genesis_block import genesis_block
from chain.header import Header
from chain.requests import BlockAttributes
from chain.store import Store
from chain.store_check import check_store
from chain.validation import next_mix_hash
from tests.chain import records

HISTORY = 3


def attributes(parent: Header, seconds: int) -> BlockAttributes:
    return BlockAttributes(
        timestamp=parent.timestamp + seconds,
        coinbase=records.account(0),
        mix_hash=next_mix_hash(parent),
        extra_data=chain_extra_data(b"test"),
        gas_limit=parent.gas_limit,
    )


def test_proposals_that_lose_leave_nothing(tmp_path: Path) -> None:
    """At each height two proposals that differ in their transfers; any of them wins."""
    chance = random.Random(4)
    spec = records.spec(timestamp=1_700_000_000)
    with Store(tmp_path, history=HISTORY) as store:
        store.write_genesis(*genesis_block(spec))
        executor = Executor(spec, store, tmp_path / "divergence")
        for height in range(12):
            parent = store.head()
            proposals = []
            for seconds in (1, 2):
                raws = [
                    records.signed(
                        sender, nonce=height, to=bytes((chance.randrange(4), *bytes(19)))
                    )
                    for sender in range(seconds + 1, 5)
                ]
                raws += [records.signed(sender, nonce=height) for sender in range(seconds + 1)]
                proposals.append(executor.build(parent.hash, attributes(parent, seconds), raws))
            chance.shuffle(proposals)
            header = decode_block(proposals[0].block_rlp).header
            executor.finalize(header.hash, records.certificate(header, [0, 1, 2]))
            assert store.head().hash == header.hash
        report = check_store(store, spec)
        assert report.problems == ()
        assert (report.head, report.oldest_state) == (12, 13 - HISTORY)


def test_a_block_on_an_old_parent_is_refused(tmp_path: Path) -> None:
    """Its state is gone; that is the proposer's fault, not this node's."""
    spec = records.spec(timestamp=1_700_000_000)
    with Store(tmp_path, history=1) as store:
        store.write_genesis(*genesis_block(spec))
        executor = Executor(spec, store, tmp_path / "divergence")
        genesis = store.head()
        late = executor.build(genesis.hash, attributes(genesis, 9), [records.signed(0)])
        for _ in range(2):
            head = store.head()
            built = executor.build(head.hash, attributes(head, 1), [])
            header = decode_block(built.block_rlp).header
            executor.finalize(header.hash, records.certificate(header, [0, 1, 2]))
        again = Executor(spec, store, tmp_path / "divergence")  # remembers no block
        verdict = again.execute(late.block_rlp)
        assert not verdict.valid
        assert "block 0 is older than the last 1 states" in verdict.reason


def test_no_collection_inside_a_block() -> None:
    assert gc.isenabled()
    with collection_paused():
        assert not gc.isenabled()
        with collection_paused():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
