"""Validators that compute or propose a wrong inference: the chain goes on without their errors."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from genesis.addresses import INFERENCE
from precompiles.runner import run_reference
from tests.e2e.conftest import Networks
from tests.e2e.running import (
    ask,
    height,
    inference,
    log_of,
    logged_output,
    publish_small,
    receipt_at,
    sender_of,
    small_input,
    start,
    wait_for,
    wait_for_height,
)
from tests.precompiles.native_calls import small_model
from tools.client import Sender
from tools.devnet import Network

pytestmark = pytest.mark.e2e
FAULTS = Path(__file__).parent / "faults"
FAULTY = 3


def start_with(network: Network, fault: str) -> None:
    """Start four validators, the last one with a fault."""
    start(network, {FAULTY: {"PYTHONPATH": str(FAULTS / fault)}})
    publish_small(network.validators[0])


def send(sender: Sender, number: int) -> bytes:
    return sender.send(INFERENCE, inference(small_input(number)), gas=200_000)


def right_output(number: int) -> bytes:
    return run_reference(small_model(), small_input(number), 1)


def test_a_wrong_bit_stays_behind_loudly(new_network: Networks) -> None:
    network = new_network()
    start_with(network, "wrong_bit")
    *honest, faulty = network.validators
    with sender_of(honest[0]) as sender:
        transaction = send(sender, 1)
        receipts = [receipt_at(validator, transaction) for validator in honest]
        for receipt in receipts:
            assert logged_output(receipt) == right_output(1)
        decided = int(receipts[0]["blockNumber"], 16)

        status = partial(ask, faulty, "inference_nodeStatus")
        wait_for(lambda: status()["diverged"], 30, "the faulty validator notices")
        assert int(status()["head"], 16) == height(faulty) == decided - 1
        state: dict[str, Any] = ask(faulty, "qbft_status")
        assert state["diverged"] is True
        assert state["voting"] is False

        log = log_of(faulty)
        assert f"voting against block {decided} of" in log
        assert f"DIVERGED at block {decided} {receipts[0]['blockHash']}" in log
        files = list((faulty.folder / "divergence").glob(f"{decided}-*.json"))
        assert files
        for file in files:
            evidence = json.loads(file.read_text())
            assert "receipts_root: declared 0x" in evidence["reason"]
            assert "0x" + transaction.hex() in evidence["transactions"]

        later = send(sender, 2)
        for validator in honest:
            assert logged_output(receipt_at(validator, later, 60)) == right_output(2)
    target = height(honest[0]) + 2
    wait_for_height(honest, target)
    assert height(faulty) == decided - 1
    for validator in honest:
        assert ask(validator, "inference_nodeStatus")["diverged"] is False
        assert "DIVERGED" not in log_of(validator)

    network.kill(FAULTY)  # and repaired: its database has nothing wrong in it
    network.start(FAULTY)
    wait_for(lambda: ask(faulty, "qbft_status")["voting"], 60, "the repaired validator votes")
    wait_for_height(network.validators, target)
    assert logged_output(receipt_at(faulty, transaction)) == right_output(1)
    assert ask(faulty, "inference_nodeStatus")["diverged"] is False


def test_a_forged_output_never_gets_a_block(new_network: Networks) -> None:
    network = new_network()
    start_with(network, "forged_proposal")
    *honest, forger = network.validators
    miner = "0x" + forger.address.hex()
    refusal = f"of {miner}: receipts_root"
    with sender_of(honest[0]) as sender:
        for number in range(1, 12):
            transaction = send(sender, number)
            receipts = [receipt_at(validator, transaction) for validator in network.validators]
            block = ask(honest[0], "eth_getBlockByHash", receipts[0]["blockHash"], False)
            assert block["miner"] != miner
            for receipt in receipts:
                assert receipt["blockHash"] == block["hash"]
                assert logged_output(receipt) == right_output(number)
            if all(refusal in log_of(validator) for validator in honest):
                break
        else:
            pytest.fail("the forger never proposed")
    target = height(honest[0]) + 4
    wait_for_height(network.validators, target)
    miners = {
        ask(honest[0], "eth_getBlockByNumber", hex(number), False)["miner"]
        for number in range(1, target + 1)
    }
    assert miner in miners  # its honest blocks are welcome
    for validator in network.validators:
        assert ask(validator, "inference_nodeStatus")["diverged"] is False


def test_a_wrong_processor_does_not_start(new_network: Networks) -> None:
    network = new_network(validators=1)
    network.start(0, {"PYTHONPATH": str(FAULTS / "wrong_kernel")})
    process = network.processes[0]
    assert process.wait(60) == 1
    log = log_of(network.validators[0])
    assert "kernel self-test: digest" in log
    assert log.splitlines()[-1].startswith("Error: ")
