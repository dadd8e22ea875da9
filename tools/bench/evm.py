"""``assay bench evm``: messages and block imports beside stock py-evm, and anvil as far anchor.

Gas and output of every message and the hash of every block must be the same on both sides, or the
benchmark fails. Messages are thread CPU time; imports are wall time, ours with the database on disk
(one synchronous write per block), stock's in memory.
"""

import logging
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Final

from chain.deep_stack import run_deep
from chain.errors import ExecutorFault
from genesis.spec import format_genesis
from tools.bench.anvil import anvil_path, mining_time
from tools.bench.imports import IMPORTS, BlockLine, ImportCase, Importer
from tools.bench.messages import CALLER, TARGET, WORKLOADS, Workload, bench_code, message, succeed
from tools.bench.stock_evm import PEER, StockImporter, stock_chain, stock_message
from tools.bench.timing import Row, compare, measure
from tools.progress import StageProgress

_GAS: Final = 500_000_000
_ROUNDS: Final = 5


def run_evm(progress: StageProgress, anvil: str | None = None) -> Iterator[Row]:
    """Every comparison.

    Args:
        progress: told ``(text, done, total)``.
        anvil: its program, or None to look for one on the PATH; skipped when there is none.
    """
    logging.getLogger("eth").setLevel(logging.CRITICAL)
    total = len(WORKLOADS) + len(IMPORTS)
    for index, workload in enumerate(WORKLOADS):
        progress(f"evm: {workload.name}", index, total)
        yield from run_deep(_message_rows, workload)
    program = anvil_path(anvil)
    for index, case in enumerate(IMPORTS, len(WORKLOADS)):
        progress(f"evm: {case.name}", index, total)
        yield from run_deep(_import_rows, case, program)
    progress("evm: done", total, total)


def _message_rows(workload: Workload) -> list[Row]:
    code = bench_code("Bench")
    line = BlockLine({TARGET: code})
    ours = message(line.spec.alloc, workload.calldata, _GAS)
    stock = stock_message(
        stock_chain(line.spec, line.genesis), CALLER, TARGET, code, workload.calldata, _GAS
    )
    frame = succeed(ours())
    if (_GAS - frame.gas, frame.output) != stock():
        raise ExecutorFault(f"{workload.name}: gas or output differ from {PEER}")
    times = measure({"ours": ours, PEER: stock}, _ROUNDS, 0.2)
    return compare(workload.name, times["ours"], {PEER: times[PEER]})


def _import_rows(case: ImportCase, anvil: Path | None) -> list[Row]:
    line = BlockLine({}, case)
    ours: list[float] = []
    stock: list[float] = []
    for _ in range(_ROUNDS):
        with tempfile.TemporaryDirectory() as folder, Importer(line.spec, Path(folder)) as target:
            ours.append(median(_timed(target, line.blocks)))
        peer = StockImporter(line.spec, line.genesis)
        stock.append(median(_timed(peer, line.blocks)))
        if peer.head != line.head:
            raise ExecutorFault(f"{case.name}: {PEER} has another head")
    peers = {PEER: median(stock)}
    if anvil is not None:
        peers["anvil, mining"] = mining_time(
            anvil, format_genesis(line.spec), line.spec.gas_limit, line.transactions
        )
    return compare(case.name, median(ours), peers)


def _timed(run: Callable[[bytes], object], blocks: list[bytes]) -> list[float]:
    times = []
    for encoded in blocks:
        start = time.perf_counter()
        run(encoded)
        times.append(time.perf_counter() - start)
    return times
