"""The console script ``assay``: one click group whose commands are imported only when used."""

import importlib
import sys
from typing import Any

import click

COMMANDS = {
    "bench": ("tools.commands.bench", "bench", "Measure kernels, models, gas and networks."),
    "blocktest": (
        "tools.commands.blocktest",
        "blocktest",
        "Run Ethereum's official blockchain tests.",
    ),
    "certify": ("tools.commands.verification", "certify", "Write the certificate of an inference."),
    "db": ("tools.commands.db", "db", "Check, describe, back up and restore a database."),
    "devnet": (
        "tools.commands.devnet",
        "devnet",
        "Run four validators with a demo on this machine.",
    ),
    "export": ("tools.commands.transfer", "export", "Write blocks into a file."),
    "genesis": ("tools.commands.genesis", "genesis", "Make and show genesis files."),
    "import": ("tools.commands.transfer", "import_", "Import blocks from files."),
    "infer": ("tools.commands.inference", "infer", "Call a published model."),
    "keys": ("tools.commands.keys", "keys", "Make, import and list keys."),
    "model": ("tools.commands.model", "model", "Compile, inspect, run and publish models."),
    "node": ("tools.commands.node", "node", "Run one node."),
    "validators": (
        "tools.commands.validators",
        "validators",
        "List validators; vote to add or remove one.",
    ),
    "verify": ("tools.commands.verification", "verify", "Check a certificate offline."),
}
"""Command name -> module, attribute, one-line help (so that ``--help`` imports nothing)."""


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports one when it runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order shown by ``--help``."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import and return one command, or None for an unknown name."""
        if name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[name]
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command table without importing any command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][2]) for name in self.list_commands(ctx)])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="assay-chain", prog_name="assay")
def cli() -> None:
    """Assay: an EVM chain whose consensus verifies AI inference, bit for bit.

    \b
    Examples:
      assay devnet                                   four validators and a demo
      assay model compile net.onnx --samples x.npy   ONNX to integer model
      assay verify cert.json --genesis genesis.json  check an inference offline
    """  # noqa: D301 - click keeps the lines after a backspace


def main() -> None:
    """Run the command line; every expected failure ends in one line and exit code 1."""
    from tools.failures import explain

    try:
        code = cli.main(standalone_mode=False)  # what a command gave to click.exceptions.Exit
    except click.Abort:
        click.echo("Interrupted.", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except Exception as error:  # the process boundary: sort what we know from what is a bug
        text = explain(error)
        if text is None:
            raise
        click.secho(f"Error: {text}", err=True, fg="red")
        sys.exit(1)
    if isinstance(code, int) and code:
        sys.exit(code)


def echo_json(value: Any) -> None:
    """Print one JSON document for scripts (``--json``)."""
    import orjson

    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())
