"""``assay devnet``: a network with a verified inference, in one command."""

import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click

from tools import devnet as network_tools
from tools.commands.history import history_of, history_options
from tools.devnet import DevnetOptions, Network
from tools.errors import ToolError

PORT = click.IntRange(1, 65535)


@click.command()
@click.option(
    "--datadir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("devnet"),
    show_default=True,
    help="Folder of the network.",
)
@click.option("--validators", type=click.IntRange(1, 31), default=4, show_default=True)
@click.option(
    "--block-time",
    "-b",
    type=click.IntRange(1, 3600),
    default=1,
    show_default=True,
    help="Seconds.",
)
@click.option("--empty-blocks/--no-empty-blocks", default=True, show_default=True)
@click.option(
    "--chain-id", type=click.IntRange(1, 2**53), default=network_tools.CHAIN_ID, show_default=True
)
@click.option(
    "--http.port",
    "http_port",
    type=PORT,
    default=8545,
    show_default=True,
    help="Of validator 0; the others follow.",
)
@click.option(
    "--port",
    "p2p_port",
    type=PORT,
    default=30303,
    show_default=True,
    help="P2P port of validator 0.",
)
@history_options
@click.option("--reset", is_flag=True, help="Delete the network in DATADIR and start anew.")
@click.option("--no-demo", is_flag=True, help="Start the validators only.")
@click.option(
    "--exit", "exit_after", is_flag=True, help="Stop after the demo instead of running on."
)
def devnet(
    datadir: Path,
    validators: int,
    block_time: int,
    empty_blocks: bool,
    chain_id: int,
    http_port: int,
    p2p_port: int,
    gcmode: str | None,
    history_state: int | None,
    reset: bool,
    no_demo: bool,
    exit_after: bool,
) -> None:
    """Run a network of validators on this machine, with a demo inference.

    Starting again resumes the chain; Ctrl-C stops every process.

    Example: assay devnet --block-time 2 --no-empty-blocks
    """
    began = time.monotonic()
    options = DevnetOptions(
        folder=datadir,
        validators=validators,
        period_seconds=block_time,
        empty_blocks=empty_blocks,
        http_port=http_port,
        p2p_port=p2p_port,
        chain_id=chain_id,
        history=history_of(gcmode, history_state),
    )
    if reset:
        network_tools.reset(datadir)
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _interrupt)
    try:
        with Network(options) as network:
            network_tools.require_free_ports(network.validators)
            new = network_tools.prepare(options, network.validators)
            if new:
                network_tools.compile_kernels()
            network.start_all()
            _say(f"{'New' if new else 'Resumed'} network in {datadir}: {validators} validators")
            if not no_demo:
                _run_demo(network, began)
            _banner(network)
            if not exit_after:
                _watch(network)
    except KeyboardInterrupt:
        _say("Stopped.")


def _interrupt(_: int, __: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _say(text: str) -> None:
    click.secho("• ", fg="cyan", nl=False)
    click.echo(text)


def _run_demo(network: Network, began: float) -> None:
    """The story in eight lines; every figure is read from the running network."""
    from tools import demo_run
    from tools.progress import stages

    folder = network.options.folder
    first = network.validators[0].url
    with stages() as progress:
        models = demo_run.compile_demo_models(folder / "models", progress)
        demo_run.wait_until_connected(network.validators)
        demo_run.publish(first, models, progress)
    for model in models:
        _say(f"Published {model.name} 0x{model.model_id.hex()}")
        click.echo(f"    {model.summary}")
    contract = demo_run.deploy_reader(first, models[0], folder / "demo.json")
    _say(f"DigitReader at 0x{contract.hex()}")
    sample = int(time.time()) % 1797
    result = demo_run.infer(network.validators, contract, sample)
    _say(
        f"Transaction 0x{result.transaction.hex()} read image {sample} as {result.digit} "
        f"(label {result.label}), {result.gas_used:,} gas"
    )
    for witness in result.witnesses:
        agrees = witness.output == witness.recomputed == result.witnesses[0].output
        click.secho("  ✓ " if agrees else "  ✗ ", fg="green" if agrees else "red", nl=False)
        click.echo(
            f"validator {witness.validator.index} 0x{witness.validator.address.hex()[:8]}… "
            f"block 0x{witness.block_hash.hex()[:8]}… output 0x{witness.recomputed.hex()[:48]}…"
        )
        if not agrees:
            raise ToolError(f"validator {witness.validator.index} computed another output")
    certificate = folder / "certificates" / f"{result.transaction.hex()[:16]}.json"
    checks = demo_run.certify_and_verify(
        first, result.transaction, folder / "genesis.json", certificate
    )
    for check in checks:
        click.secho("  ✓ ", fg="green", nl=False)
        click.echo(f"{check.name}: {check.detail}")
    _say(f"Verified offline: assay verify {certificate} --genesis {folder / 'genesis.json'}")
    _say(f"{time.monotonic() - began:.1f} s from the command to the verified inference")


def _banner(network: Network) -> None:
    from tools import keys

    options = network.options
    click.echo()
    click.secho("Accounts", bold=True, nl=False)
    click.echo(
        f" ({network_tools.ACCOUNT_BALANCE_WEI // 10**18} ether each; these keys are public)"
    )
    for i in range(network_tools.ACCOUNTS):
        key = keys.dev_key(i)
        click.echo(f"  ({i}) 0x{keys.address_of(key).hex()}  0x{key.hex()}")
    click.echo(f"  mnemonic {keys.DEV_MNEMONIC}, path m/44'/60'/0'/0/i")
    click.secho("Validators", bold=True)
    for validator in network.validators:
        click.echo(
            f"  ({validator.index}) 0x{validator.address.hex()}  {validator.url}  "
            f"p2p {validator.p2p_port}  log {validator.log_file}"
        )
    port = options.http_port
    click.secho("Chain", bold=True)
    click.echo(f"  chain id {options.chain_id}, block period {options.period_seconds} s")
    click.echo(f"  genesis {options.folder / 'genesis.json'}")
    click.echo(f"Listening on http://127.0.0.1:{port} and ws://127.0.0.1:{port}; Ctrl-C stops")


def _watch(network: Network) -> None:
    """Run until interrupted; a validator that ends by itself is an error."""
    while True:
        for validator, code in network.dead():
            raise ToolError(
                f"validator {validator.index} ended with code {code}; see {validator.log_file}"
            )
        time.sleep(0.5)
