"""``assay keys``: encrypted key files in geth's format."""

from pathlib import Path

import click

from tools import keys as key_files
from tools.cli import echo_json

FOLDER = click.option(
    "--keystore",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("keystore"),
    show_default=True,
    help="Folder of the key files.",
)
PASSWORD = click.option(
    "--password",
    "password_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File whose first line is the password; asked for when absent.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def keys() -> None:
    """Make, import and list keys (Web3 Secret Storage v3, as geth writes it)."""


def _password(file: Path | None) -> str:
    given = key_files.read_password(file)
    if given is not None:
        return given
    answer: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return answer


def _saved(path: Path, key: bytes, as_json: bool) -> None:
    address = "0x" + key_files.address_of(key).hex()
    if as_json:
        echo_json({"address": address, "path": str(path)})
    else:
        click.echo(f"Address {address}\nKey file {path}")


@keys.command("new")
@FOLDER
@PASSWORD
@JSON
def new(keystore: Path, password_file: Path | None, as_json: bool) -> None:
    """Make a new key.

    Example: assay keys new --keystore keystore --password pw.txt
    """
    key = key_files.new_key()
    _saved(key_files.save_keystore(keystore, key, _password(password_file)), key, as_json)


@keys.command("import")
@click.argument("keyfile", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@FOLDER
@PASSWORD
@JSON
def import_key(keyfile: Path, keystore: Path, password_file: Path | None, as_json: bool) -> None:
    """Encrypt the private key in KEYFILE (64 hex digits) into the keystore.

    Example: assay keys import nodekey --password pw.txt
    """
    key = key_files.parse_key(keyfile.read_text())
    _saved(key_files.save_keystore(keystore, key, _password(password_file)), key, as_json)


@keys.command("list")
@FOLDER
@JSON
def list_keys(keystore: Path, as_json: bool) -> None:
    """List the addresses in a keystore folder."""
    found = key_files.list_keystore(keystore)
    if as_json:
        echo_json([{"address": "0x" + a.hex(), "path": str(p)} for a, p in found])
    elif not found:
        click.echo(f"No key files in {keystore}.")
    else:
        for address, path in found:
            click.echo(f"0x{address.hex()}  {path}")
