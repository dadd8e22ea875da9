"""``assay bench gas --part evm``: seconds that 30 million gas take, at the worst of each kind.

One message burns all its gas in a loop of one family of opcodes, or in calls of one precompiled
contract with its worst input; the state root afterwards is part of the time.
"""

import time
from collections.abc import Iterator
from typing import Final

from chain.deep_stack import run_deep
from genesis.forks import Fork
from genesis.spec import Allocation
from tools.bench.messages import TARGET, message
from tools.bench.opcodes import Program, programs
from tools.bench.timing import Row
from tools.progress import StageProgress

BLOCK_GAS: Final = 30_000_000
OPCODE_SECONDS: Final = 6.0
PRECOMPILE_SECONDS: Final = 3.0


def run_evm_gas(progress: StageProgress, contains: str = "") -> Iterator[Row]:
    """Thread CPU time of each case, slowest first.

    Args:
        progress: told ``(text, done, total)``.
        contains: text that the names of cases must contain.
    """
    cases = [case for case in programs() if contains in f"{case.family}: {case.name}"]
    rows = []
    for index, case in enumerate(cases):
        progress(f"evm gas: {case.family}: {case.name}", index, len(cases))
        rows.append(run_deep(_row, case))
    progress("evm gas: done", len(cases), len(cases))
    yield from sorted(rows, key=lambda row: -row.ours)


def _row(case: Program) -> Row:
    accounts = {TARGET: Allocation(nonce=1, code=case.code, balance=10**18)}
    accounts |= {at: Allocation(nonce=1, code=code) for at, code in case.others.items()}
    run = message(accounts, case.calldata, BLOCK_GAS, Fork.OSAKA)
    start = time.thread_time()
    frame = run()
    seconds = (time.thread_time() - start) * BLOCK_GAS / (BLOCK_GAS - frame.gas)
    limit = PRECOMPILE_SECONDS if case.family == "precompiles" else OPCODE_SECONDS
    rule = f"rule: {limit:.0f} s per 30M gas"
    return Row(f"{case.family}: {case.name}", seconds, limit, rule, limit / seconds, "s")
