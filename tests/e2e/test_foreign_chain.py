"""Nodes of other chains are refused with a reason, and the network does not mind."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import Networks, free_ports
from tests.e2e.running import ask, height, log_of, wait_for, wait_for_height
from tools.devnet import CHAIN_ID, Network

pytestmark = pytest.mark.e2e


def start_stranger(
    network: Network, genesis: Path, folder: Path
) -> tuple[subprocess.Popen[bytes], str, Path]:
    """A node with another genesis that dials every validator; its process, URL and log."""
    port = free_ports(2)
    log = folder / "node.log"
    bootnodes = ",".join(f"127.0.0.1:{validator.p2p_port}" for validator in network.validators)
    command = [sys.executable, "-m", "tools", "node", "--genesis", str(genesis)]
    command += ["--datadir", str(folder), "--http.port", str(port), "--port", str(port + 1)]
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*command, "--bootnodes", bootnodes],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=dict(os.environ),
        )
    return process, f"http://127.0.0.1:{port}", log


@pytest.mark.parametrize(
    ("chain_id", "reason"),
    [
        (CHAIN_ID + 1, f"chain id {CHAIN_ID + 1}, this node is on {CHAIN_ID}"),
        (CHAIN_ID, "genesis 0x"),
    ],
    ids=["other chain id", "same chain id"],
)
def test_another_genesis(
    chain_id: int, reason: str, network: Network, new_network: Networks, tmp_path: Path
) -> None:
    other = new_network("other", validators=1, chain_id=chain_id)
    document = json.loads((other.options.folder / "genesis.json").read_text())
    document["timestamp"] = hex(int(document["timestamp"], 16) - 60)
    genesis = tmp_path / "genesis.json"
    genesis.write_text(json.dumps(document))
    folder = tmp_path / "stranger"
    folder.mkdir()
    before = height(network.validators[0])
    known = [log_of(validator) for validator in network.validators]
    process, url, log = start_stranger(network, genesis, folder)
    try:
        wait_for(
            lambda: log.read_text().count(reason) >= len(network.validators),
            60,
            "the stranger is told why",
        )
        refusal = f"chain id {chain_id}" if chain_id != CHAIN_ID else "genesis 0x"
        for validator, seen in zip(network.validators, known, strict=True):
            news = log_of(validator)[len(seen) :]
            assert f"refused 127.0.0.1: {refusal}" in news
            assert int(ask(validator, "net_peerCount"), 16) == 3
        assert process.poll() is None
    finally:
        process.terminate()
        process.wait(30)
    assert url
    wait_for_height(network.validators, max(before, height(network.validators[0])) + 2)
