"""A sample of the official fixtures, from every folder; ``assay blocktest`` runs the whole set."""

import random
from pathlib import Path

import pytest

from chain.deep_stack import run_deep
from tools.blocktest.fixtures import find_files, read_tests
from tools.blocktest.runner import Mismatch, run_file, run_test

FOLDER = Path(__file__).parents[3] / "shared" / "conformance" / "eest" / "blockchain_tests"
FOLDERS = sorted(path.name for path in FOLDER.iterdir()) if FOLDER.is_dir() else []
FILES = 6
PER_FILE = 3


def run_sample(name: str, files: int, per_file: int) -> tuple[int, list[str]]:
    """How many tests ran, and what is wrong with those that failed."""
    rnd = random.Random(name)
    count, failures = 0, []
    found = find_files((FOLDER / name,))
    for file in rnd.sample(found, min(files, len(found))):
        tests = list(read_tests(file))
        for test in rnd.sample(tests, min(per_file, len(tests))):
            count += 1
            try:
                run_test(test)
            except Mismatch as error:
                failures.append(f"{test.name}: {error}")
    return count, failures


@pytest.mark.skipif(not FOLDERS, reason="no official fixtures beside the repository")
@pytest.mark.parametrize("name", FOLDERS)
def test_official_fixtures(name: str) -> None:
    count, failures = run_deep(run_sample, name, FILES, PER_FILE)
    assert count > 0
    assert failures == []


@pytest.mark.slow
@pytest.mark.skipif(not FOLDERS, reason="no official fixtures beside the repository")
@pytest.mark.parametrize("name", FOLDERS)
def test_every_official_fixture(name: str) -> None:
    results = [result for file in find_files((FOLDER / name,)) for result in run_file(file)]
    assert results
    assert [result for result in results if result.reason] == []
