"""``assay model``: from a model file to a published model and back."""

from pathlib import Path
from typing import Any

import click

from tools.cli import echo_json

PATH = click.Path(path_type=Path, dir_okay=False)
EXISTING = click.Path(path_type=Path, dir_okay=False, exists=True)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
RPC = click.option("--rpc", default="http://127.0.0.1:8545", show_default=True, help="Node URL.")


@click.group()
def model() -> None:
    """Compile, inspect, run and publish models."""


@model.command("compile")
@click.argument("source_file", metavar="FILE", type=EXISTING)
@click.option(
    "--samples",
    "samples_file",
    type=EXISTING,
    help="Real inputs (.npy, .npz or .csv, one per row): calibration and the report's test set.",
)
@click.option("-o", "--output", type=PATH, help="Compiled model; default: FILE with .assay.")
@click.option(
    "--precision",
    type=click.Choice(["auto", "int8", "int16", "wide"]),
    default="auto",
    show_default=True,
    help="Arithmetic of layers; auto takes the cheapest that keeps the labels, tensor by tensor.",
)
@click.option(
    "--calibration",
    type=click.Choice(["minmax", "mse", "percentile"]),
    default="minmax",
    show_default=True,
    help="Range of 8-bit tensors: all of it, the least square error, or without 0.01 % outliers.",
)
@click.option(
    "--shape",
    "shapes",
    multiple=True,
    metavar="NAME=1,3,224,224",
    help="Whole shape of an input with dynamic dimensions; default: that of the samples.",
)
@JSON
def compile_(
    source_file: Path,
    samples_file: Path | None,
    output: Path | None,
    precision: str,
    calibration: str,
    shapes: tuple[str, ...],
    as_json: bool,
) -> None:
    """Compile FILE to an integer model and compare it with the original.

    FILE is ONNX, or what xgboost (.json, .ubj) or lightgbm (.txt) saves; its content decides. Trees
    of these two need no samples.

    Example: assay model compile net.onnx --samples inputs.npy
    """
    from tools.compiler import compile_model
    from tools.progress import stages
    from tools.samples import load_samples, parse_shape

    samples = None if samples_file is None else load_samples(samples_file)
    with stages(hidden=as_json) as progress:
        compiled = compile_model(
            source_file,
            samples,
            precision=precision,
            calibration=calibration,
            shapes=dict(map(parse_shape, shapes)),
            progress=progress,
        )
    target = output or source_file.with_suffix(".assay")
    target.write_bytes(compiled.model_bytes)
    if as_json:
        report = compiled.report.to_json()
        echo_json({"model": "0x" + compiled.model_id.hex(), "file": str(target), "report": report})
        return
    click.echo(compiled.report.to_text())
    click.echo(f"Model   0x{compiled.model_id.hex()}")
    click.echo(f"Written {target} ({len(compiled.model_bytes):,} bytes)")


@model.command("inspect")
@click.argument("model_file", type=EXISTING)
@JSON
def inspect(model_file: Path, as_json: bool) -> None:
    """Show what a compiled model is: id, inputs, outputs, operators, size, gas."""
    from tools.model_files import describe, read_model

    data, program, cost = read_model(model_file)
    description = describe(data, program, cost)
    if as_json:
        echo_json(description)
        return
    for key, value in description.items():
        if isinstance(value, list):
            click.echo(f"{key}:")
            for item in value:
                click.echo("  " + "  ".join(f"{k}={v}" for k, v in item.items()))
        else:
            click.echo(f"{key}: {value}")


@model.command("run")
@click.argument("model_file", type=EXISTING)
@click.option(
    "--input", "input_file", type=EXISTING, required=True, help="Inputs (.npy, .npz, .csv)."
)
@click.option("--reference", is_flag=True, help="Run the reference twins instead of the kernels.")
@JSON
def run(model_file: Path, input_file: Path, reference: bool, as_json: bool) -> None:
    """Run a compiled model on this machine, exactly as a validator would."""
    from tools.model_files import read_model, run_decimal
    from tools.samples import load_samples

    _, program, _ = read_model(model_file)
    outputs = run_decimal(program, load_samples(input_file), reference=reference)
    _show_outputs(outputs, as_json)


def _show_outputs(outputs: dict[str, Any], as_json: bool) -> None:
    if as_json:
        echo_json(outputs)
        return
    for name, rows in outputs.items():
        click.echo(f"{name}:")
        for row in rows:
            click.echo("  " + " ".join(f"{value:.6g}" for value in row))


@model.command("publish")
@click.argument("model_file", type=EXISTING)
@click.option("--key", "key_file", type=EXISTING, required=True, help="Key that pays.")
@click.option("--password", "password_file", type=EXISTING, help="Password of an encrypted key.")
@RPC
@JSON
def publish(
    model_file: Path, key_file: Path, password_file: Path | None, rpc: str, as_json: bool
) -> None:
    """Upload and publish a compiled model; resumes where an earlier upload stopped.

    Example: assay model publish net.assay --key nodekey
    """
    from tools import keys
    from tools.client import Client
    from tools.model_files import read_model
    from tools.progress import stages
    from tools.register import publish_model

    data, _, _ = read_model(model_file)
    key = keys.load_key(key_file, keys.read_password(password_file))
    with stages(hidden=as_json) as progress, Client(rpc) as client:
        model_id = publish_model(client, key, data, progress=progress)
    if as_json:
        echo_json({"model": "0x" + model_id.hex()})
    else:
        click.echo(f"Published 0x{model_id.hex()}")


@model.command("list")
@RPC
@JSON
def list_(rpc: str, as_json: bool) -> None:
    """List the published models of a network."""
    from tools.client import Client

    with Client(rpc) as client:
        models = client.request("inference_listModels")
    if as_json:
        echo_json(models)
        return
    for item in models:
        click.echo(
            f"{item['id']}  block {int(item['publishedBlock'], 16)}  "
            f"{int(item['size'], 16):,} bytes"
        )
    if not models:
        click.echo("No model is published.")


@model.command("download")
@click.argument("name", metavar="MODEL")
@click.option("-o", "--output", type=PATH, help="Default: the model's id with .assay.")
@RPC
def download(name: str, output: Path | None, rpc: str) -> None:
    """Fetch MODEL (an id, a repository reference or an alias); its bytes must hash to its id."""
    from tools.client import Client
    from tools.infer import resolve_model
    from tools.progress import stages
    from tools.register import download_model

    with stages() as progress, Client(rpc) as client:
        model_id = resolve_model(client, name)
        data = download_model(client, model_id, progress=progress)
    target = output or Path(f"0x{model_id.hex()}.assay")
    target.write_bytes(data)
    click.echo(f"Written {target} ({len(data):,} bytes)")
