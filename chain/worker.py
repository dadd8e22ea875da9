"""The processes that run EVM code: one executor, which alone writes the database, and readers.

``python -m chain.worker executor|reader --genesis FILE --datadir FOLDER`` speaks ``chain.frames``
on stdin and stdout. Requests are served one at a time in a thread with a deep stack. It ends
when its stdin does, so it never outlives a killed node; signals are left to the node.
"""

import argparse
import logging
import os
import queue
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Final

from chain.deep_stack import deep_thread
from chain.errors import StoreError
from chain.executor import Executor
from chain.frames import Answer, Hello, Request, failure_of, pack, read_frame
from chain.genesis_block import genesis_block
from chain.header import Header
from chain.log_format import FORMAT_VARIABLE, FORMATS, configure_logging
from chain.requests import AccessListResult, CallRequest, CallResult
from chain.store import ARCHIVE, Store
from genesis.spec import GenesisSpec, parse_genesis

EXIT_FAULT: Final = 70
STOP_SECONDS: Final = 5.0
"""To finish a write after the node has closed its end; less than the client's."""

_LOG = logging.getLogger("assay.worker")


class Reader:
    """Answers calls on read-only state.

    Args:
        spec: the genesis.
        store: open read-only.
    """

    def __init__(self, spec: GenesisSpec, store: Store) -> None:
        self._spec, self._store = spec, store

    def call(self, request: CallRequest) -> CallResult:
        """Run one call on the state after a block."""
        from chain.simulation import call

        header = self._header(request)
        return call(self._spec, header, self._store.source(header), request)

    def estimate_gas(self, request: CallRequest) -> int:
        """Least gas limit with which the call succeeds; raises CallFailed."""
        from chain.simulation import estimate_gas

        header = self._header(request)
        return estimate_gas(self._spec, header, self._store.source(header), request)

    def create_access_list(self, request: CallRequest) -> AccessListResult:
        """Addresses and slots that a call touches."""
        from chain.simulation import create_access_list

        header = self._header(request)
        return create_access_list(self._spec, header, self._store.source(header), request)

    def warm_up(self) -> None:
        """Load the EVM, so that the first call does not wait for it."""
        import chain.simulation  # noqa: F401

    def methods(self) -> dict[str, Callable[..., object]]:
        """What the node may ask."""
        return {
            "call": self.call,
            "estimate_gas": self.estimate_gas,
            "create_access_list": self.create_access_list,
            "warm_up": self.warm_up,
        }

    def _header(self, request: CallRequest) -> Header:
        header = self._store.header(request.block_hash)
        if header is None:
            raise StoreError(f"block 0x{request.block_hash.hex()} is not in the database")
        return header


class Desk:
    """Requests that wait, and whether one is being served; between the two threads."""

    def __init__(self) -> None:
        self.requests: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self.serving = ""

    def is_idle(self) -> bool:
        """Nothing is served or waits, but for the warm-up, which nobody misses."""
        return self.requests.empty() and self.serving in ("", "warm_up")


def serve(
    methods: Mapping[str, Callable[..., object]], desk: Desk, answer: Callable[[Answer], None]
) -> None:
    """Serve until None arrives; an unexpected error is answered, logged, and ends the process."""
    while (request := desk.requests.get()) is not None:
        desk.serving = request.method
        try:
            answer(Answer(request.id, methods[request.method](*request.arguments)))
        except BrokenPipeError:  # the node is gone; the other thread ends the process
            return
        except BaseException as error:  # the process entry: every failure becomes an answer
            failure = failure_of(error)
            if failure.kind == "fault":
                _LOG.critical("worker stops: %s", failure.reason, exc_info=error)
            answer(Answer(request.id, failure=failure))
            if failure.kind == "fault":
                logging.shutdown()
                os._exit(EXIT_FAULT)
        desk.serving = ""


def main(arguments: list[str]) -> int:
    """Entry of the process; returns its exit code."""
    options = _parse(arguments)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the node decides; it closes our stdin
    form = os.environ.get(FORMAT_VARIABLE)
    configure_logging(form if form in FORMATS else "text", logging.WARNING)
    if os.environ.get("PYTHONHASHSEED", "random") not in ("", "random"):
        _LOG.warning("PYTHONHASHSEED is fixed: senders can make this node slow; unset it")
    channel = _take_stdout()
    try:
        spec = parse_genesis(options.genesis.read_bytes())
        store = _open(spec, options)
    except Exception as error:  # the process entry: the node reports what prevents the start
        channel.write(pack(failure_of(error)))
        channel.flush()
        return 1
    channel.write(pack(Hello(store.genesis_hash(), store.head())))
    channel.flush()
    _serve_deep(spec, store, options, channel)
    return 0


def _open(spec: GenesisSpec, options: argparse.Namespace) -> Store:
    if options.role == "reader":
        os.nice(5)  # user calls never slow a block
        return Store(options.datadir / "chain", readonly=True)
    store = Store(options.datadir / "chain", history=options.history)
    block, nodes = genesis_block(spec)
    store.write_genesis(block, nodes)
    if store.history == ARCHIVE and store.oldest_state() > 0:
        _LOG.warning(
            "archive from now on: the states before block %d were given up and stay so",
            store.oldest_state(),
        )
    return store


def _serve_deep(
    spec: GenesisSpec, store: Store, options: argparse.Namespace, channel: IO[bytes]
) -> None:
    desk = Desk()

    def answer(message: Answer) -> None:
        channel.write(pack(message))
        channel.flush()

    def work() -> None:
        role: Executor | Reader
        if options.role == "reader":
            role = Reader(spec, store)
        else:
            role = Executor(spec, store, options.datadir / "divergence")
        serve(role.methods(), desk, answer)

    thread = deep_thread(work)
    while (message := read_frame(sys.stdin.buffer)) is not None:
        assert isinstance(message, Request)  # noqa: S101 - our own node wrote it
        desk.requests.put(message)
    if not desk.is_idle():
        desk.requests.put(None)
        thread.join(STOP_SECONDS)
    logging.shutdown()
    os._exit(0)  # a block is written whole or not at all, and nobody waits for the rest


def _take_stdout() -> IO[bytes]:
    """The pipe to the node; whatever prints goes to stderr instead."""
    channel = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return channel


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chain.worker")
    parser.add_argument("role", choices=("executor", "reader"))
    parser.add_argument("--genesis", type=Path, required=True)
    parser.add_argument("--datadir", type=Path, required=True)
    parser.add_argument("--history", type=int, help="states to keep; 0 for all")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
