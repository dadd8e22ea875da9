"""The options that say how many states a database keeps: geth's names."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., Any])


def history_options(command: _Command) -> _Command:
    """``--gcmode`` and ``--history.state``; read them with ``history_of``."""
    command = click.option(
        "--history.state",
        "history_state",
        type=click.IntRange(0),
        help="Newest states to keep, 0 for all.  [default: as before in this folder; new: 128]",
    )(command)
    return click.option(
        "--gcmode",
        type=click.Choice(["full", "archive"]),
        help="archive keeps every state, full the newest (--history.state).",
    )(command)


def history_of(gcmode: str | None, history_state: int | None) -> int | None:
    """What ``chain.store.Store`` takes as ``history``.

    Raises:
        click.UsageError: the two options contradict each other.
    """
    from chain.store import ARCHIVE, DEFAULT_HISTORY

    if gcmode == "archive":
        if history_state:
            raise click.UsageError(
                f"--gcmode archive keeps every state, --history.state {history_state} does not"
            )
        return ARCHIVE
    if gcmode == "full":
        if history_state == ARCHIVE:
            raise click.UsageError("--history.state 0 keeps every state, --gcmode full does not")
        return history_state or DEFAULT_HISTORY
    return history_state
