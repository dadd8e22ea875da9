"""Nodes that come late, nodes that only follow, and networks without empty blocks."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from genesis.addresses import INFERENCE
from tests.e2e.conftest import Networks, free_ports
from tests.e2e.running import (
    ask,
    block_hash,
    height,
    inference,
    logged_output,
    publish_small,
    receipt_at,
    sender_of,
    small_input,
    wait_for,
    wait_for_height,
)
from tools.devnet import Network, Validator

pytestmark = pytest.mark.e2e


def test_a_late_node_follows_and_passes_transactions_on(network: Network, tmp_path: Path) -> None:
    publish_small(network.validators[0])
    port = free_ports(2)
    late = Validator(index=9, folder=tmp_path, key=b"\7" * 32, http_port=port, p2p_port=port + 1)
    bootnodes = ",".join(f"127.0.0.1:{validator.p2p_port}" for validator in network.validators)
    command = [sys.executable, "-m", "tools", "node", "--datadir", str(tmp_path)]
    command += ["--genesis", str(network.options.folder / "genesis.json")]
    command += ["--http.port", str(port), "--port", str(port + 1), "--bootnodes", bootnodes]
    with late.log_file.open("wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=dict(os.environ)
        )
    try:
        target = height(network.validators[0])
        wait_for(lambda: height(late) >= target, 60, "the late node catches up")
        for number in range(target + 1):
            assert block_hash(late, number) == block_hash(network.validators[1], number)
        status = ask(late, "qbft_status")
        assert status["voting"] is False
        assert status["address"] not in status["validators"]
        with sender_of(late, account=4) as sender:
            transaction = sender.send(INFERENCE, inference(small_input(3)), gas=200_000)
        outputs = {
            logged_output(receipt_at(node, transaction)) for node in (late, *network.validators)
        }
        assert len(outputs) == 1
        process.terminate()
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_no_empty_blocks(new_network: Networks) -> None:
    network = new_network(empty_blocks=False)
    network.start_all()
    first = network.validators[0]
    wait_for(lambda: int(ask(first, "net_peerCount"), 16) == 3, 60, "peers")
    time.sleep(6)  # longer than a round: waiting is no failure
    assert [height(validator) for validator in network.validators] == [0] * 4
    for number in (1, 2):
        with sender_of(network.validators[number]) as sender:
            receipt = sender.transact(b"\1" * 20, value=1, gas=21_000)
        assert int(receipt["blockNumber"], 16) == number
        wait_for_height(network.validators, number)
    time.sleep(3)
    assert height(first) == 2
