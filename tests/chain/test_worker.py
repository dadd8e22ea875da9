"""Real worker processes over real pipes."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from chain.blocks import Block, decode_block
from chain.certificate import CommitCertificate
from chain.errors import ExecutorFault, InvalidBlock, InvalidSeal, StoreError
from chain.extra_data import chain_extra_data
from chain.head_feed import HeadFeed
from chain.header import Header
from chain.receipts import decode_receipt
from chain.requests import BlockAttributes, BlockVerdict, BuiltBlock, Committed
from chain.store import Store
from chain.validation import next_mix_hash
from chain.worker_client import ExecutorClient, WorkerProcess
from genesis.spec import GenesisError, format_genesis
from tests.chain import records

ROOT = Path(__file__).parents[2]


@pytest.fixture
def genesis(tmp_path: Path) -> Path:
    file = tmp_path / "genesis.json"
    file.write_text(format_genesis(records.spec(timestamp=1_700_000_000)))
    return file


@asynccontextmanager
async def executor(datadir: Path, genesis: Path) -> AsyncIterator[ExecutorClient]:
    client = await ExecutorClient.start(datadir, genesis)
    try:
        yield client
    finally:
        await client.close()


def attributes(parent: Header) -> BlockAttributes:
    return BlockAttributes(
        timestamp=parent.timestamp + 1,
        coinbase=records.account(0),
        mix_hash=next_mix_hash(parent),
        extra_data=chain_extra_data(b"test"),
        gas_limit=parent.gas_limit,
    )


async def build(client: ExecutorClient, parent: Header, *raws: bytes) -> BuiltBlock:
    return await client.build(parent.hash, attributes(parent), raws)


async def commit(client: ExecutorClient, built: BuiltBlock, round: int = 0) -> Committed:
    header = decode_block(built.block_rlp).header
    return await client.finalize(built.hash, records.certificate(header, [0, 1, 2], round))


def read_json(file: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(file).read_text())
    return content


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        await asyncio.wait_for(main(), 60)

    asyncio.run(limited())


def test_two_executors_agree_and_restart_where_they_stopped(tmp_path: Path, genesis: Path) -> None:
    async def main() -> None:
        async with executor(tmp_path / "a", genesis) as a, executor(tmp_path / "b", genesis) as b:
            assert a.hello == b.hello
            head = a.hello.head
            for height in range(2):
                raws = [records.signed(sender, nonce=height) for sender in range(5)]
                bad = records.signed(0, nonce=0, value=2)  # used up from height 1 on
                gap = records.signed(1, nonce=9)
                built = await build(a, head, *raws, b"\x05junk", bad, gap)
                assert built.gas_used == 5 * 21_000
                reasons = [reason for _, reason in built.rejected]
                assert reasons[0].startswith("transaction type not supported")
                assert reasons[1].startswith("nonce too low")
                assert len(reasons) == 2  # the gap may be mined later
                assert await b.execute(built.block_rlp) == BlockVerdict(valid=True)
                assert await b.execute(built.block_rlp) == BlockVerdict(valid=True)  # known now
                committed = await commit(a, built)
                assert await commit(b, built, round=3) == committed
                assert await commit(b, built) == committed  # again: nothing happens
                assert [tx.raw for tx in committed.transactions] == raws
                assert [receipt.status for receipt in committed.receipts] == [1] * 5
                head = committed.header
            with Store(tmp_path / "b" / "chain", readonly=True) as store:
                assert store.head() == head
                assert store.state(head).account(records.account(1)).nonce == 2
                found = store.certificate(head.hash)
                assert found is not None
                assert found.round == 3
        async with executor(tmp_path / "a", genesis) as again:
            assert again.hello.head == head

    run(main)


def test_bad_blocks_give_a_verdict(tmp_path: Path, genesis: Path) -> None:
    async def main() -> None:
        async with executor(tmp_path / "a", genesis) as client:
            head = client.hello.head
            built = await build(client, head, records.signed(0), records.signed(1))
            block = decode_block(built.block_rlp)
            forged = Block(replace(block.header, state_root=b"\1" * 32), block.transactions)
            verdict = await client.execute(forged.rlp)
            assert not verdict.valid
            assert verdict.reason == (
                f"state_root: declared 0x{'01' * 32}, computed 0x{block.header.state_root.hex()}"
            )
            evidence = read_json(verdict.evidence)
            assert evidence["reason"] == verdict.reason
            assert evidence["block"] == "0x" + forged.rlp.hex()
            receipts = [bytes.fromhex(text[2:]) for text in evidence["ownReceipts"]]
            assert [decode_receipt(one).cumulative_gas_used for one in receipts] == [21_000, 42_000]
            for encoded, text in [
                (b"junk", "block: expected a list"),
                (built.block_rlp[:-1], "block: truncated"),
                (
                    Block(replace(block.header, parent_hash=bytes(32)), ()).rlp,
                    "unknown parent 0x00",
                ),
                (
                    Block(replace(block.header, number=9), block.transactions).rlp,
                    "number 9, want 1",
                ),
                (Block(block.header, block.transactions[:1]).rlp, "transactions_root: declared"),
                (Block(replace(block.header, gas_limit=1), ()).rlp, "gas_used 42000 exceeds"),
            ]:
                verdict = await client.execute(encoded)
                assert not verdict.valid
                assert text in verdict.reason
            assert (await client.execute(built.block_rlp)).valid  # still alive and well

    run(main)


def test_build_with_bad_attributes(tmp_path: Path, genesis: Path) -> None:
    async def main() -> None:
        async with executor(tmp_path / "a", genesis) as client:
            head = client.hello.head
            with pytest.raises(InvalidBlock, match="unknown parent 0x0707"):
                await client.build(b"\7" * 32, attributes(head), [])
            with pytest.raises(InvalidBlock, match="timestamp"):
                await client.build(head.hash, replace(attributes(head), timestamp=5), [])

    run(main)


def test_only_a_quorum_finalises(tmp_path: Path, genesis: Path) -> None:
    async def main() -> None:
        async with executor(tmp_path / "a", genesis) as client:
            built = await build(client, client.hello.head)
            header = decode_block(built.block_rlp).header
            for certificate, text in [
                (records.certificate(header, [0, 1]), "2 seals, want 3 of 4"),
                (records.certificate(header, [0, 1, 9]), "who is no validator"),
                (
                    CommitCertificate(1, records.certificate(header, [0, 1, 2]).seals),
                    "no validator",
                ),
            ]:
                with pytest.raises(InvalidSeal, match=text):
                    await client.finalize(built.hash, certificate)
            assert (await commit(client, built)).header == header

    run(main)


def test_finalising_what_was_never_executed_breaks_the_executor(
    tmp_path: Path, genesis: Path
) -> None:
    async def main() -> None:
        client = await ExecutorClient.start(tmp_path / "a", genesis)
        await client.ready()
        with pytest.raises(ExecutorFault, match="was not executed here"):
            await client.finalize(b"\7" * 32, None)
        assert "was not executed here" in str(await client.failed)
        with pytest.raises(ExecutorFault):
            await build(client, client.hello.head)
        await client.close()

    run(main)


def test_kill_9_of_the_executor_is_a_fault_at_once(tmp_path: Path, genesis: Path) -> None:
    async def main() -> None:
        client = await ExecutorClient.start(tmp_path / "a", genesis)
        waiting = asyncio.create_task(build(client, client.hello.head))
        await asyncio.sleep(0)
        os.kill(client.pid, signal.SIGKILL)
        with pytest.raises(ExecutorFault, match="ended with code -9"):
            await waiting
        assert isinstance(await client.failed, ExecutorFault)
        await client.close()

    run(main)


def test_signals_of_the_terminal_do_not_reach_it(tmp_path: Path, genesis: Path) -> None:
    async def main() -> None:
        async with executor(tmp_path / "a", genesis) as client:
            assert os.getpgid(client.pid) != os.getpgid(0)
            os.kill(client.pid, signal.SIGINT)
            os.kill(client.pid, signal.SIGTERM)
            assert (await build(client, client.hello.head)).gas_used == 0

    run(main)


@pytest.mark.parametrize(
    ("text", "error", "match"),
    [
        ("{", GenesisError, "genesis"),
        (None, StoreError, "belongs to the chain with genesis"),
    ],
)
def test_what_prevents_the_start_is_told(
    tmp_path: Path, genesis: Path, text: str | None, error: type[Exception], match: str
) -> None:
    async def main() -> None:
        with pytest.raises(error, match=match):
            await ExecutorClient.start(tmp_path / "a", genesis)

    async def start_once() -> None:
        async with executor(tmp_path / "a", genesis):
            pass

    run(start_once)
    genesis.write_text(text or format_genesis(records.spec(timestamp=1_700_000_001)))
    run(main)


def test_one_writer_per_folder(tmp_path: Path, genesis: Path) -> None:
    async def main() -> None:
        async with executor(tmp_path / "a", genesis) as first:
            with pytest.raises(
                StoreError, match=rf"in use by another node \(process {first.pid}\)"
            ):
                await ExecutorClient.start(tmp_path / "a", genesis)

    run(main)


def test_reader_without_a_database(tmp_path: Path, genesis: Path) -> None:
    async def main() -> None:
        with pytest.raises(StoreError, match="no chain database"):
            await WorkerProcess.start("reader", tmp_path / "absent", genesis)

    run(main)


NODE = """
import asyncio, sys
from pathlib import Path
from chain.worker_client import ExecutorClient

async def main():
    client = await ExecutorClient.start(Path(sys.argv[1]), Path(sys.argv[2]))
    print(client.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def test_no_orphan_after_kill_9_of_the_node(tmp_path: Path, genesis: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", NODE, str(tmp_path / "a"), str(genesis)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as node:
        assert node.stdout is not None
        worker = int(node.stdout.readline())
        node.kill()
    for _ in range(200):
        if not psutil.pid_exists(worker) or psutil.Process(worker).status() == "zombie":
            return
        time.sleep(0.1)
    os.kill(worker, signal.SIGKILL)
    pytest.fail("the executor outlived its node")


DIFFERENT = """
import precompiles.selftest
precompiles.selftest.KERNEL_DIGEST = "00" * 32
"""


def test_an_executor_whose_arithmetic_differs_stops_before_it_executes(
    tmp_path: Path, genesis: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(DIFFERENT)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    async def main() -> None:
        client = await ExecutorClient.start(tmp_path / "a", genesis)
        with pytest.raises(
            ExecutorFault, match=r"kernel self-test: digest [0-9a-f]{64}, expected 0"
        ):
            await build(client, client.hello.head)
        with pytest.raises(ExecutorFault, match="kernel self-test"):
            await client.ready()
        assert "kernel self-test" in str(await client.failed)
        await client.close()

    run(main)


def test_the_node_process_stays_light() -> None:
    modules = (
        "worker_client mempool store head_feed proof seals requests fees genesis_block validation"
    )
    script = (
        f"import sys, {', '.join('chain.' + name for name in modules.split())}\n"
        "heavy = ('eth', 'numba', 'onnx', 'aiohttp', 'trie', 'numpy')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_head_feed() -> None:
    async def main() -> None:
        feed = HeadFeed()
        early, slow = feed.follow(), feed.follow(capacity=2)
        blocks = [Committed(records.header(number=number), (), ()) for number in range(5)]
        for committed in blocks[:3]:
            feed.publish(committed)
        late = feed.follow()
        for committed in blocks[3:]:
            feed.publish(committed)
        assert feed.latest == blocks[4]
        waiting = asyncio.create_task(anext(feed.follow()))
        await asyncio.sleep(0)
        feed.publish(blocks[0])
        assert await waiting == blocks[0]
        feed.close()
        assert [committed async for committed in early] == [*blocks, blocks[0]]
        assert [committed async for committed in late] == [*blocks[3:], blocks[0]]
        assert [committed async for committed in slow] == [blocks[4], blocks[0]]  # oldest dropped

    run(main)
