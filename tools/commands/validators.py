"""``assay validators``: who validates, and votes to change it."""

from pathlib import Path

import click

from tools.cli import echo_json

EXISTING = click.Path(path_type=Path, dir_okay=False, exists=True)
RPC = click.option("--rpc", default="http://127.0.0.1:8545", show_default=True, help="Node URL.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def validators() -> None:
    """List the validators and vote for adding or removing one."""


@validators.command("list")
@RPC
@JSON
def list_validators(rpc: str, as_json: bool) -> None:
    """List the addresses of the validators."""
    from tools.client import Client, hex_of
    from tools.validators import read_set

    with Client(rpc) as client:
        members = [hex_of(address) for address in read_set(client)]
    if as_json:
        echo_json(members)
    else:
        click.echo("\n".join(members))


@validators.command("vote")
@click.argument("change", type=click.Choice(["add", "remove"]))
@click.argument("address")
@click.option(
    "--key", "key_file", type=EXISTING, required=True, help="Key file of a validator; it pays."
)
@click.option("--password", "password_file", type=EXISTING, help="Password of an encrypted key.")
@click.option("--withdraw", is_flag=True, help="Take the vote back instead.")
@RPC
@JSON
def vote_for(
    change: str,
    address: str,
    key_file: Path,
    password_file: Path | None,
    withdraw: bool,
    rpc: str,
    as_json: bool,
) -> None:
    """Vote for a CHANGE (add or remove) of the validator ADDRESS.

    More than half of the validators have to vote; the next block is the first of the new set. Any
    change of the set discards all open votes.

    Example: assay validators vote add 0xaa… --key nodekey.json --password password
    """
    from tools import keys
    from tools.client import Client, Sender
    from tools.commands.genesis import parse_address
    from tools.validators import read_poll, vote

    candidate, add = parse_address(address), change == "add"
    key = keys.load_key(key_file, keys.read_password(password_file))
    with Client(rpc) as client:
        receipt = vote(Sender(client, key), candidate, add, withdraw=withdraw)
        poll = read_poll(client, candidate, add)
    if as_json:
        echo_json(
            {
                "transaction": receipt["transactionHash"],
                "votes": poll.votes,
                "needed": poll.needed,
                "done": poll.done,
            }
        )
    elif poll.done:
        click.echo(f"Done: 0x{candidate.hex()} is {'a' if add else 'no'} validator now.")
    else:
        click.echo(f"{poll.votes} of {poll.needed} votes")
