"""Options of a node: four sources, one order, every name known, what is printed reads back."""

import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.tools.command_line import Assay
from tools.commands.node import node
from tools.config import dump_config, keys_of, read_config, variable_of


@pytest.fixture
def genesis(tmp_path: Path) -> Path:
    path = tmp_path / "genesis.json"
    path.write_text("{}")
    return path


def context(*arguments: str | Path) -> click.Context:
    """The command with its options read and nothing run."""
    return node.make_context("node", [str(item) for item in arguments])


def config(folder: Path, text: str) -> Path:
    path = folder / "node.toml"
    path.write_text(text)
    return path


def test_flags_win_over_environment_over_file_over_default(
    tmp_path: Path, genesis: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = config(
        tmp_path,
        'genesis = "genesis.json"\ndatadir = "D"\nport = 1\nmaxpeers = 2\n'
        "[http]\nport = 3\n[metrics]\nenabled = true\nport = 4\n",
    )
    monkeypatch.setenv("ASSAY_PORT", "11")
    monkeypatch.setenv("ASSAY_HTTP_PORT", "13")
    found = context("--config", path, "--http.port", "23").params
    assert found["http_port"] == 23
    assert found["p2p_port"] == 11
    assert found["max_peers"] == 2
    assert found["metrics"] is True
    assert found["metrics_port"] == 4
    assert found["metrics_host"] == "127.0.0.1"
    assert found["genesis"] == genesis
    assert found["datadir"] == tmp_path / "D"


def test_the_file_itself_can_come_from_the_environment(
    tmp_path: Path, genesis: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = config(tmp_path, 'datadir = "D"\nbootnodes = ["10.0.0.2:30303", "[::1]:30304"]\n')
    monkeypatch.setenv("ASSAY_CONFIG", str(path))
    monkeypatch.setenv("ASSAY_GENESIS", str(genesis))
    monkeypatch.setenv("ASSAY_METRICS", "true")
    found = context().params
    assert found["bootnodes"] == "10.0.0.2:30303,[::1]:30304"
    assert found["metrics"] is True


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("htp.port = 1", "unknown key htp.port; did you mean http.port?"),
        ("[http]\nprot = 1", "unknown key http.prot; did you mean http.port?"),
        ("metrics = true", "unknown key metrics; did you mean metrics."),
        ('config = "other.toml"', "unknown key config"),
        ('http.port = "8545"', "http.port: '8545' is not a whole number"),
        ("http.port = true", "http.port: True is not a whole number"),
        ("http.port = 1.5", "http.port: 1.5 is not a whole number"),
        ("metrics.enabled = 1", "metrics.enabled: 1 is not true or false"),
        ("datadir = 5", "datadir: 5 is not a string"),
        ("bootnodes = [1]", "bootnodes: [1] is not a string"),
        ("http.port = 70000", "Invalid value for '--http.port': 70000 is not in the range"),
        ('consensus = "pow"', "Invalid value for '--consensus'"),
        ("http.port = ", "cannot be read: Invalid value"),
        ("port = 1\nport = 2\n", "cannot be read: Cannot overwrite"),
    ],
)
def test_what_is_refused(
    text: str, reason: str, assay: Assay, tmp_path: Path, genesis: Path
) -> None:
    path = config(tmp_path, text)
    done = assay("node", "--config", path, "--genesis", genesis, "--datadir", tmp_path / "D")
    assert done.code == 2
    assert reason in " ".join(done.err.split())
    assert not (tmp_path / "D").exists()


def test_the_options_in_effect(
    assay: Assay, tmp_path: Path, genesis: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("correct horse")
    path = config(tmp_path, 'datadir = "D"\npassword = "secret"\n')
    monkeypatch.setenv("ASSAY_HTTP_PORT", "9000")
    done = assay("node", "--dump-config", "--config", path, "--genesis", genesis, "--metrics")
    assert done.code == 0
    lines = done.out.splitlines()
    assert f'genesis = "{genesis}"  # command line' in lines
    assert f'datadir = "{tmp_path / "D"}"  # file' in lines
    assert "http.port = 9000  # environment" in lines
    assert "metrics.enabled = true  # command line" in lines
    assert "port = 30303  # default" in lines
    assert "correct horse" not in done.out
    assert not (tmp_path / "D").exists()


odd = st.sampled_from(["\x7f", '"', "\\", "\r\n", "#", "\U0001f511"])
texts = st.lists(
    odd | st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1
).map("".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.fixed_dictionaries(
        {
            "--http.addr": texts,
            "--bootnodes": texts,
            "--http.port": st.integers(0, 65535).map(str),
            "--verbosity": st.integers(1, 5).map(str),
            "--log.format": st.sampled_from(["json", "text"]),
        },
        optional={"--history.state": st.integers(0, 99).map(str)},
    ),
    metrics=st.booleans(),
)
def test_what_is_printed_reads_back(
    values: dict[str, str], metrics: bool, tmp_path: Path, genesis: Path
) -> None:
    given_arguments = [f"{name}={value}" for name, value in values.items()]
    flags = ["--metrics"] if metrics else []
    first = context("--genesis", genesis, "--datadir", tmp_path, *given_arguments, *flags)
    path = tmp_path / "printed.toml"
    path.write_text(dump_config(first), newline="")
    tomllib.loads(path.read_text())
    again = context("--config", path).params
    assert again == first.params


def test_every_option_has_a_key_and_a_variable_of_its_own() -> None:
    options = [item for item in node.params if isinstance(item, click.Option)]
    variables = [variable_of(item) for item in options]
    assert len(set(variables)) == len(variables)
    keys = keys_of(node)
    assert len(keys) == len(options) - 2  # --config and --dump-config
    tables = {key.rpartition(".")[0] for key in keys}
    assert not tables & set(keys), "a key cannot be a table as well"


def test_the_example_file_of_deploy_is_understood() -> None:
    folder = Path(__file__).parents[2] / "deploy"
    found: dict[str, Any] = read_config(folder / "node.toml", node)
    assert found["metrics"] is True
    assert found["log_format"] == "json"
