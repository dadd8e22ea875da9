"""Validators join and leave by votes while transactions pour in; every node agrees throughout."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Networks, free_ports
from tests.e2e.running import (
    ask,
    block_hash,
    height,
    receipt_at,
    sender_of,
    start,
    wait_for,
)
from tests.e2e.test_crash import load
from tools import keys
from tools.client import hex_of
from tools.devnet import Network, Validator

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[2]
ETHER = 10**18


def assay(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tools", *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )


def vote(voter: Validator, change: str, address: str, *more: str) -> Any:
    """``assay validators vote``, sent to the voter's own node with its own key."""
    done = assay(
        "validators", "vote", change, address, "--key", voter.folder / "nodekey",
        "--rpc", voter.url, "--json", *more,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@contextmanager
def fifth(network: Network, folder: Path) -> Iterator[Validator]:
    """A node of its own machine, configured by a file; no validator yet."""
    port = free_ports(2)
    node = Validator(index=4, folder=folder, key=b"\5" * 32, http_port=port, p2p_port=port + 1)
    keys.write_private(folder / "nodekey", node.key.hex())
    bootnodes = [f"127.0.0.1:{validator.p2p_port}" for validator in network.validators]
    config = folder / "node.toml"
    config.write_text(
        f'genesis = "{network.options.folder / "genesis.json"}"\ndatadir = "."\n'
        f"http.port = {port}\nport = {port + 1}\nbootnodes = {json.dumps(bootnodes)}\n"
    )
    command = [sys.executable, "-m", "tools", "node", "--config", str(config)]
    with node.log_file.open("wb") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ}
        )
    try:
        yield node
        process.terminate()
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()


def validators_of(node: Validator) -> set[str]:
    return set(ask(node, "qbft_status")["validators"])


def test_one_joins_and_one_leaves_under_load(new_network: Networks, tmp_path: Path) -> None:
    network = new_network()
    start(network)
    first, second, third, fourth = network.validators
    with sender_of(first, account=6) as sender:  # voters pay gas
        for validator in network.validators:
            sender.transact(validator.address, value=ETHER)
    (tmp_path / "fifth").mkdir()
    with fifth(network, tmp_path / "fifth") as new, load([first, second]) as loads:
        joining, leaving = hex_of(new.address), hex_of(fourth.address)
        wait_for(lambda: height(new) >= height(first) - 2, 60, "the new node follows")
        assert joining not in validators_of(first)
        assert vote(first, "add", joining) | {"transaction": ""} == {
            "transaction": "", "votes": 1, "needed": 3, "done": False,
        }  # fmt: skip
        assert vote(first, "add", joining, "--withdraw")["votes"] == 0
        refused = assay(
            "validators", "vote", "add", leaving, "--key", first.folder / "nodekey",
            "--rpc", first.url,
        )  # fmt: skip
        assert refused.returncode == 1
        assert "AlreadyValidator" in refused.stderr
        assert [vote(item, "add", joining)["done"] for item in (first, second, third)] == [
            False, False, True,
        ]  # fmt: skip
        wait_for(lambda: ask(new, "qbft_status")["voting"], 60, "the new validator votes")
        wait_for(lambda: int(signer(first, joining)["proposedBlockCount"], 16), 60, "it proposes")

        changed = [vote(item, "remove", leaving)["done"] for item in (first, second, third)]
        assert changed == [False, False, True]
        wait_for(lambda: leaving not in validators_of(new), 30, "the old one has left")
        assert ask(fourth, "qbft_status")["voting"] is False
        listed = json.loads(assay("validators", "list", "--rpc", new.url, "--json").stdout)
        assert set(listed) == validators_of(first) == validators_of(new)
        assert joining in listed
        assert leaving not in listed

        network.kill(fourth.index)  # nobody misses it: 4 of 4 are left, and one may fail
        network.kill(third.index)
        mark = height(first)
        wait_for(lambda: height(first) >= mark + 3, 60, "blocks with the new quorum")
        network.start(third.index)
        network.start(fourth.index)
        nodes = [*network.validators, new]
        target = height(first) + 2
        for node in nodes:
            wait_for(lambda node=node: height(node) >= target, 60, f"node {node.index} follows")
        assert len({block_hash(node, target) for node in nodes}) == 1
    for item in loads:
        assert item.accepted
        for digest in item.accepted[::10]:
            assert receipt_at(first, digest)["status"] == "0x1"


def signer(node: Validator, address: str) -> Any:
    """What ``qbft_getSignerMetrics`` says about one address."""
    found = {item["address"]: item for item in ask(node, "qbft_getSignerMetrics")}
    return found.get(address, {"proposedBlockCount": "0x0"})
