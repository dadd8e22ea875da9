"""ethers, viem and web3.py against four validators, side by side: each talks to another one."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from web3 import Web3
from web3.exceptions import ContractCustomError
from web3.middleware import SignAndSendRawMiddlewareBuilder

from tools import keys
from tools.devnet import Network, Validator

pytestmark = pytest.mark.e2e
FLOWS = Path(__file__).parents[1] / "compat"
TIMEOUT_SECONDS = 180


def start_flow(flow: str, validator: Validator, account: int) -> subprocess.Popen[str] | str:
    """The flow of tests/compat as a process, or why it cannot run here."""
    node = shutil.which("node")
    if node is None:
        return "Node is not installed"
    if not (FLOWS / "node_modules" / flow).exists():
        return "run `npm ci` in tests/compat first"
    url = validator.url
    key = "0x" + keys.dev_key(account).hex()
    command = [node, str(FLOWS / f"{flow}_flow.mjs"), url, url.replace("http", "ws", 1), key]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.fixture(scope="module")
def flows(network: Network) -> Any:
    """Both JavaScript flows, started together; they wait for blocks most of the time."""
    started = {
        flow: start_flow(flow, network.validators[index], index)
        for index, flow in ((1, "ethers"), (2, "viem"))
    }
    yield started
    for process in started.values():
        if not isinstance(process, str):
            process.kill()
            process.communicate()


def test_web3py(network: Network, flows: Any) -> None:
    account = Account.from_key(keys.dev_key(3))
    w3 = Web3(Web3.HTTPProvider(network.validators[3].url))
    w3.middleware_onion.inject(SignAndSendRawMiddlewareBuilder.build(account), layer=0)
    w3.eth.default_account = account.address
    artifact = json.loads((FLOWS / "Counter.json").read_text())
    factory = w3.eth.contract(abi=artifact["abi"], bytecode=artifact["bytecode"])
    deployed = w3.eth.wait_for_transaction_receipt(factory.constructor(3).transact(), timeout=60)
    counter = w3.eth.contract(address=deployed["contractAddress"], abi=artifact["abi"])
    assert counter.functions.number().call() == 3
    with pytest.raises(ContractCustomError):
        counter.functions.set(5000).transact()
    receipt = w3.eth.wait_for_transaction_receipt(counter.functions.set(8).transact(), timeout=60)
    assert receipt["status"] == 1
    (event,) = counter.events.Set().get_logs(from_block=deployed["blockNumber"])
    assert event["args"]["value"] == counter.functions.number().call() == 8
    block = w3.eth.get_block(receipt["blockNumber"])
    assert receipt["transactionHash"] in block["transactions"]
    assert len(block["extraData"]) <= 32


@pytest.mark.parametrize("flow", ["ethers", "viem"])
def test_javascript(flow: str, flows: Any) -> None:
    process = flows[flow]
    if isinstance(process, str):
        pytest.skip(process)
    output, _ = process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == 0, output
