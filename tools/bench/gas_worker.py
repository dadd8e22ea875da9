"""Times every case of the gas bench in this process, for the processor that numba compiles for.

    python -m tools.bench.gas_worker [text that case names contain]

One JSON object a line: operator, name, gas, seconds (thread CPU time of one call, median of
rounds).
"""

import json
import sys
import time
from statistics import median
from typing import Final

import numpy as np

from precompiles.gas import gas_for
from precompiles.model.cost import cost_of
from precompiles.runner import plan_model, run_plan
from tools.bench.gas_cases import GasCase, cases

ROUNDS: Final = 5
SECONDS_PER_ROUND: Final = 0.002


def seconds_of(case: GasCase) -> float:
    """Thread CPU seconds of one call on random bytes."""
    plan = plan_model(case.model)
    data = np.random.default_rng(1).bytes(plan.cost.input_bytes_per_sample * case.batch)
    run_plan(plan, data, case.batch)
    start = time.thread_time_ns()
    run_plan(plan, data, case.batch)
    once = (time.thread_time_ns() - start) * 1e-9
    calls = max(1, int(SECONDS_PER_ROUND / max(once, 1e-7)))
    rounds = []
    for _ in range(ROUNDS):
        start = time.thread_time_ns()
        for _ in range(calls):
            run_plan(plan, data, case.batch)
        rounds.append((time.thread_time_ns() - start) * 1e-9 / calls)
    return median(rounds)


def main() -> None:
    """Measure and print."""
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    for case in cases():
        if wanted in case.name:
            gas = gas_for(cost_of(case.model), case.batch)
            record = {"operator": case.operator, "name": case.name, "gas": gas}
            print(json.dumps({**record, "seconds": seconds_of(case)}), flush=True)


if __name__ == "__main__":
    main()
