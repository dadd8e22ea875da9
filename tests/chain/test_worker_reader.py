"""Reader processes beside a real executor."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from chain.errors import CallFailed, ExecutorFault, InvalidTransaction, StoreError
from chain.requests import CallRequest, CallResult, StateOverride
from chain.worker_client import ExecutorClient, ReaderClient
from genesis.spec import format_genesis
from tests.chain import records

CONTRACT = b"\xcc" * 20
CALLER_BALANCE = bytes.fromhex("333160005260206000f3")  # return caller's balance
REVERTS = bytes.fromhex("63deadbeef60e01b60005260046000fd")
LOOPS = bytes.fromhex("5b600056")


@pytest.fixture
def genesis(tmp_path: Path) -> Path:
    file = tmp_path / "genesis.json"
    spec = replace(records.spec(timestamp=1_700_000_000), gas_limit=1 << 40)  # LOOPS never ends
    file.write_text(format_genesis(spec))
    return file


@asynccontextmanager
async def chain(
    folder: Path, genesis: Path, seconds: float = 30, processes: int = 1
) -> AsyncIterator[tuple[bytes, ReaderClient]]:
    executor = await ExecutorClient.start(folder, genesis)
    reader = await ReaderClient.start(folder, genesis, processes, seconds)
    try:
        yield executor.hello.genesis_hash, reader
    finally:
        await reader.close()
        await executor.close()


def request(block_hash: bytes, code: bytes = CALLER_BALANCE) -> CallRequest:
    return CallRequest(
        block_hash=block_hash,
        sender=records.account(3),
        to=CONTRACT,
        state_overrides={CONTRACT: StateOverride(code=code)},
    )


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        await asyncio.wait_for(main(), 60)

    asyncio.run(limited())


def balance_of(result: CallResult) -> int:
    assert result.error is None
    return int.from_bytes(result.output, "big")


def test_calls_and_estimates(tmp_path: Path, genesis: Path) -> None:
    async def main() -> None:
        async with chain(tmp_path / "a", genesis) as (head, reader):
            await reader.warm_up()
            assert balance_of(await reader.call(request(head))) == 1_000 * records.ETHER
            assert 21_000 < await reader.estimate_gas(request(head)) < 25_000
            reverted = await reader.call(request(head, REVERTS))
            assert (reverted.error, reverted.output) == ("revert", bytes.fromhex("deadbeef"))
            with pytest.raises(CallFailed, match="revert") as failure:
                await reader.estimate_gas(request(head, REVERTS))
            assert failure.value.output == bytes.fromhex("deadbeef")
            with pytest.raises(StoreError, match=r"block 0x0707.* is not in the database"):
                await reader.call(request(b"\7" * 32))
            with pytest.raises(InvalidTransaction, match="insufficient funds"):
                await reader.call(CallRequest(head, b"\1" * 20, CONTRACT, value=5))
            assert balance_of(await reader.call(request(head))) == 1_000 * records.ETHER

    run(main)


def test_a_call_that_takes_too_long_costs_only_itself(tmp_path: Path, genesis: Path) -> None:
    async def main() -> None:
        async with chain(tmp_path / "a", genesis, seconds=2) as (head, reader):
            await reader.warm_up()
            endless = asyncio.create_task(reader.call(request(head, LOOPS)))
            waiting = asyncio.create_task(reader.call(request(head)))
            with pytest.raises(CallFailed, match=r"execution aborted \(timeout = 2s\)"):
                await endless
            assert balance_of(await waiting) == 1_000 * records.ETHER

    run(main)


def test_calls_run_side_by_side_and_a_killed_reader_is_replaced(
    tmp_path: Path, genesis: Path
) -> None:
    async def main() -> None:
        async with chain(tmp_path / "a", genesis, processes=2) as (head, reader):
            results = await asyncio.gather(*[reader.call(request(head)) for _ in range(8)])
            assert {balance_of(result) for result in results} == {1_000 * records.ETHER}
            pids = reader.pids()
            assert len(pids) == 2
            endless = asyncio.create_task(reader.call(request(head, LOOPS)))
            await asyncio.sleep(0.2)
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            with pytest.raises(ExecutorFault, match="ended with code -9"):
                await endless
            while pids & reader.pids():  # noqa: ASYNC110 - the idle one: no event tells it
                await asyncio.sleep(0.01)
            results = await asyncio.gather(*[reader.call(request(head)) for _ in range(4)])
            assert {balance_of(result) for result in results} == {1_000 * records.ETHER}
            assert not pids & reader.pids()

    run(main)


def test_cancelled_call_frees_its_reader(tmp_path: Path, genesis: Path) -> None:
    async def main() -> None:
        async with chain(tmp_path / "a", genesis) as (head, reader):
            await reader.warm_up()
            gone = asyncio.create_task(reader.call(request(head, LOOPS)))
            await asyncio.sleep(0.2)
            gone.cancel()
            with pytest.raises(asyncio.CancelledError):
                await gone
            assert balance_of(await reader.call(request(head))) == 1_000 * records.ETHER

    run(main)
