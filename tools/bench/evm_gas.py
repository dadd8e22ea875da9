"""``assay bench gas --part opcodes``: seconds that 30 million gas of one kind of opcode take.

One message burns all its gas in a loop; the state root afterwards is part of the time.
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
RULE_SECONDS: Final = 6.0


def run_opcodes_bench(progress: StageProgress, contains: str = "") -> Iterator[Row]:
    """Thread CPU time of each case, slowest first.

    Args:
        progress: told ``(text, done, total)``.
        contains: text that the names of cases must contain.
    """
    cases = [case for case in programs() if contains in f"{case.family}: {case.name}"]
    rows = []
    for index, case in enumerate(cases):
        progress(f"opcodes: {case.family}: {case.name}", index, len(cases))
        rows.append(run_deep(_row, case))
    progress("opcodes: done", len(cases), len(cases))
    yield from sorted(rows, key=lambda row: -row.ours)


def _row(case: Program) -> Row:
    accounts = {TARGET: Allocation(nonce=1, code=case.code, balance=10**18)}
    accounts |= {at: Allocation(nonce=1, code=code) for at, code in case.others.items()}
    run = message(accounts, case.calldata, BLOCK_GAS, Fork.OSAKA)
    start = time.thread_time()
    frame = run()
    seconds = (time.thread_time() - start) * BLOCK_GAS / (BLOCK_GAS - frame.gas)
    rule = f"rule: {RULE_SECONDS:.0f} s per 30M gas"
    name = f"{case.family}: {case.name}"
    return Row(name, seconds, RULE_SECONDS, rule, RULE_SECONDS / seconds, "s")
