"""``assay bench``: ours beside the peer that a user would pick, in the same run."""

from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from tools.cli import echo_json

if TYPE_CHECKING:
    from tools.bench.timing import Row
    from tools.progress import StageProgress

EXISTING = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.group()
def bench() -> None:
    """Measure kernels, models, the EVM, gas prices and a running network."""


@bench.command("chain")
@click.option(
    "--rpc",
    "urls",
    multiple=True,
    default=("http://127.0.0.1:8545",),
    show_default=True,
    help="Node URL; repeat it to spread the load.",
)
@click.option(
    "--rate",
    type=click.IntRange(1, 100_000),
    default=300,
    show_default=True,
    help="Transfers per second.",
)
@click.option("--seconds", type=click.IntRange(1, 3600), default=60, show_default=True)
@click.option("--accounts", type=click.IntRange(1, 1000), default=40, show_default=True)
@click.option("--connections", type=click.IntRange(1, 256), default=8, show_default=True)
@click.option(
    "--batch",
    type=click.IntRange(1, 1000),
    default=50,
    show_default=True,
    help="Most calls in one HTTP request.",
)
@click.option("--key", "key_file", type=EXISTING, help="Key that pays; default: development key 0.")
@click.option("--password", "password_file", type=EXISTING, help="Password of an encrypted key.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def chain(
    urls: tuple[str, ...],
    rate: int,
    seconds: int,
    accounts: int,
    connections: int,
    batch: int,
    key_file: Path | None,
    password_file: Path | None,
    as_json: bool,
) -> None:
    """Send transfers at a steady rate and count those that are accepted, mined and lost.

    The exit code is 1 when a node refused a transfer or lost one.

    Example: assay bench chain --rpc http://127.0.0.1:8545 --rpc http://127.0.0.1:8546 --rate 300
    """
    from tools import keys
    from tools.bench.chain import LoadOptions, run_load

    if key_file is None:
        key = keys.dev_key(0)
    else:
        key = keys.load_key(key_file, keys.read_password(password_file))
    options = LoadOptions(urls, rate, seconds, accounts, connections, batch)
    result = run_load(options, key)
    if as_json:
        echo_json(asdict(result))
    else:
        click.echo(
            f"sent {result.sent:,}  accepted {result.accepted:,}  mined {result.mined:,}  "
            f"lost {result.lost:,}\n"
            f"accepted {result.accepted_rate:.1f}/s  mined {result.mined_rate:.1f}/s\n"
            f"inclusion p50 {result.latency_p50:.2f} s  p99 {result.latency_p99:.2f} s  "
            f"max {result.latency_max:.2f} s\n"
            f"{result.blocks} blocks with transfers, at most {result.largest_block} in one"
        )
        for text, count in result.refused.items():
            click.echo(f"refused {count:,}: {text}")
    if result.lost or result.refused:
        raise click.exceptions.Exit(1)


@bench.command("kernels")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def kernels(as_json: bool) -> None:
    """Time each hot operator beside onnxruntime, fp32 and int8, on one thread.

    Example: assay bench kernels --json
    """
    from tools.bench.kernels import run_kernels

    _print_rows(run_kernels, as_json=as_json)


@bench.command("models")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def models(as_json: bool) -> None:
    """Time whole networks beside onnxruntime, fp32 and its best int8 form, on one thread.

    Example: assay bench models
    """
    from tools.bench.models import run_models

    _print_rows(run_models, as_json=as_json)


@bench.command("evm")
@click.option("--anvil", help="anvil's program, the far anchor; looked for on the PATH by default.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def evm(anvil: str | None, as_json: bool) -> None:
    """Time contract calls and block imports beside stock py-evm, and mining beside anvil.

    Example: assay bench evm --anvil ~/.foundry/bin/anvil
    """
    from tools.bench.evm import run_evm

    _print_rows(lambda progress: run_evm(progress, anvil), as_json=as_json)


@bench.command("gas")
@click.option(
    "--part",
    "parts",
    multiple=True,
    type=click.Choice(("inference", "opcodes", "precompiles")),
    help="What to measure; repeat it. All by default.",
)
@click.option(
    "--target",
    "targets",
    multiple=True,
    type=click.Choice(("host", "x86-64-v3", "generic")),
    help="Compile inference for this CPU; repeat it. All by default.",
)
@click.option("--only", default="", help="Cases whose name contains this text.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def gas(parts: tuple[str, ...], targets: tuple[str, ...], only: str, as_json: bool) -> None:
    """Seconds that 30 million gas take, at the worst inputs of everything that has a price.

    The rules: 1 second for inference on one core of the slow class, 3 for a precompiled contract, 6
    for opcodes. The exit code is 1 when one is broken.

    Example: assay bench gas --part opcodes --part precompiles
    """
    from tools.bench.evm_gas import run_opcodes_bench
    from tools.bench.gas import TARGETS, run_gas_bench
    from tools.bench.precompiled import run_precompiled_bench

    chosen = targets or tuple(TARGETS)
    subjects: dict[str, Callable[[StageProgress], Iterable[Row]]] = {
        "inference": lambda progress: run_gas_bench(progress, chosen, only),
        "precompiles": lambda progress: run_precompiled_bench(progress, only),
        "opcodes": lambda progress: run_opcodes_bench(progress, only),
    }

    def run(progress: "StageProgress") -> "Iterable[Row]":
        for part in parts or tuple(subjects):
            yield from subjects[part](progress)

    rows = _print_rows(run, as_json=as_json)
    if any(row.ratio < 1 for row in rows):
        raise click.exceptions.Exit(1)


def _print_rows(run: "Callable[[StageProgress], Iterable[Row]]", *, as_json: bool) -> "list[Row]":
    """Rows as a JSON list or as a table; the rows."""
    from tools.progress import stages

    with stages() as progress:
        rows = list(run(progress))
    if as_json:
        echo_json([asdict(row) for row in rows])
        return rows
    table = Table("measured", "ours", "peer", "peer's time", "ratio", box=None)
    for row in rows:
        colour = "green" if row.ratio >= 1 else "yellow"
        table.add_row(
            row.name,
            f"{row.ours:,.1f} {row.unit}",
            row.peer_name,
            f"{row.peer:,.1f} {row.unit}",
            f"[{colour}]{row.ratio:.2f}[/]",
        )
    Console().print(table)
    return rows
