"""``assay genesis``: make and show genesis files."""

from pathlib import Path

import click

from genesis.forks import Fork, ForkSchedule
from tools.cli import echo_json

FILE = click.Path(path_type=Path, dir_okay=False)


def parse_address(text: str) -> bytes:
    """20 bytes from 40 hex digits; BadParameter otherwise."""
    try:
        address = bytes.fromhex(text.strip().removeprefix("0x"))
    except ValueError:
        address = b""
    if len(address) != 20:
        raise click.BadParameter(f"{text!r} is not an address (0x and 40 hex digits)")
    return address


@click.group()
def genesis() -> None:
    """Make and show genesis files."""


@genesis.command("new")
@click.option("--chain-id", type=click.IntRange(1, 2**53), required=True, help="EIP-155 chain id.")
@click.option("--validators", required=True, help="Addresses of the validators, comma-separated.")
@click.option(
    "--alloc", "allocations", multiple=True, help="ADDRESS=ETHER of a funded account; repeatable."
)
@click.option("--block-time", type=click.IntRange(1, 3600), default=1, show_default=True)
@click.option("--empty-blocks/--no-empty-blocks", default=True, show_default=True)
@click.option("--timestamp", type=click.IntRange(0, 2**63), help="Default: now.")
@click.option("-o", "--output", type=FILE, default=Path("genesis.json"), show_default=True)
def new(
    chain_id: int,
    validators: str,
    allocations: tuple[str, ...],
    block_time: int,
    empty_blocks: bool,
    timestamp: int | None,
    output: Path,
) -> None:
    """Make the genesis file of a QBFT network.

    Example: assay genesis new --chain-id 7001 --validators 0xaa…,0xbb… --alloc 0xcc…=1000
    """
    import time

    from genesis.predeploys import new_genesis
    from genesis.spec import format_genesis

    accounts = {}
    for item in allocations:
        address, separator, ether = item.partition("=")
        if not separator or not ether.isdigit():
            raise click.BadParameter(f"{item!r} is not ADDRESS=ETHER", param_hint="--alloc")
        accounts[parse_address(address)] = int(ether) * 10**18
    if output.exists():
        raise click.ClickException(f"{output} exists already; it was left as it is")
    spec = new_genesis(
        chain_id=chain_id,
        validators=[parse_address(item) for item in validators.split(",")],
        accounts=accounts,
        timestamp=int(time.time()) if timestamp is None else timestamp,
        block_period_seconds=block_time,
        empty_blocks=empty_blocks,
    )
    output.write_text(format_genesis(spec))
    click.echo(f"Written {output}")


@genesis.command("show")
@click.argument("genesis_file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(genesis_file: Path, as_json: bool) -> None:
    """Show the genesis hash, the chain id, the forks and the first validators of GENESIS_FILE."""
    from chain.genesis_block import genesis_block
    from chain.state_reader import StateReader
    from chain.validator_set import read_validators
    from genesis.spec import parse_genesis

    spec = parse_genesis(genesis_file.read_text())
    block, nodes = genesis_block(spec)
    summary = {
        "hash": "0x" + block.header.hash.hex(),
        "stateRoot": "0x" + block.header.state_root.hex(),
        "chainId": spec.chain_id,
        "timestamp": spec.timestamp,
        "gasLimit": spec.gas_limit,
        "forks": _forks(spec.schedule),
        "accounts": len(spec.alloc),
    }
    if spec.assay is not None:
        reader = StateReader(nodes.__getitem__, block.header.state_root)
        summary |= {
            "blockPeriodSeconds": spec.assay.block_period_seconds,
            "emptyBlocks": spec.assay.empty_blocks,
            "validators": ["0x" + address.hex() for address in read_validators(reader)],
        }
    if as_json:
        echo_json(summary)
        return
    for key, value in summary.items():
        click.echo(f"{key}: {', '.join(value) if isinstance(value, list) else value}")


def _forks(schedule: ForkSchedule) -> list[str]:
    """Every fork with its start, as a reader wants to see it."""
    lines = [f"{_title(fork)} at block {start}" for start, fork in schedule.blocks]
    lines += [f"{_title(fork)} at time {start}" for start, fork in schedule.times]
    fork_times = {start for start, _ in schedule.times}
    return lines + [
        f"{parameters.target} to {parameters.max} blobs at time {start}"
        for start, parameters in schedule.blobs
        if start not in fork_times
    ]


def _title(fork: Fork) -> str:
    return fork.name.replace("_", " ").title()
