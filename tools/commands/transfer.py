"""``assay import`` and ``assay export``: blocks from and to a file."""

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from tools.commands.history import history_of, history_options

if TYPE_CHECKING:
    from tools.transfer import Progress, Tally

EXISTING = click.Path(path_type=Path, dir_okay=False, exists=True)
FOLDER = click.Path(path_type=Path, file_okay=False)
_LINE_SECONDS: Final = 8.0
_INTERRUPTED: Final = 130


@click.command(name="import")
@click.argument("files", type=EXISTING, nargs=-1, required=True)
@click.option("--genesis", type=EXISTING, required=True, help="Genesis file, Assay's or geth's.")
@click.option("--datadir", type=FOLDER, required=True, help="Folder of the node.")
@history_options
@click.option("--reference", is_flag=True, help="Run each block through stock py-evm, too (slow).")
def import_(
    files: tuple[Path, ...],
    genesis: Path,
    datadir: Path,
    gcmode: str | None,
    history_state: int | None,
    reference: bool,
) -> None:
    """Import RLP blocks from FILES (plain or .gz), as geth exports them.

    Blocks that the chain has are skipped, so an import that was stopped goes on. It ends at the
    first block that is not valid; what came before is kept.

    Example: assay import --genesis genesis.json --datadir D chain.rlp
    """
    from chain.deep_stack import run_deep
    from chain.genesis_block import genesis_block
    from chain.store import ARCHIVE, Store
    from genesis.spec import parse_genesis
    from tools.transfer import import_files

    spec = parse_genesis(genesis.read_bytes())
    with Store(datadir / "chain", history=history_of(gcmode, history_state)) as store:
        store.write_genesis(*genesis_block(spec))
        if store.history == ARCHIVE and store.oldest_state():
            click.echo(f"Archive from now on; states before block {store.oldest_state()} are gone.")
        size = sum(file.stat().st_size for file in files)
        with _stop_on_signal() as stop, _progress(size) as progress:
            tally = run_deep(
                lambda: import_files(
                    spec,
                    store,
                    files,
                    reference=reference,
                    progress=progress,
                    stopped=stop.is_set,
                )
            )
    known = f", {tally.skipped} were here" if tally.skipped else ""
    click.echo(
        f"Imported {tally.blocks} blocks with {tally.transactions} transactions and "
        f"{tally.gas / 1e6:.1f} Mgas in {tally.seconds:.1f} s ({tally.speed()}){known}."
    )
    click.echo(f"Head: block {tally.head.number} 0x{tally.head.hash.hex()}")
    if stop.is_set():
        click.echo("Stopped; the same command goes on from here.", err=True)
        sys.exit(_INTERRUPTED)


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("first", type=click.IntRange(0), required=False)
@click.argument("last", type=click.IntRange(0), required=False)
@click.option("--datadir", type=FOLDER, required=True, help="Folder of the node.")
def export(file: Path, first: int | None, last: int | None, datadir: Path) -> None:
    """Write blocks FIRST to LAST (default: block 1 to the head) into FILE, through gzip for .gz.

    The blocks of an Assay chain carry their seals. Works beside a running node.

    Example: assay export --datadir D chain.rlp.gz
    """
    from chain.store import Store
    from tools.progress import stages
    from tools.transfer import export_file

    with Store(datadir / "chain", readonly=True) as store, stages() as report:
        begin = 1 if first is None else first
        end = last if last is not None else store.head().number if first is None else first
        count = export_file(
            store, file, begin, end, lambda done, total: report("export", done, total)
        )
    click.echo(f"Exported {count} blocks to {file}")


@contextmanager
def _stop_on_signal() -> Iterator[threading.Event]:
    """An event that Ctrl-C or SIGTERM sets; a second one ends the process at once."""
    stop = threading.Event()

    def handle(number: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = [(number, signal.signal(number, handle)) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        yield stop
    finally:
        for number, handler in before:
            signal.signal(number, handler)


@contextmanager
def _progress(size: int) -> Iterator["Progress"]:
    """A bar on a terminal, a line every few seconds elsewhere; ``size`` is in bytes."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(size).show
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        Remaining(),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task("import", total=size)

        def show(tally: "Tally") -> None:
            text = f"block {tally.head.number}, {tally.speed()}"
            bars.update(task, description=text, completed=tally.read)

        yield show


class _Lines:
    """One line now and then."""

    def __init__(self, size: int) -> None:
        self._size, self._last = size, time.monotonic()

    def show(self, tally: "Tally") -> None:
        now = time.monotonic()
        if now - self._last < _LINE_SECONDS:
            return
        self._last = now
        left = tally.seconds * (self._size - tally.read) / max(tally.read, 1)
        click.echo(
            f"Imported new chain segment number={tally.head.number} blocks={tally.blocks} "
            f"{tally.speed()} remaining={left:.0f}s",
            err=True,
        )
