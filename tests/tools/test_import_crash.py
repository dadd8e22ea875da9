"""``kill -9`` at any moment of an import: what was acknowledged is there, and the rest is whole."""

import random
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from chain.store import Store
from chain.store_check import check_store
from genesis.spec import GenesisSpec, format_genesis
from tests.consensus.sealed_chain import USER, SealedChain
from tests.tools.crash_importer import HISTORY
from tools.transfer import export_file

ROOT = Path(__file__).parents[2]
BLOCKS = 120


@dataclass(frozen=True)
class Source:
    spec: GenesisSpec
    genesis: Path
    file: Path
    head: bytes


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """Blocks with two transfers each, to accounts that come and come again."""
    folder = tmp_path_factory.mktemp("crash")
    chain = SealedChain(folder / "chain")
    for number in range(BLOCKS):
        chain.add(
            [
                chain.transaction(
                    USER, (1_000 + number * 7 % 50).to_bytes(20, "big"), b"", 100_000
                ),
                chain.transaction(USER, (2_000 + number).to_bytes(20, "big"), b"", 100_000),
            ]
        )
    export_file(chain.store, folder / "chain.rlp", 1, BLOCKS)
    (folder / "genesis.json").write_text(format_genesis(chain.spec))
    head = chain.store.head_hash()
    chain.close()
    return Source(chain.spec, folder / "genesis.json", folder / "chain.rlp", head)


def import_and_kill(source: Source, folder: Path, blocks: int, delay: float) -> int:
    """Height of the last acknowledged block; killed ``delay`` seconds after so many ``blocks``."""
    command = [sys.executable, "-m", "tests.tools.crash_importer"]
    with subprocess.Popen(
        [*command, source.genesis, folder, source.file],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as importer:
        assert importer.stdout is not None
        lines = [importer.stdout.readline() for _ in range(blocks)]
        time.sleep(delay)
        importer.kill()
        lines += importer.stdout.read().splitlines()
    whole = [int(line) for line in lines if line.strip().isdigit()]
    return max(whole, default=0)


def kill_imports(source: Source, folder: Path, kills: int, seed: int) -> None:
    """Kill ``kills`` running imports; one that had ended does not count."""
    chance, hits, turn = random.Random(seed), 0, 0
    while hits < kills:
        path, blocks = folder / f"copy{turn}", chance.randrange(16)
        delay = chance.uniform(
            0, 0.006 if blocks else 0.6
        )  # a block takes about 3 ms, a start 0.4 s
        acknowledged = import_and_kill(source, path, blocks, delay)
        with Store(path) as store:
            if store.is_empty():
                hits += 1
                continue
            head = store.head()
            assert acknowledged <= head.number <= BLOCKS, f"kill {hits} of seed {seed}"
            report = check_store(store, source.spec)
            assert report.problems == (), f"kill {hits} of seed {seed}"
            assert report.oldest_state == max(0, head.number - HISTORY + 1)
        if head.number < BLOCKS:
            hits += 1
        else:
            assert head.hash == source.head
            turn += 1


def test_a_few_kills(source: Source, tmp_path: Path) -> None:
    kill_imports(source, tmp_path, 5, seed=1)


@pytest.mark.slow
def test_a_hundred_kills(source: Source, tmp_path: Path) -> None:
    kill_imports(source, tmp_path, 100, seed=2)
