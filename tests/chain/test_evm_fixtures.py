"""A sample of the official Prague fixtures; the whole set is a job of its own."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from tests.chain.blocktests import fixture_folder, fixtures_of, run_fixture
from tests.chain.evm_world import in_deep_thread

FOLDER = fixture_folder()
SAMPLED = (
    "prague/eip2935_historical_block_hashes_from_state",
    "prague/eip6110_deposits",
    "prague/eip7002_el_triggerable_withdrawals",
    "prague/eip7251_consolidations",
    "prague/eip7623_increase_calldata_cost",
    "prague/eip7685_general_purpose_el_requests",
    "prague/eip7702_set_code_tx",
    "cancun",
    "berlin",
    "byzantium",
    "frontier",
    "homestead",
    "istanbul",
    "london",
    "paris",
    "shanghai",
    "static",
)
FILES = 12
PER_FILE = 2


def sample(name: str) -> list[tuple[str, dict[str, Any]]]:
    rnd = random.Random(name)
    assert FOLDER is not None
    files = sorted(Path(FOLDER, name).rglob("*.json"))
    chosen: list[tuple[str, dict[str, Any]]] = []
    for file in rnd.sample(files, min(FILES, len(files))):
        fixtures = list(fixtures_of(json.loads(file.read_text()), "Prague"))
        chosen += rnd.sample(fixtures, min(PER_FILE, len(fixtures)))
    return chosen


@pytest.mark.skipif(FOLDER is None, reason="no official fixtures beside the repository")
@pytest.mark.parametrize("name", SAMPLED)
def test_official_fixtures(name: str) -> None:
    fixtures = sample(name)
    assert fixtures

    def run() -> None:
        for title, fixture in fixtures:
            try:
                run_fixture(fixture)
            except AssertionError as error:
                raise AssertionError(f"{title}: {error}") from error

    in_deep_thread(run)
