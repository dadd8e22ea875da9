"""``assay blocktest``: Ethereum's official blockchain tests on this chain's execution."""

import os
import re
from operator import attrgetter
from pathlib import Path

import click

from tools.cli import echo_json


def _expression(context: click.Context, parameter: click.Parameter, value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise click.BadParameter(f"not a regular expression: {error}") from None
    return value


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option(
    "--jobs",
    type=click.IntRange(1, 256),
    default=lambda: os.cpu_count() or 1,
    show_default="one per core",
    help="Processes.",
)
@click.option(
    "--filter",
    "pattern",
    default="",
    callback=_expression,
    help="Regular expression; only tests whose name or file it is found in.",
)
@click.option(
    "--reference", is_flag=True, help="Execute every valid block on py-evm, too, and compare."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def blocktest(
    paths: tuple[Path, ...], jobs: int, pattern: str, reference: bool, as_json: bool
) -> None:
    """Run the blockchain tests in PATHS: files, or folders of them.

    Takes the JSON of execution-spec-tests and of ethereum/tests, every fork from Frontier on.
    Each failure is one line. The exit code is 0 only when tests ran and every one passed.

    Example: assay blocktest fixtures/blockchain_tests --filter eip7702
    """
    from tools.blocktest.runner import run_paths
    from tools.progress import stages

    with stages(hidden=as_json) as report:
        results = list(
            run_paths(
                paths,
                jobs,
                pattern,
                lambda done, total: report("Blockchain tests", done, total),
                reference=reference,
            )
        )
    failures = sorted((result for result in results if result.reason), key=attrgetter("file"))
    passed = len(results) - len(failures)
    if as_json:
        echo_json(
            {
                "passed": passed,
                "failed": len(failures),
                "failures": [
                    {"file": failure.file, "name": failure.name, "reason": failure.reason}
                    for failure in failures
                ],
            }
        )
    else:
        for failure in failures:
            click.echo(f"{failure.file}: {failure.name}: {failure.reason}")
        click.echo(f"{passed} passed, {len(failures)} failed")
    if failures or not passed:
        raise click.exceptions.Exit(1)
