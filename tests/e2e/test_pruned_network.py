"""Validators that keep two states: they sync, crash, answer and export like any other."""

import subprocess
import sys
from pathlib import Path

import pytest

from chain.store import Store
from chain.store_check import check_store
from genesis.spec import parse_genesis
from tests.e2e.conftest import Networks
from tests.e2e.running import ask, height, sender_of, start, wait_for_height
from tools.client import hex_of
from tools.errors import RequestRefused

pytestmark = pytest.mark.e2e
HISTORY = 2
RECIPIENT = b"\xee" * 20


def test_two_states_are_enough(new_network: Networks, tmp_path: Path) -> None:
    network = new_network("pruned", history=HISTORY)
    start(network)
    network.kill(3)
    first, last = network.validators[0], network.validators[3]
    with sender_of(first) as sender:
        for _ in range(20):
            sender.send(RECIPIENT, value=1, gas=21_000)
    wait_for_height([first], height(first) + 5)
    with pytest.raises(RequestRefused, match="missing trie node"):
        ask(first, "eth_getBalance", hex_of(RECIPIENT), "0x0")
    assert int(ask(first, "eth_getBalance", hex_of(RECIPIENT), "latest"), 16) == 20
    network.start(3)  # it has missed more blocks than the others keep states
    wait_for_height(network.validators, height(first) + 2)
    assert not list(network.dead())
    network.stop()
    spec = parse_genesis((network.options.folder / "genesis.json").read_bytes())
    for validator in network.validators:
        with Store(validator.folder / "chain", readonly=True) as store:
            report = check_store(store, spec)
        assert report.problems == ()
        assert report.oldest_state == report.head - HISTORY + 1
    file, copy = tmp_path / "chain.rlp.gz", tmp_path / "copy"
    assay("export", "--datadir", str(last.folder), str(file))
    genesis = str(network.options.folder / "genesis.json")
    assay("import", "--genesis", genesis, "--datadir", str(copy), str(file))
    with (
        Store(copy / "chain", readonly=True) as imported,
        Store(last.folder / "chain", readonly=True) as source,
    ):
        assert imported.head() == source.head()


def assay(*arguments: str) -> None:
    command = [sys.executable, "-m", "tools", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
