"""Files for operators hold what they promise: units, images, alerts, and the guide's commands."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from prometheus_client.parser import text_string_to_metric_families

from rpc.metrics import Metrics
from tools.cli import cli
from tools.commands.node import node
from tools.config import variable_of

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
GUIDE = (ROOT / "docs" / "guide" / "operator.md").read_text()
PROCESS = {"process_resident_memory_bytes"}
METRIC = re.compile(r"\b(?:assay|process)_[a-z0-9_]+\b")
ELSEWHERE = {"ASSAY_CACHE_DIR"}
"""Variables of other parts: precompiles.kernels.jit."""


def families() -> set[str]:
    """Every name that a node can show, as written in rpc/metrics.py and as exposed."""
    source = (ROOT / "rpc" / "metrics.py").read_text()
    written = set(re.findall(r'"(assay_[a-z_]+)"', source))
    exposed = {
        family.name.removesuffix("_info")
        for family in text_string_to_metric_families(Metrics("x").exposition().decode())
        if family.name.startswith("assay_")
    }
    assert exposed <= written
    return written


def base_of(name: str, known: set[str]) -> str:
    """The family of a sample's name."""
    for suffix in ("", "_total", "_bucket", "_sum", "_count", "_info"):
        if suffix and not name.endswith(suffix):
            continue
        stem = name.removesuffix(suffix) if suffix else name
        if stem in known:
            return stem
    return name


@pytest.mark.parametrize("file", ["prometheus/alerts.yml", "grafana/dashboard.json"])
def test_alerts_and_dashboard_name_metrics_that_exist(file: str) -> None:
    known = families()
    expressions = (DEPLOY / file).read_text()
    if file.endswith(".json"):
        panels = json.loads(expressions)["panels"]
        expressions = "\n".join(item["expr"] for panel in panels for item in panel["targets"])
    found = {base_of(name, known) for name in METRIC.findall(expressions)}
    assert len(found) > 4
    assert found <= known | PROCESS


def test_the_guide_explains_every_metric() -> None:
    known = families()
    table = GUIDE.split("| metric | meaning |")[1].split("\n\n")[0]
    names = re.findall(r"`(assay_[a-z_]+)(?:\{[a-z,]+\})?`", table)
    assert {base_of(name, known) for name in names} == known


def variables(text: str) -> set[str]:
    return set(re.findall(r"\bASSAY_[A-Z_]+\b", text))


def test_every_variable_is_an_option_of_the_node() -> None:
    known = {variable_of(item) for item in node.params if isinstance(item, click.Option)}
    for name in ("assay.service", "Dockerfile", "docker-compose.yml", "node.toml"):
        found = variables((DEPLOY / name).read_text())
        assert found
        assert found <= known | ELSEWHERE
    assert variables(GUIDE) <= known


def commands(text: str) -> Iterator[list[str]]:
    """Every ``assay ...`` of the guide's indented blocks; a backslash joins lines."""
    lines = [line[4:] for line in text.splitlines() if line.startswith("    ")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if line.startswith("assay "):
            yield shlex.split(line)[1:]


def test_the_guide_gives_commands_that_exist() -> None:
    found = list(commands(GUIDE))
    assert len(found) >= 9
    for words in found:
        command: click.Command = cli
        context = click.Context(command)
        while isinstance(command, click.Group):
            inner = command.get_command(context, words.pop(0))
            assert inner is not None
            command = inner
        known = {name for item in command.params for name in item.opts}
        assert {word for word in words if word.startswith("-")} <= known


def test_the_image_gets_everything_that_the_wheel_needs(tmp_path: Path) -> None:
    """What the first stage copies, built as it builds it; no Docker needed for that."""
    text = (DEPLOY / "Dockerfile").read_text()
    _, first, second = text.split("\nFROM ")
    for line in re.findall(r"^COPY (.+)$", first, re.MULTILINE):
        *sources, target = line.split()
        for source in sources:
            into = tmp_path / (Path(target) if target != "./" else Path(source))
            into.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, into)
            else:
                shutil.copy(ROOT / source, into)
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    assert list((tmp_path / "dist").glob("*.whl"))
    assert "USER assay" in second
    assert second.index("USER assay") < second.index("ENTRYPOINT")
    assert 'ENTRYPOINT ["assay", "node"]' in second


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    verify = shutil.which("systemd-analyze")
    if verify is None:
        pytest.skip("no systemd-analyze on this machine")
    unit = tmp_path / "assay.service"
    text = (DEPLOY / "assay.service").read_text()
    unit.write_text(text.replace("/opt/assay/.venv/bin/assay", sys.executable))
    done = subprocess.run([verify, "verify", unit], capture_output=True, text=True, check=False)
    if "Failed to" in done.stderr and "assay.service" not in done.stderr:
        pytest.skip(f"systemd-analyze does not work here: {done.stderr.strip()}")
    assert [line for line in done.stderr.splitlines() if "assay.service" in line] == []
    assert done.returncode == 0
