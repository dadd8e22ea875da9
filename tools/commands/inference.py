"""``assay infer``: call a published model."""

from pathlib import Path

import click

from tools.cli import echo_json

EXISTING = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.command()
@click.argument("model")
@click.option(
    "--input", "input_file", type=EXISTING, required=True, help="Inputs (.npy, .npz, .csv)."
)
@click.option("--rpc", default="http://127.0.0.1:8545", show_default=True, help="Node URL.")
@click.option("--key", "key_file", type=EXISTING, help="Send a transaction that leaves a log.")
@click.option("--password", "password_file", type=EXISTING, help="Password of an encrypted key.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def infer(
    model: str,
    input_file: Path,
    rpc: str,
    key_file: Path | None,
    password_file: Path | None,
    as_json: bool,
) -> None:
    """Run MODEL (an id, a repository reference or an alias) on the network.

    Without --key this is an eth_call: free, and nothing is written. With --key the inference is a
    transaction whose log can be certified.

    Example: assay infer 0x5c50… --input digit.npy
    """
    from tools import keys
    from tools.client import Client
    from tools.infer import infer as run_inference
    from tools.samples import load_samples

    key = None
    if key_file is not None:
        key = keys.load_key(key_file, keys.read_password(password_file))
    with Client(rpc) as client:
        result = run_inference(client, model, load_samples(input_file), key)
    if as_json:
        echo_json(result)
        return
    for name, rows in result["outputs"].items():
        click.echo(f"{name}:")
        for row in rows:
            click.echo("  " + " ".join(f"{value:.6g}" for value in row))
    if "transaction" in result:
        click.echo(f"Transaction {result['transaction']}")
