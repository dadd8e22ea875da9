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
from precompiles.model.checks import NUMPY_TYPES
from precompiles.model.cost import cost_of
from precompiles.runner import plan_model, run_plan
from tools.bench.gas_cases import GasCase, cases

ROUNDS: Final = 5
SECONDS_PER_ROUND: Final = 0.002


def bytes_of(case: GasCase) -> bytes:
    """Random input; for the largest of a row rising numbers, each of which sinks to the bottom."""
    kind = case.model.type_of(case.model.inputs[0].value)
    if case.operator == "TopK":
        rising = np.arange(kind.elements * case.batch) % (1 << min(8 * kind.dtype.size - 1, 62))
        return rising.astype(NUMPY_TYPES[kind.dtype]).tobytes()
    size = cost_of(case.model).input_bytes_per_sample * case.batch
    return np.random.default_rng(1).bytes(size)


def seconds_of(case: GasCase) -> float:
    """Thread CPU seconds of one call."""
    plan, data = plan_model(case.model), bytes_of(case)
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
    for case in cases(wanted):
        gas = gas_for(cost_of(case.model), case.batch)
        record = {"operator": case.operator, "name": case.name, "gas": gas}
        print(json.dumps({**record, "seconds": seconds_of(case)}), flush=True)


if __name__ == "__main__":
    main()
