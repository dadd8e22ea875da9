"""What an operator does: watch metrics and probes, read logs, stop under load, back up, restore."""

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from http.client import HTTPConnection
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from genesis.addresses import INFERENCE
from precompiles.hashing import keccak256
from precompiles.runner import run_reference
from tests.e2e.conftest import Networks, free_ports
from tests.e2e.running import (
    ask,
    height,
    inference,
    log_of,
    publish_small,
    receipt_at,
    sender_of,
    small_input,
    start,
    wait_for,
    wait_for_height,
)
from tests.e2e.test_crash import load
from tests.precompiles.native_calls import SMALL_ID, small_model
from tools import keys
from tools.client import hex_of
from tools.devnet import Validator

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[2]


def watched(count: int) -> tuple[list[int], Mapping[int, Mapping[str, str]]]:
    """Ports of the metrics, and the environment with which every node opens its own."""
    base = free_ports(count)
    ports = [base + index for index in range(count)]
    return ports, {
        index: {
            "ASSAY_METRICS": "true",
            "ASSAY_METRICS_PORT": str(port),
            "ASSAY_LOG_FORMAT": "json",
        }
        for index, port in enumerate(ports)
    }


def get(port: int, path: str) -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def scrape(port: int, name: str, **labels: str) -> float:
    """Sum of the samples with these labels."""
    _, text = get(port, "/metrics")
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def assay(*arguments: str | Path) -> dict[str, object]:
    """JSON of a command in a process of its own."""
    command = [sys.executable, "-m", "tools", *map(str, arguments), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def hex_address(validator: Validator) -> str:
    return "0x" + validator.address.hex()


def test_metrics_probes_and_logs(new_network: Networks) -> None:
    network = new_network()
    ports, environments = watched(4)
    start(network, environments)
    first, *_, last = network.validators
    wait_for(lambda: get(ports[0], "/readyz") == (200, "ok\n"), 30, "ready")
    publish_small(first)
    with sender_of(first) as sender:
        receipt_at(first, sender.send(INFERENCE, inference(small_input(1)), gas=200_000))
    wait_for(lambda: scrape(ports[0], "assay_inferences_logged_total") == 1, 20, "an inference")
    wait_for(lambda: scrape(ports[0], "assay_inferences_total") >= 1, 20, "a model run")
    assert scrape(ports[0], "assay_inference_seconds_total") > 0
    assert scrape(ports[0], "assay_peers") == 3
    assert scrape(ports[0], "assay_validators") == 4
    assert scrape(ports[0], "assay_consensus_voting") == 1
    assert scrape(ports[0], "assay_diverged") == 0
    assert scrape(ports[0], "assay_executor_seconds_count", step="finalize") >= 1
    assert scrape(ports[0], "assay_rpc_requests_total", method="net_peerCount") >= 1

    network.kill(last.index)
    missed = {"proposer": hex_address(last)}
    wait_for(lambda: scrape(ports[0], "assay_missed_rounds_total", **missed), 60, "missed rounds")
    assert scrape(ports[0], "assay_missed_rounds_total", proposer=hex_address(first)) == 0
    signers = ask(first, "qbft_getSignerMetrics", "0x1", "latest")
    assert {item["address"] for item in signers} == {
        hex_address(validator) for validator in network.validators
    }
    assert sum(int(item["proposedBlockCount"], 16) for item in signers) >= 1
    assert ask(first, "qbft_getRequestTimeoutSeconds") == 4

    network.kill(network.validators[2].index)
    network.kill(network.validators[1].index)
    wait_for(lambda: get(ports[0], "/readyz") == (503, "0 peers, want 1\n"), 30, "not ready")
    assert get(ports[0], "/livez") == (200, "ok\n")

    lines = [json.loads(line) for line in log_of(first).splitlines()]
    assert all(list(line)[:4] == ["t", "lvl", "logger", "msg"] for line in lines)
    blocks = [line for line in lines if line["msg"] == "Imported block"]
    assert [line["number"] for line in blocks] == list(range(1, len(blocks) + 1))


def test_a_signal_under_load(new_network: Networks) -> None:
    """SIGTERM while transactions pour in: exit code 0, in order, nothing lost, nothing broken."""
    network = new_network()
    start(network)
    *others, stopped = network.validators
    process = network.processes[stopped.index]
    with load(others) as loads:
        wait_for(lambda: min(len(item.accepted) for item in loads) > 20, 60, "load")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        log = log_of(stopped)
        assert "stopping" in log
        assert "not stopped within" not in log
        assert "Traceback" not in log
        found = assay("db", "check", "--datadir", stopped.folder)
        assert found["whole"] is True
        network.start(stopped.index)
        target = height(others[0]) + 3
        wait_for(lambda: height(stopped) >= target, 60, "the stopped one follows again")
    assert sum(len(item.accepted) for item in loads) > 60
    wait_for_height(network.validators, target)


def test_a_signal_during_the_start(new_network: Networks) -> None:
    network = new_network(validators=1)
    network.start(0)
    (validator,) = network.validators
    wait_for(lambda: "JSON-RPC on" in log_of(validator), 60, "the start has begun")
    process = network.processes[0]
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    log = log_of(validator)
    assert "Traceback" not in log
    assert "Error" not in log


def test_a_validator_moves_by_backup(new_network: Networks) -> None:
    """Backup beside the running node, a new machine with the same key: it votes again, no fork."""
    network = new_network()
    start(network)
    *others, moved = network.validators
    wait_for(lambda: height(moved) >= 20, 90, "a chain that is not young any more")
    archive = network.options.folder / "backup.tar"
    made = assay("db", "backup", "--datadir", moved.folder, archive)
    assert int(str(made["head"])) >= 19
    network.kill(moved.index)
    moved.folder.rename(moved.folder.with_name("old machine"))
    restored = assay("db", "restore", "--datadir", moved.folder, archive)
    assert restored["genesis"] == made["genesis"]
    keys.write_private(moved.folder / "nodekey", moved.key.hex())
    wait_for(lambda: height(others[0]) > int(str(made["head"])) + 2, 60, "blocks without it")
    network.start(moved.index)
    wait_for(lambda: ask(moved, "qbft_status")["voting"], 60, "it votes")
    assert "has no signing history here: first vote at block" in log_of(moved)
    wait_for_height(network.validators, height(moved) + 2)
    assert not list(network.dead())


def test_a_wrong_inference_is_named(new_network: Networks) -> None:
    """Log and metric of the faulty node: model, input hash, its output and the right one."""
    network = new_network()
    ports, environments = watched(4)
    fault = {"PYTHONPATH": str(Path(__file__).parent / "faults" / "wrong_bit")}
    start(network, {**environments, 3: {**environments[3], **fault}})
    *honest, faulty = network.validators
    publish_small(honest[0])
    with sender_of(honest[0]) as sender:
        data = small_input(1)
        receipt_at(honest[0], sender.send(INFERENCE, inference(data), gas=200_000))
    model = hex_of(SMALL_ID)
    wait_for(
        lambda: scrape(ports[3], "assay_wrong_inferences_total", model=model) == 1, 60, "a report"
    )
    assert scrape(ports[3], "assay_diverged") == 1
    assert "differ" in get(ports[3], "/readyz")[1]
    lines = [json.loads(line) for line in log_of(faulty).splitlines()]
    (line,) = [line for line in lines if line["msg"].startswith("wrong inference in block")]
    right = run_reference(small_model(), data, 1)
    wrong = bytes([right[0] ^ 1]) + right[1:]
    assert line["model"] == model
    assert line["inputHash"] == hex_of(keccak256(data))
    assert (line["ownOutput"], line["referenceOutput"]) == (hex_of(wrong), hex_of(right))
    mark = height(honest[0])
    wait_for(lambda: height(honest[0]) >= mark + 2, 60, "the chain goes on")
    assert scrape(ports[0], "assay_diverged") == 0
