"""The whole line on four validators: publish, deploy, infer, compare, certify, verify, restart."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from genesis.addresses import INFERENCE, MODEL_REGISTRY
from genesis.predeploys import artifact
from precompiles.abi import decode, encode
from precompiles.model_store import chunk_address
from tests.e2e.conftest import Networks
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
    start,
    wait_for,
    wait_for_height,
)
from tests.precompiles.native_calls import SMALL, SMALL_ID, SMALL_INPUT, SMALL_OUTPUT, calldata
from tools import demo_run, keys
from tools.certify import fetch_certificate
from tools.client import Client, bytes_of, deploy, eth_call, hex_of
from tools.demo_run import DemoModel
from tools.devnet import Network
from tools.errors import ToolError
from tools.register import read_upload

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> DemoModel:
    folder = Path(tmp_path_factory.mktemp("models"))
    return demo_run.compile_demo_models(folder, lambda stage, done, total: None)[0]


def verify(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """``assay verify`` as its own process, in a folder of its own, without a network."""
    command = [sys.executable, "-m", "tools", "verify", *arguments]
    return subprocess.run(
        command,
        cwd=folder,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_an_inference_from_onnx_to_the_offline_check(
    network: Network, digits: DemoModel, tmp_path: Path
) -> None:
    first = network.validators[0]
    demo_run.publish(first.url, [digits], lambda stage, done, total: None)
    contract = demo_run.deploy_reader(first.url, digits, tmp_path / "demo.json")
    result = demo_run.infer(network.validators, contract, 100)
    assert result.digit == result.label == 4
    assert result.gas_used < 300_000
    assert len(result.witnesses) == 4
    assert len({witness.output for witness in result.witnesses}) == 1
    assert len({witness.block_hash for witness in result.witnesses}) == 1
    for witness in result.witnesses:
        assert witness.recomputed == witness.output
    assert demo_run.deploy_reader(first.url, digits, tmp_path / "demo.json") == contract

    certificate = fetch_certificate(network.validators[3].url, hex_of(result.transaction), None)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "certificate.json").write_text(json.dumps(certificate))
    genesis = (network.options.folder / "genesis.json").read_text()
    (elsewhere / "genesis.json").write_text(genesis)
    done = verify("certificate.json", "--genesis", "genesis.json", folder=elsewhere)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("The certificate holds.\n")

    text = (elsewhere / "certificate.json").read_text()
    forged = text.replace(result.witnesses[0].output.hex(), (b"\1" * 40).hex())
    assert forged != text
    (elsewhere / "forged.json").write_text(forged)
    done = verify("forged.json", "--genesis", "genesis.json", folder=elsewhere)
    assert done.returncode == 1
    assert "holds" not in done.stdout
    assert done.stderr.startswith("Error: ")


def test_every_validator_serves_the_chunks(network: Network) -> None:
    first = network.validators[0]
    assert publish_small(first, chunk_size=40) == SMALL_ID
    with Client(first.url) as client:
        assert read_upload(client, SMALL_ID).chunks == -(-len(SMALL) // 40)
    wait_for_height(network.validators, height(first))
    addresses = [hex_of(chunk_address(SMALL_ID, index)) for index in range(-(-len(SMALL) // 40))]
    for validator in network.validators:
        with Client(validator.url) as client:
            codes = client.batch([("eth_getCode", (address, "latest")) for address in addresses])
            assert b"".join(bytes_of(code)[1:] for code in codes) == SMALL
            call = calldata("infer(bytes32,bytes)", SMALL_ID, SMALL_INPUT)
            assert decode(("bytes",), eth_call(client, INFERENCE, call)) == (SMALL_OUTPUT,)


def test_all_stop_and_start_again(new_network: Networks) -> None:
    network = new_network()
    start(network)
    first = network.validators[0]
    publish_small(first, chunk_size=4096)
    with sender_of(first) as sender:
        arguments = encode(("bytes32", "uint256", "int256"), (SMALL_ID, 1, 10**18))
        pool = deploy(sender, bytes_of(artifact("RiskPool")["bytecode"]), arguments)
        sent = sender.send(MODEL_REGISTRY, b"", gas=100_000)  # unknown selector: mined, failed
        logged = sender.send(
            INFERENCE,
            inference(small_input(7)),
            gas=200_000,
        )
    output = logged_output(receipt_at(first, logged))
    assert receipt_at(first, sent)["status"] == "0x0"
    before = height(first)
    known = block_hash(first, before)
    network.stop()
    with pytest.raises(ToolError):
        height(first)

    network.start_all()
    wait_for(lambda: height(first) >= before, 30, "the first answer after the restart")
    wait_for_height(network.validators, before + 1)
    for validator in network.validators:
        assert block_hash(validator, before) == known
        assert logged_output(receipt_at(validator, logged)) == output
        assert ask(validator, "inference_nodeStatus")["diverged"] is False
    with sender_of(first) as sender:
        call = calldata("riskOf(int256[])", [10**18 // 2, 10**18, 3 * 10**18 // 2])
        assert decode(("int256",), eth_call(sender.client, pool, call)) == (10**18 // 4,)
        again = sender.transact(INFERENCE, inference(small_input(7)))
        assert logged_output(again) == output
        assert bytes_of(again["from"]) == keys.address_of(keys.dev_key(0))
