"""``assay bench``: measure a running network."""

from dataclasses import asdict
from pathlib import Path

import click

from tools.cli import echo_json

EXISTING = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.group()
def bench() -> None:
    """Measure a running network."""


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
    from tools.bench_chain import LoadOptions, run_load

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
