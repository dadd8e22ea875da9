"""Processes: what stops, with which exit code, and that nothing is left behind."""

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from genesis.addresses import MODEL_REGISTRY
from precompiles.abi import selector
from tests.e2e.conftest import Networks, free_ports
from tests.e2e.running import ask, height, log_of, start, wait_for
from tools.client import hex_of
from tools.devnet import Network, node_command
from tools.errors import RequestRefused

pytestmark = pytest.mark.e2e
Run = Callable[..., "subprocess.Popen[str]"]
ROOT = Path(__file__).parents[2]


def family(pid: int) -> list[psutil.Process]:
    """All processes below one."""
    return psutil.Process(pid).children(recursive=True)


def wait_until_gone(processes: list[psutil.Process], seconds: float = 20) -> None:
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    assert alive == []


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Start ``assay ARGUMENTS``; whatever still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", "tools", *arguments],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            for child in [*family(process.pid), psutil.Process(process.pid)]:
                child.kill()
        process.communicate()


def single(new_network: Networks) -> Network:
    network = new_network(validators=1)
    start(network)
    return network


def run_again(network: Network, *extra: str, **replaced: str) -> tuple[int, str]:
    """A second node with the same command line, except for what is given: its code and words."""
    command = node_command(network.options, network.validators[0], network.validators)
    port = str(free_ports(2))
    command[command.index("--http.port") + 1] = port
    command[command.index("--port") + 1] = str(int(port) + 1)
    for name, value in replaced.items():
        command[command.index(f"--{name}") + 1] = value
    done = subprocess.run(
        [*command, *extra], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_a_node_in_order(number: signal.Signals, new_network: Networks) -> None:
    network = single(new_network)
    process = network.processes[0]
    below = family(process.pid)
    assert len(below) >= 1
    process.send_signal(number)
    assert process.wait(20) == 0
    wait_until_gone(below)
    log = log_of(network.validators[0])
    assert "Traceback" not in log
    assert "Error" not in log
    network.start(0)
    wait_for(lambda: height(network.validators[0]) >= 1, 60, "the chain goes on")


def test_a_killed_node_leaves_no_orphans(new_network: Networks) -> None:
    network = single(new_network)
    below = family(network.processes[0].pid)
    network.kill(0)
    wait_until_gone(below)


def test_a_dead_executor_stops_its_node_loudly(new_network: Networks) -> None:
    network = single(new_network)
    process = network.processes[0]
    (executor,) = [child for child in family(process.pid) if "executor" in child.cmdline()]
    executor.kill()
    assert process.wait(30) == 1
    log = log_of(network.validators[0])
    assert "worker process failed" in log
    assert log.splitlines()[-1].startswith("Error: process ")
    network.start(0)
    wait_for(lambda: height(network.validators[0]) >= 2, 60, "blocks after the restart")


def test_a_dead_reader_is_replaced(new_network: Networks) -> None:
    network = single(new_network)
    first, node = network.validators[0], network.processes[0]
    call = {"to": hex_of(MODEL_REGISTRY), "data": hex_of(selector("resolve(string)"))}

    def answers() -> bool:
        """Whether a reader serves; the call on which one dies may fail."""
        with pytest.raises(RequestRefused) as caught:
            ask(first, "eth_call", call, "latest")
        return "InvalidCalldata" in caught.value.message

    def readers() -> list[psutil.Process]:
        return [child for child in family(node.pid) if "reader" in child.cmdline()]

    for _ in range(2):
        wait_for(answers, 20, "a reader serves")
        (reader,) = readers()
        reader.kill()
        reader.wait(10)
    wait_for(answers, 20, "a reader serves again")
    assert node.poll() is None


def test_two_nodes_never_share_a_folder_or_a_key(new_network: Networks, tmp_path: Path) -> None:
    network = single(new_network)
    first = network.validators[0]
    code, words = run_again(network)
    assert code == 1
    assert words.splitlines()[-1].startswith("Error: ")
    assert re.search("(another process|in use|locked)", words)

    other = new_network("other", validators=1)
    genesis = str(other.options.folder / "genesis.json")
    network.stop()
    code, words = run_again(network, genesis=genesis)
    assert code == 1
    assert re.search("Error: .*genesis", words)

    (tmp_path / "broken.json").write_text('{"config": {}}')
    code, words = run_again(network, genesis=str(tmp_path / "broken.json"))
    assert code == 1
    assert re.search("Error: .*(missing|chainId|config)", words)
    assert "Traceback" not in words
    network.start(0)
    wait_for(lambda: height(first) >= 2, 60, "the folder is as it was")


def test_a_port_in_use_is_told(new_network: Networks, tmp_path: Path) -> None:
    network = single(new_network)
    taken = str(network.validators[0].http_port)
    nodekey = tmp_path / "nodekey"
    nodekey.write_text("11" * 32)
    nodekey.chmod(0o600)
    code, words = run_again(
        network, "--nodekey", str(nodekey), datadir=str(tmp_path / "fresh"), **{"http.port": taken}
    )
    assert code == 1
    assert taken in words.splitlines()[-1]
    assert "Traceback" not in words


def devnet_arguments(folder: Path, port: int, *more: str) -> list[str]:
    ports = ["--http.port", str(port), "--port", str(port + 4)]
    return ["devnet", "--datadir", str(folder), *ports, "--no-demo", *more]


def test_interrupting_the_devnet_stops_every_process(
    run: Run, tmp_path: Path, kernels: None
) -> None:
    port = free_ports(8)
    process = run(*devnet_arguments(tmp_path / "net", port))
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or "Ctrl-C stops" not in lines[-1]:
        lines.append(process.stdout.readline())
        assert lines[-1], "".join(lines)
    urls = re.findall(r"http://127\.0\.0\.1:\d+", "".join(lines))
    assert f"http://127.0.0.1:{port}" in urls

    code, words = outcome(run(*devnet_arguments(tmp_path / "second", port)))
    assert code == 1
    assert f"Error: port {port} is in use" in words

    below = family(process.pid)
    assert len(below) >= 4
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert "Stopped." in output
    wait_until_gone(below)

    code, words = outcome(run(*devnet_arguments(tmp_path / "net", port, "--validators", "3")))
    assert code == 1
    assert "use --reset to start anew" in words
    code, words = outcome(run(*devnet_arguments(tmp_path / "net", port, "--exit")))
    assert code == 0, words
    assert "Resumed network" in words


@pytest.mark.slow
def test_the_demo_twice(run: Run, tmp_path: Path, kernels: None) -> None:
    port = free_ports(8)
    ports = ("--http.port", str(port), "--port", str(port + 4))
    contracts = []
    for beginning in ("New", "Resumed"):
        code, words = outcome(run("devnet", "--datadir", str(tmp_path / "net"), *ports, "--exit"))
        assert code == 0, words
        assert f"{beginning} network in" in words
        contracts.append(re.findall("DigitReader at (0x[0-9a-f]{40})", words))
        outputs = re.findall(r"✓ validator \d 0x[0-9a-f]{8}… block .* output ([0-9a-f]+)", words)
        assert len(outputs) == 4
        assert len(set(outputs)) == 1
        (command,) = re.findall("Verified offline: assay (verify .*)", words)
        code, words = outcome(run(*command.split()))
        assert code == 0
        assert words.endswith("The certificate holds.\n")
    assert contracts[0] == contracts[1]


def test_reset_spares_what_is_not_a_network(run: Run, tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("keep me")
    code, words = outcome(run(*devnet_arguments(tmp_path / "letters", free_ports(8), "--reset")))
    assert code == 1
    assert "was not made by assay devnet" in words
    assert (tmp_path / "letters" / "dear.txt").read_text() == "keep me"


def outcome(process: "subprocess.Popen[str]") -> tuple[int, str]:
    output, _ = process.communicate(timeout=90)
    return process.returncode, output
