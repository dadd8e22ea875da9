"""``assay certify`` and ``assay verify``: the proof of one inference."""

import json
from pathlib import Path

import click

from tools.cli import echo_json

EXISTING = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.command()
@click.argument("transaction_hash")
@click.option("--log-index", type=int, help="Which inference, when the transaction made several.")
@click.option("--rpc", default="http://127.0.0.1:8545", show_default=True, help="Node URL.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("certificate.json"),
    show_default=True,
)
@click.option("--no-model", is_flag=True, help="Name the model by id only, without its bytes.")
def certify(
    transaction_hash: str, log_index: int | None, rpc: str, output: Path, no_model: bool
) -> None:
    """Write the certificate of the inference that a transaction made.

    Example: assay certify 0x5c50… -o certificate.json
    """
    from tools.certify import fetch_certificate

    certificate = fetch_certificate(rpc, transaction_hash, log_index, include_model=not no_model)
    output.write_text(json.dumps(certificate, indent=1) + "\n")
    click.echo(f"Written {output}")


@click.command()
@click.argument("certificate", type=EXISTING)
@click.option("--genesis", "genesis_file", type=EXISTING, required=True, help="Genesis file.")
@click.option("--model", type=EXISTING, help="Model file, when the certificate has only its id.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(certificate: Path, genesis_file: Path, model: Path | None, as_json: bool) -> None:
    """Check CERTIFICATE offline: seals, proofs, and the inference itself, run again.

    Nothing but the given files is read. The exit code is 0 only when every check holds.
    """
    from tools.verify import verify_file

    checks = verify_file(certificate, genesis_file, model)
    if as_json:
        echo_json([{"check": check.name, "detail": check.detail} for check in checks])
        return
    for check in checks:
        click.secho("ok  ", fg="green", nl=False)
        click.echo(f"{check.name}: {check.detail}")
    click.echo("The certificate holds.")
