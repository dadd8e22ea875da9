"""Async face of the worker processes. Imports no EVM: the node's event loop stays light."""

import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeVar

from chain.certificate import CommitCertificate
from chain.errors import CallFailed, ExecutorFault
from chain.frames import (
    LENGTH_BYTES,
    Answer,
    Failure,
    Hello,
    Request,
    error_of,
    pack,
    unpack,
)
from chain.requests import (
    AccessListResult,
    BlockAttributes,
    BlockVerdict,
    BuiltBlock,
    CallRequest,
    CallResult,
    Committed,
    InferenceCounts,
)

__all__ = ["CallFailed", "ExecutorClient", "ReaderClient", "WorkerProcess"]

STOP_SECONDS: Final = 6.0
"""A stopped node is gone within ten seconds."""
CALL_TIMEOUT_SECONDS: Final = 30.0
_LOG = logging.getLogger("assay.worker")
_Result = TypeVar("_Result")


class WorkerProcess:
    """One running worker; answers come in the order of the requests.

    Attributes:
        hello: genesis hash and head at its start.
        failed: done, with the ExecutorFault, as soon as the process is of no use any more.
    """

    def __init__(self, process: asyncio.subprocess.Process, hello: Hello) -> None:
        self.hello = hello
        self.failed: asyncio.Future[ExecutorFault] = asyncio.get_running_loop().create_future()
        self._process = process
        self._waiting: dict[int, asyncio.Future[object]] = {}
        self._next_id = 0
        self._closing = False
        self._listener = asyncio.create_task(self._listen(), name="worker answers")

    @classmethod
    async def start(
        cls, role: str, datadir: Path, genesis: Path, history: int | None = None
    ) -> "WorkerProcess":
        """Start a worker and wait until its database is open.

        Args:
            role: ``executor`` or ``reader``.
            datadir: the node's folder; the database is its ``chain`` folder.
            genesis: the genesis file.
            history: of an executor, states to keep as in ``chain.store.Store``.

        Raises:
            StoreError, GenesisError: what prevents the start, as the worker saw it.
            ExecutorFault: the process ended without a word.
        """
        process = await asyncio.create_subprocess_exec(
            *_command(role, datadir, genesis, history),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=_environment(),
            start_new_session=True,  # Ctrl-C reaches the node alone
        )
        hello = await _read(process)
        if isinstance(hello, Hello):
            return cls(process, hello)
        await process.wait()
        if isinstance(hello, Failure):
            raise error_of(hello)
        raise ExecutorFault(f"{role} process ended at its start with code {process.returncode}")

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    async def request(self, method: str, *arguments: object) -> object:
        """Ask and wait.

        Raises:
            ExecutorFault: the process is broken or gone; every later request raises it, too.
        """
        if self.failed.done():
            raise self.failed.result()
        self._next_id += 1
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._waiting[self._next_id] = future
        assert self._process.stdin is not None  # noqa: S101 - we asked for a pipe
        self._process.stdin.write(pack(Request(self._next_id, method, arguments)))
        try:
            return await future
        except asyncio.CancelledError:
            self._waiting.pop(self._next_id, None)
            raise

    async def close(self) -> None:
        """Let the worker finish what it does, and end it."""
        self._closing = True
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
        except TimeoutError:
            self.kill()
        await self._listener

    def kill(self) -> None:
        """End it at once; waiting requests raise ExecutorFault."""
        if self._process.returncode is None:
            self._process.kill()

    async def _listen(self) -> None:
        while (message := await _read(self._process)) is not None:
            assert isinstance(message, Answer)  # noqa: S101 - our own worker wrote it
            future = self._waiting.pop(message.id, None)
            if message.failure is not None and message.failure.kind == "fault":
                self._fail(message.failure.reason, future)
            elif future is None or future.done():
                continue
            elif message.failure is not None:
                future.set_exception(error_of(message.failure))
            else:
                future.set_result(message.value)
        code = await self._process.wait()
        self._fail(f"process {self.pid} ended with code {code}", None)

    def _fail(self, reason: str, first: asyncio.Future[object] | None) -> None:
        if not self.failed.done():
            self.failed.set_result(ExecutorFault(reason))
            if not self._closing:
                _LOG.critical("worker process failed: %s", reason)
        for future in (first, *self._waiting.values()):
            if future is not None and not future.done():
                future.set_exception(ExecutorFault(reason))
        self._waiting.clear()


class ExecutorClient:
    """The executor process. A broken one is never restarted: the node must stop.

    Attributes:
        hello: genesis hash and head when it started.
        failed: future that is done with the ExecutorFault once the executor is broken.
    """

    def __init__(self, process: WorkerProcess) -> None:
        self._process = process
        self.hello = process.hello
        self.failed = process.failed
        self._ready = asyncio.create_task(self._warm_up(), name="executor warm-up")

    @classmethod
    async def start(
        cls, datadir: Path, genesis_path: Path, history: int | None = None
    ) -> "ExecutorClient":
        """Start the process; its database is open and has the genesis block when this returns.

        The EVM and the kernels are loaded after that; blocks wait for it (``ready``).

        Args:
            datadir: the node's folder.
            genesis_path: the genesis file.
            history: states to keep as in ``chain.store.Store``.

        Raises:
            StoreError, GenesisError: what prevents the start.
        """
        return cls(await WorkerProcess.start("executor", datadir, genesis_path, history))

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    async def ready(self) -> None:
        """Wait until the EVM is loaded and the kernels have passed their self-test."""
        await asyncio.shield(self._ready)

    async def build(
        self, parent_hash: bytes, attributes: BlockAttributes, transactions: Sequence[bytes]
    ) -> BuiltBlock:
        """A block on top of a known parent.

        Args:
            parent_hash: of a final block.
            attributes: what the proposer decides.
            transactions: canonical encodings in the wanted order; what does not fit is left out.

        Raises:
            InvalidBlock: unknown parent, or attributes that no valid block can have.
            ExecutorFault: the executor is broken.
        """
        built = await self._process.request("build", parent_hash, attributes, list(transactions))
        return _expect(BuiltBlock, built)

    async def execute(self, block_rlp: bytes) -> BlockVerdict:
        """Check and execute a proposed block; bad ones give a verdict, not an error."""
        return _expect(BlockVerdict, await self._process.request("execute", block_rlp))

    async def finalize(self, block_hash: bytes, certificate: CommitCertificate | None) -> Committed:
        """Write a block that was built or executed; on disk when this returns.

        Raises:
            InvalidSeal: the certificate does not prove the block.
            StoreError: the block does not extend the head, or the disk is full.
            ExecutorFault: it was never executed here, or the executor is broken.
        """
        committed = await self._process.request("finalize", block_hash, certificate)
        return _expect(Committed, committed)

    async def inferences(self) -> InferenceCounts:
        """What was inferred since the start; waits behind the block being executed."""
        return _expect(InferenceCounts, await self._process.request("inferences"))

    async def close(self) -> None:
        """End the process after what it is doing."""
        await self._process.close()
        await asyncio.gather(self._ready, return_exceptions=True)

    async def _warm_up(self) -> None:
        await self._process.request("warm_up")


class ReaderClient:
    """Processes that run calls on final states; they start at the first call.

    A call that takes too long costs its process, which is replaced; the node goes on.
    """

    def __init__(
        self, datadir: Path, genesis: Path, processes: int, timeout_seconds: float
    ) -> None:
        self._datadir, self._genesis = datadir, genesis
        self._timeout = timeout_seconds
        self._idle: asyncio.Queue[WorkerProcess | None] = asyncio.Queue()  # None: start one
        for _ in range(processes):
            self._idle.put_nowait(None)
        self._running: set[WorkerProcess] = set()

    @classmethod
    async def start(
        cls,
        datadir: Path,
        genesis_path: Path,
        processes: int = 1,
        timeout_seconds: float = CALL_TIMEOUT_SECONDS,
    ) -> "ReaderClient":
        """Readers of a database that an executor has opened before.

        Args:
            datadir: the node's folder.
            genesis_path: the genesis file.
            processes: calls that may run at the same time, >= 1.
            timeout_seconds: of one call, its waiting time excluded.
        """
        return cls(datadir, genesis_path, processes, timeout_seconds)

    def pids(self) -> set[int]:
        """Ids of the processes that run, as far as is known yet."""
        return {process.pid for process in self._running if not process.failed.done()}

    async def warm_up(self) -> None:
        """Start a process now, so that the first call need not wait for it."""
        await self._ask("warm_up")

    async def call(self, request: CallRequest) -> CallResult:
        """Run ``eth_call``.

        Raises:
            CallFailed: ``execution aborted (timeout = 30s)``.
            InvalidTransaction: a request that no transaction could make.
            StoreError: the block is unknown.
            ExecutorFault: the reader broke; it is replaced.
        """
        return _expect(CallResult, await self._ask("call", request))

    async def estimate_gas(self, request: CallRequest) -> int:
        """Least gas limit that succeeds; raises as ``call``, and CallFailed on a revert."""
        return _expect(int, await self._ask("estimate_gas", request))

    async def create_access_list(self, request: CallRequest) -> AccessListResult:
        """Addresses and slots that the call touches; raises as ``call``."""
        return _expect(AccessListResult, await self._ask("create_access_list", request))

    async def close(self) -> None:
        """End every reader at once; waiting calls raise ExecutorFault."""
        running = list(self._running)
        for process in running:
            process.kill()
        await asyncio.gather(*[process.close() for process in running])

    async def _ask(self, method: str, *arguments: object) -> object:
        process = await self._idle.get()
        try:
            if process is None or process.failed.done():
                process = await self._start_one()
            return await asyncio.wait_for(process.request(method, *arguments), self._timeout)
        except (TimeoutError, asyncio.CancelledError) as error:
            if process is not None:
                await self._stop_one(process)
            if isinstance(error, asyncio.CancelledError):
                raise
            raise CallFailed(f"execution aborted (timeout = {self._timeout:g}s)") from None
        finally:
            self._running = {one for one in self._running if not one.failed.done()}
            self._idle.put_nowait(process if process in self._running else None)

    async def _start_one(self) -> WorkerProcess:
        process = await WorkerProcess.start("reader", self._datadir, self._genesis)
        self._running.add(process)
        return process

    async def _stop_one(self, process: WorkerProcess) -> None:
        self._running.discard(process)
        process.kill()
        await process.close()


def _command(role: str, datadir: Path, genesis: Path, history: int | None) -> list[str]:
    files = ["--genesis", str(genesis.absolute()), "--datadir", str(datadir.absolute())]
    states = [] if history is None else ["--history", str(history)]
    return [sys.executable, "-m", "chain.worker", role, *files, *states]


def _environment() -> dict[str, str]:
    """Ours, with this very copy of the program first on the import path.

    A model passes through several large blocks before it is planned. glibc keeps freed blocks of
    up to 32 MiB for itself unless it is told a fixed size above which they go back at once.
    """
    root = str(Path(__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    glibc = {"MALLOC_MMAP_THRESHOLD_": "1048576"}
    return {**glibc, **os.environ, "PYTHONPATH": path}


async def _read(process: asyncio.subprocess.Process) -> object | None:
    """Next message, None when the process closed its end."""
    assert process.stdout is not None  # noqa: S101 - we asked for a pipe
    try:
        prefix = await process.stdout.readexactly(LENGTH_BYTES)
        return unpack(await process.stdout.readexactly(int.from_bytes(prefix, "big")))
    except asyncio.IncompleteReadError:
        return None


def _expect(kind: type[_Result], value: object) -> _Result:
    if not isinstance(value, kind):
        raise ExecutorFault(f"worker answered {type(value).__name__}, want {kind.__name__}")
    return value
