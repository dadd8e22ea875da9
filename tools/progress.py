"""Progress of long work: bars in a terminal, one plain line per stage in a pipe."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

StageProgress: TypeAlias = Callable[[str, int, int], None]
"""``(stage, done, total)``. ``"work: step"`` names a step of one piece of work: one bar for all."""


@contextmanager
def stages(*, hidden: bool = False) -> Iterator[StageProgress]:
    """Show stages on standard error while the block runs; ``hidden`` shows nothing."""
    console = Console(stderr=True)
    if hidden:
        yield lambda stage, done, total: None
    elif not console.is_terminal:
        yield _plain()
    else:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console, transient=True) as bars:
            yield _bars(bars)


def _plain() -> StageProgress:
    last = ""

    def report(stage: str, done: int, total: int) -> None:
        nonlocal last
        if stage != last and done < total:
            last = stage
            print(stage, file=sys.stderr, flush=True)

    return report


def _bars(bars: Progress) -> StageProgress:
    tasks: dict[str, TaskID] = {}

    def report(stage: str, done: int, total: int) -> None:
        work = stage.partition(":")[0]
        if work not in tasks or bars.tasks[tasks[work]].finished:
            tasks[work] = bars.add_task(stage, total=total)
        bars.update(tasks[work], description=stage, completed=done, total=total)

    return report
