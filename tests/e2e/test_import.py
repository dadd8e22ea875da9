"""``assay import`` beside ``assay node --consensus none``: a chain is served while it grows."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from genesis.spec import format_genesis
from tests.consensus.sealed_chain import KEYS, USER, SealedChain, address_of
from tests.e2e.conftest import free_ports
from tests.e2e.running import wait_for
from tools.client import Client
from tools.errors import RequestRefused
from tools.transfer import export_file

pytestmark = pytest.mark.e2e
FIXTURES = Path(__file__).parents[3] / "shared" / "conformance" / "execution-apis"
BLOCKS = 60
PAID = (0xABC).to_bytes(20, "big")


@dataclass(frozen=True)
class Source:
    genesis: Path
    file: Path
    next_transaction: bytes


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    folder = tmp_path_factory.mktemp("source")
    chain = SealedChain(folder / "chain")
    (folder / "genesis.json").write_text(format_genesis(chain.spec))
    for _ in range(BLOCKS):
        chain.add([chain.transaction(USER, PAID, b"", 100_000)])
    export_file(chain.store, folder / "chain.rlp.gz", 1, BLOCKS)
    following = chain.transaction(USER, address_of(KEYS[0]), b"", 100_000)
    chain.close()
    return Source(folder / "genesis.json", folder / "chain.rlp.gz", following.raw)


def assay(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tools", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
    )


@dataclass(frozen=True)
class Node:
    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def ask(self, method: str, *params: Any) -> Any:
        with Client(self.url, timeout_seconds=30) as client:
            return client.request(method, *params)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Any]:
    """Starts ``assay node --consensus none``; stops it with SIGTERM."""
    nodes: list[Node] = []

    def start(genesis: Path, datadir: Path) -> Node:
        port, log = free_ports(1), tmp_path / "node.log"
        command = [sys.executable, "-m", "tools", "node", "--consensus", "none"]
        command += ["--genesis", str(genesis), "--datadir", str(datadir), "--http.port", str(port)]
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        nodes.append(Node(f"http://127.0.0.1:{port}", process, log))
        return nodes[-1]

    yield start
    for node in nodes:
        node.process.terminate()
        assert node.process.wait(20) == 0, node.log.read_text()


def test_a_chain_is_served_while_it_is_imported(serve: Any, source: Source, tmp_path: Path) -> None:
    datadir = tmp_path / "data"
    node = serve(source.genesis, datadir)
    wait_for(lambda: node.ask("eth_blockNumber") == "0x0", 30, "block 0 is served")
    arguments = ("--genesis", source.genesis, "--datadir", datadir, "--history.state", "5")
    done = assay("import", *arguments, source.file)
    assert done.returncode == 0, done.stderr
    wait_for(lambda: int(node.ask("eth_blockNumber"), 16) == BLOCKS, 10, "the imported head")
    head, sender = hex(BLOCKS), "0x" + address_of(USER).hex()
    assert node.ask("eth_getTransactionCount", sender, "latest") == hex(BLOCKS)
    assert node.ask("eth_getTransactionCount", sender, hex(BLOCKS - 4)) == hex(BLOCKS - 4)
    assert node.ask("eth_call", {"to": "0x" + PAID.hex()}, head) == "0x"
    requests: list[tuple[str, tuple[Any, ...]]] = [
        ("eth_getBalance", (sender, hex(BLOCKS - 5))),
        ("eth_getProof", (sender, [], "0x1")),
        ("eth_call", ({"to": "0x" + PAID.hex()}, "0x1")),
        ("eth_estimateGas", ({"to": "0x" + PAID.hex()}, "0x1")),
        ("eth_createAccessList", ({"to": "0x" + PAID.hex()}, "0x1")),
    ]
    for method, params in requests:
        with pytest.raises(
            RequestRefused, match=r"missing trie node .* is not available"
        ) as failed:
            node.ask(method, *params)
        assert failed.value.code == -32000
    assert len(node.ask("qbft_getValidatorsByBlockNumber", "0x1")) == 4
    assert node.ask("eth_getBlockByNumber", "0x1", True)["transactions"][0]["nonce"] == "0x0"
    transaction = "0x" + source.next_transaction.hex()
    assert node.ask("eth_sendRawTransaction", transaction).startswith("0x")
    assert node.ask("txpool_status") == {"pending": "0x1", "queued": "0x0"}
    assert node.ask("eth_call", {"to": "0x" + PAID.hex()}, "latest") == "0x"  # readers live on
    checked = assay("db", "check", "--datadir", datadir, "--genesis", source.genesis)
    assert checked.returncode == 0, checked.stdout


def test_ctrl_c_stops_after_a_block(source: Source, tmp_path: Path) -> None:
    datadir = tmp_path / "data"
    command = [sys.executable, "-m", "tools", "import", "--genesis", str(source.genesis)]
    command += ["--datadir", str(datadir), str(source.file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as importer:
        wait_for(lambda: (datadir / "chain" / "data.mdb").exists(), 30, "the import has begun")
        busy = assay("import", *command[4:])
        importer.send_signal(signal.SIGINT)
        out, _ = importer.communicate(timeout=60)
    if "in use by another node" not in busy.stderr:  # the first one was faster than our start
        assert busy.returncode == 0
    assert importer.returncode in (0, 130)
    assert out.startswith("Imported ")
    done = assay("import", *command[4:])
    assert done.returncode == 0, done.stderr
    assert f"Head: block {BLOCKS} " in done.stdout


@pytest.mark.skipif(not FIXTURES.is_dir(), reason="no folder of official fixtures")
def test_a_chain_with_the_rules_of_ethereum(serve: Any, tmp_path: Path) -> None:
    genesis, datadir = FIXTURES / "genesis.json", tmp_path / "data"
    done = assay("import", "--genesis", genesis, "--datadir", datadir, FIXTURES / "chain.rlp")
    assert done.returncode == 0, done.stderr
    node = serve(genesis, datadir)
    wanted = json.loads((FIXTURES / "headfcu.json").read_text())["params"][0]["headBlockHash"]
    wait_for(lambda: node.ask("eth_chainId"), 30, "an answer")
    assert node.ask("eth_getBlockByNumber", "latest", False)["hash"] == wanted
    assert node.ask("net_peerCount") == "0x0"
    assert node.ask("eth_syncing") is False
    refused = assay("node", "--genesis", genesis, "--datadir", tmp_path / "other")
    assert refused.returncode == 1
    assert "config.assay: absent" in refused.stderr
