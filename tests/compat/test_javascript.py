"""ethers and viem, as people use them. Needs Node 20 and `npm ci` in this folder."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.rpc.local_chain import ACCOUNTS, LocalChain

HERE = Path(__file__).parent


@pytest.mark.parametrize(("flow", "index"), [("ethers", 0), ("viem", 1)])
def test_flow(flow: str, index: int, chain: LocalChain) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed")
    if not (HERE / "node_modules" / flow).exists():
        pytest.skip("run `npm ci` in tests/compat first")
    key = "0x" + bytes(ACCOUNTS[index].key).hex()
    command = [node, str(HERE / f"{flow}_flow.mjs"), chain.url, chain.ws_url, key]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
