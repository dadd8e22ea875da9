"""The command line as a whole: help, version, errors in one line, and what is imported when."""

import subprocess
import sys

import pytest

from tests.tools.command_line import Assay
from tools.cli import COMMANDS, cli

HEAVY = ("aiohttp", "eth", "eth_account", "llvmlite", "numba", "numpy", "onnx", "onnxruntime")
"""Packages whose import takes long."""

EVM_AND_FLOATS = ("eth", "llvmlite", "numba", "onnx", "onnxruntime", "sklearn", "trie")


def imported(statement: str, suspects: tuple[str, ...]) -> str:
    """Which of some packages a statement imports, in a fresh interpreter."""
    code = f"import sys\n{statement}\nprint(*sorted(set(sys.modules) & set({suspects!r})))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.splitlines()[-1]


def test_help_lists_every_command(assay: Assay) -> None:
    done = assay("--help")
    assert done.code == 0
    for name, (_, _, text) in COMMANDS.items():
        assert f"  {name} " in done.out
        assert text in done.out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, assay: Assay) -> None:
    done = assay(name, "-h")
    assert done.code == 0
    assert done.out.startswith(f"Usage: assay {name}")


def test_subcommands_explain_themselves(assay: Assay) -> None:
    for group in ("bench", "genesis", "keys", "model"):
        command = cli.get_command(None, group)  # type: ignore[arg-type]
        for name in command.commands:  # type: ignore[union-attr]
            done = assay(group, name, "--help")
            assert done.code == 0
            assert "Options:" in done.out


def test_version(assay: Assay) -> None:
    assert assay("--version").out.startswith("assay, version 0.")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["model", "inspect", "absent.assay"], "'absent.assay' does not exist"),
        (["verify"], "Missing argument 'CERTIFICATE'"),
        (["devnet", "--validators", "99"], "99 is not in the range"),
        (["bench", "chain", "--rate", "0"], "0 is not in the range"),
    ],
)
def test_wrong_usage(arguments: list[str], text: str, assay: Assay) -> None:
    done = assay(*arguments)
    assert done.code == 2
    assert text in done.err


def test_an_expected_failure_is_one_line(assay: Assay) -> None:
    done = assay("model", "list", "--rpc", "http://127.0.0.1:1")
    assert done.code == 1
    assert done.err.startswith("Error: no answer from http://127.0.0.1:1")
    assert done.err.count("\n") == 1
    assert done.out == ""


def test_a_bug_is_not_dressed_up(assay: Assay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.keys.list_keystore", lambda folder: [][0])
    with pytest.raises(IndexError):
        assay("keys", "list")


def test_an_interrupt_has_its_own_code(assay: Assay, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(folder: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tools.keys.list_keystore", interrupt)
    done = assay("keys", "list")
    assert (done.code, done.err.strip()) == (130, "Interrupted.")


def test_help_imports_nothing_heavy() -> None:
    assert imported("from tools.cli import cli; cli.list_commands(None)", HEAVY) == ""
    assert imported("from tools.commands import devnet, keys, model, node", HEAVY) == ""


def test_the_node_process_has_no_evm_and_no_floats() -> None:
    assert imported("import tools.node", EVM_AND_FLOATS) == ""


def test_the_offline_check_has_no_evm_and_no_network() -> None:
    assert imported("import tools.verify", ("aiohttp", "eth", "onnx", "onnxruntime")) == ""
