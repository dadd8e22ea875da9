"""What blocks of the official fixtures say they add to and remove from the state, against a walk.

The counts of a pruned database depend on it: one node too many removed, and a state is damaged.
"""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from chain.deep_stack import run_deep
from chain.execution import execute_block
from chain.header import Header
from chain.requests import ExecutedBlock
from chain.state_walk import occurrences
from tools.blocktest import tree
from tools.blocktest.fixtures import find_files, read_tests
from tools.blocktest.runner import run_test

FOLDER = Path(__file__).parents[3] / "shared" / "conformance" / "eest" / "blockchain_tests"
FILES = 120
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="no folder of official fixtures")


def check(parent: Header, source: Any, executed: ExecutedBlock) -> None:
    def node(digest: bytes) -> bytes:
        return executed.nodes.get(digest) or bytes(source.node(digest))

    before = occurrences(source.node, parent.state_root)
    after = occurrences(node, executed.block.header.state_root)
    assert Counter(executed.added) == after - before
    assert Counter(executed.removed) == before - after
    assert executed.nodes.keys() >= executed.added.keys()


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Heights of the blocks that were executed and compared."""
    heights: list[int] = []

    def execute(spec: Any, parent: Header, block: Any, source: Any) -> ExecutedBlock:
        executed = execute_block(spec, parent, block, source)
        check(parent, source, executed)
        heights.append(block.number)
        return executed

    monkeypatch.setattr(tree, "execute_block", execute)
    return heights


def run_files(files: list[Path], per_file: int) -> None:
    rnd = random.Random(1)
    for file in files:
        tests = list(read_tests(file))
        for test in rnd.sample(tests, min(per_file, len(tests))):
            run_test(test)


def test_a_sample_of_fixtures(checked: list[int]) -> None:
    files = random.Random(3).sample(find_files((FOLDER,)), FILES)
    run_deep(run_files, files, 1)
    assert len(checked) >= FILES // 2


@pytest.mark.slow
def test_every_fixture(checked: list[int]) -> None:
    run_deep(run_files, find_files((FOLDER,)), 1_000)
    assert checked
