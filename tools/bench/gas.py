"""``assay bench gas``: seconds that 30 million gas of each operator take, at its worst shape.

The rule is one second on one core of the slow class. That class is measured in processes of their
own whose kernels are compiled for ``x86-64-v3`` (AVX2 without dot products) and for ``generic``
(SSE2).
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from tools.bench.timing import Row

RULE_GAS: Final = 30_000_000
RULE_SECONDS: Final = 1.0
MOST_RATIO: Final = 8.0
"""Seconds per 30M gas of the worst operator over the median operator."""

TARGETS: Final[Mapping[str, Mapping[str, str]]] = {
    "host": {},
    "x86-64-v3": {"NUMBA_CPU_NAME": "x86-64-v3", "NUMBA_CPU_FEATURES": ""},
    "generic": {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""},
}


@dataclass(frozen=True, slots=True)
class Measured:
    """One case on one target; ``rate`` is seconds per 30 million gas."""

    target: str
    operator: str
    name: str
    rate: float


Progress = Callable[[str, int, int], None]


def run_gas_bench(
    progress: Progress, targets: Sequence[str] = tuple(TARGETS), contains: str = ""
) -> Iterator[Row]:
    """Worst rate of each operator on each target, then worst over median.

    Args:
        progress: told ``(text, done, total)``.
        targets: of ``TARGETS``.
        contains: text that the names of cases must contain; all by default.
    """
    for target in targets:
        found = list(measure_target(target, progress, contains))
        worst = worst_of(found)
        for item in worst:
            yield _row(f"{item.operator} on {target} ({item.name})", item.rate)
        if worst:
            middle = median(item.rate for item in worst)
            top = worst[0].rate / middle
            name = f"worst operator over median on {target} ({worst[0].operator})"
            yield Row(name, top, MOST_RATIO, "most", MOST_RATIO / top, "x")


def measure_target(target: str, progress: Progress, contains: str = "") -> Iterator[Measured]:
    """Every case, in a process that compiles for the target."""
    from tools.bench.gas_cases import cases

    total = sum(1 for _ in cases(contains))
    kept = {key: value for key, value in os.environ.items() if not key.startswith("NUMBA_")}
    command = [sys.executable, "-m", "tools.bench.gas_worker", contains]
    environment = {**kept, **TARGETS[target]}
    with subprocess.Popen(  # noqa: S603 - this interpreter and our own module
        command, env=environment, stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout is not None  # noqa: S101 - a pipe was asked for
        for done, line in enumerate(worker.stdout):
            item = json.loads(line)
            progress(f"gas on {target}", done, total)
            rate = item["seconds"] / item["gas"] * RULE_GAS
            yield Measured(target, item["operator"], item["name"], rate)
    if worker.returncode:
        raise subprocess.CalledProcessError(worker.returncode, command)


def worst_of(found: Sequence[Measured]) -> list[Measured]:
    """The worst case of each operator, worst operator first."""
    worst: dict[str, Measured] = {}
    for item in found:
        if item.operator not in worst or item.rate > worst[item.operator].rate:
            worst[item.operator] = item
    return sorted(worst.values(), key=lambda item: -item.rate)


def _row(name: str, rate: float) -> Row:
    return Row(name, rate, RULE_SECONDS, "rule: 1 s per 30M gas", RULE_SECONDS / rate, "s")
