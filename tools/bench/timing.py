"""Interleaved timing on a machine that others use too, and the rows that a benchmark prints.

One thread's CPU time, not the wall clock: another process on the core then costs neither side.
Candidates take turns within a round, so a slow second hits all of them; the median round counts.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Final

ROUNDS: Final = 9
SECONDS_PER_ROUND: Final = 0.02
"""CPU time of one candidate in one round, unless a single call takes longer."""

_FASTEST_NS: Final = 200


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison. ``ratio`` above 1 means that ours is better.

    Attributes:
        name: what was measured.
        ours, peer: in ``unit``; lower is better.
        peer_name: what it was compared with.
        ratio: ``peer / ours``.
        unit: of both figures.
    """

    name: str
    ours: float
    peer: float
    peer_name: str
    ratio: float
    unit: str


def compare(name: str, ours: float, peers: Mapping[str, float]) -> list[Row]:
    """Rows of one measurement in microseconds, one for each peer; arguments in seconds."""
    return [
        Row(name, ours * 1e6, seconds * 1e6, peer, seconds / ours, "us")
        for peer, seconds in peers.items()
    ]


def measure(
    candidates: Mapping[str, Callable[[], object]],
    rounds: int = ROUNDS,
    seconds: float = SECONDS_PER_ROUND,
) -> dict[str, float]:
    """Seconds of thread CPU time that one call of each candidate takes (median of rounds)."""
    calls = {name: _calls_for(run, seconds) for name, run in candidates.items()}
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, run in candidates.items():
            start = time.thread_time_ns()
            for _ in range(calls[name]):
                run()
            times[name].append((time.thread_time_ns() - start) / calls[name] * 1e-9)
    return {name: median(values) for name, values in times.items()}


def _calls_for(run: Callable[[], object], seconds: float) -> int:
    """How many calls fill ``seconds``; the first call is not counted (it warms up)."""
    run()
    single = []
    for _ in range(2):
        start = time.thread_time_ns()
        run()
        single.append(time.thread_time_ns() - start)
    return max(1, int(seconds * 1e9 / max(min(single), _FASTEST_NS)))
