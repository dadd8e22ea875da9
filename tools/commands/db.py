"""``assay db``: prove a database whole, tell what is in it, copy it and bring it back."""

import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import click

from tools.cli import echo_json

EXISTING = click.Path(path_type=Path, dir_okay=False, exists=True)
DATADIR = click.option(
    "--datadir",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    required=True,
    help="Folder of the node.",
)


@click.group()
def db() -> None:
    """Check, describe, back up and restore a database; a running node does not mind."""


@db.command("check")
@DATADIR
@click.option("--genesis", type=EXISTING, help="Genesis file that the chain must have.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(datadir: Path, genesis: Path | None, as_json: bool) -> None:
    """Prove every block and every state that is kept, node by node.

    Hashes, links, roots, senders, seals, indexes and reference counts are computed again. The exit
    code is 1 when anything is wrong.

    Example: assay db check --datadir D
    """
    from chain.store import Store
    from chain.store_check import check_store
    from genesis.spec import parse_genesis
    from tools.progress import stages

    spec = None if genesis is None else parse_genesis(genesis.read_bytes())
    with Store(datadir / "chain", readonly=True) as store, stages(hidden=as_json) as report:
        result = check_store(store, spec, report)
    if as_json:
        echo_json(
            {
                "whole": not result.problems,
                "head": result.head,
                "oldestState": result.oldest_state,
                "transactions": result.transactions,
                "nodes": result.nodes,
                "problems": list(result.problems),
            }
        )
    else:
        for problem in result.problems:
            click.secho(f"wrong  {problem}", fg="red")
        click.echo(
            f"Blocks 0 to {result.head} with {result.transactions} transactions; states from block "
            f"{result.oldest_state} on with {result.nodes} nodes and codes"
        )
        click.echo(
            f"{len(result.problems)} problems" if result.problems else "The database is whole."
        )
    sys.exit(1 if result.problems else 0)


@db.command("stat")
@DATADIR
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def stat(datadir: Path, as_json: bool) -> None:
    """Tell mode, heights and sizes.

    Example: assay db stat --datadir D
    """
    from chain.store import ARCHIVE, SCHEMA_VERSION, Store
    from chain.store_file import TABLES

    with Store(datadir / "chain", readonly=True) as store:
        head, history = store.head(), store.history
        with store.file.read() as txn:
            tables = {
                name: {"entries": txn.count(name), "bytes": txn.size(name)} for name in TABLES
            }
        summary: dict[str, Any] = {
            "schema": SCHEMA_VERSION,
            "mode": "archive" if history == ARCHIVE else "full",
            "states": history,
            "genesis": "0x" + store.genesis_hash().hex(),
            "head": head.number,
            "headHash": "0x" + head.hash.hex(),
            "oldestState": store.oldest_state(),
            "usedBytes": store.file.used_bytes(),
        }
    if as_json:
        echo_json({**summary, "tables": tables})
        return
    for key, value in summary.items():
        click.echo(f"{key}: {value}")
    for name, size in tables.items():
        click.echo(f"{name:<10} {size['entries']:>12,} entries {size['bytes']:>16,} bytes")


@db.command("backup")
@DATADIR
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def backup(datadir: Path, file: Path, as_json: bool) -> None:
    """Copy the database into FILE (tar), consistent also while the node runs.

    Keys, signer file and journal are not in it.

    Example: assay db backup --datadir D backup.tar
    """
    from tools.backup import write_backup
    from tools.progress import stages

    with stages(hidden=as_json) as report:
        made = write_backup(datadir, file, partial(report, "checksum"))
    if as_json:
        echo_json({"file": str(file), **asdict(made)})
    else:
        click.echo(f"Written {file}: block {made.head} or later, {made.bytes:,} bytes")


@db.command("restore")
@click.option(
    "--datadir",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder of the node, without a database.",
)
@click.argument("file", type=EXISTING)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def restore(datadir: Path, file: Path, as_json: bool) -> None:
    """Unpack the backup FILE into a folder that has no database, signer file or journal.

    Example: assay db restore --datadir D backup.tar
    """
    from tools.backup import restore_backup
    from tools.progress import stages

    with stages(hidden=as_json) as report:
        found = restore_backup(file, datadir, partial(report, "restore"))
    if as_json:
        echo_json({"datadir": str(datadir), **asdict(found)})
    else:
        click.echo(f"Restored {datadir}: block {found.head} or later. The node syncs the rest.")


@db.command("examine")
@DATADIR
@click.argument("file", type=EXISTING)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def examine(datadir: Path, file: Path, as_json: bool) -> None:
    """Run the logged inferences of a refused block again, by the slow definition of each model.

    FILE is in DATADIR/divergence. Where the outputs differ, this machine computes wrongly.

    Example: assay db examine --datadir D D/divergence/7-0xaa….json
    """
    from chain.store import Store
    from tools.divergence import examine as examine_evidence

    with Store(datadir / "chain", readonly=True) as store:
        found = list(examine_evidence(store, file))
    if as_json:
        echo_json(
            [
                {
                    "transaction": "0x" + item.transaction.hex(),
                    "model": "0x" + item.model.hex(),
                    "inputHash": "0x" + item.input_hash.hex(),
                    "ownOutput": "0x" + item.own_output.hex(),
                    "referenceOutput": "0x" + item.reference_output.hex(),
                    "differs": item.differs,
                }
                for item in found
            ]
        )
        return
    for item in found:
        click.echo(f"model 0x{item.model.hex()} input 0x{item.input_hash.hex()}")
        click.echo(f"  own        0x{item.own_output.hex()}")
        click.echo(f"  reference  0x{item.reference_output.hex()}")
    wrong = sum(item.differs for item in found)
    click.echo(f"{wrong} of {len(found)} logged inferences are wrong")
