"""Difficulty and blob gas against values of Ethereum's executable specification."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.blobs import GAS_PER_BLOB, blob_base_fee, blob_fee_of, excess_blob_gas
from chain.difficulty import MIN_DIFFICULTY, next_difficulty
from chain.header import EMPTY_LIST_HASH
from genesis.forks import (
    CANCUN_BLOBS,
    PRAGUE_BLOBS,
    BlobParameters,
    Fork,
    ForkSchedule,
    schedule_of,
)
from tests.chain import records
from tests.chain.fixture_chain import fixture_chain

VECTORS = Path(__file__).parents[1] / "vectors"
BPO = {
    "bpo1": BlobParameters(10, 15, 8_346_193),
    "bpo2": BlobParameters(14, 21, 11_684_671),
}


def rows(name: str) -> list[list[Any]]:
    found: list[list[Any]] = json.loads((VECTORS / name).read_text())["rows"]
    return found


@pytest.mark.parametrize("row", rows("difficulty.json"), ids=lambda row: f"{row[0]}-{row[1]}")
def test_difficulty_is_that_of_the_specification(row: list[Any]) -> None:
    fork, number, before, timestamp, difficulty, has_ommers, want = row
    parent = records.header(
        number=number - 1,
        timestamp=before,
        difficulty=difficulty,
        ommers_hash=b"o" * 32 if has_ommers else EMPTY_LIST_HASH,
    )
    assert next_difficulty(Fork[fork.upper()], parent, timestamp) == want


def test_difficulty_of_the_fixture_chain() -> None:
    """36 blocks with and without ommers, Homestead to Gray Glacier."""
    spec, blocks = fixture_chain()
    for parent, block in pairwise(blocks[:36]):
        fork = spec.schedule.fork(block.number, block.header.timestamp)
        found = next_difficulty(fork, parent.header, block.header.timestamp)
        assert found == block.header.difficulty, block.number


@given(
    st.sampled_from([fork for fork in Fork if fork < Fork.PARIS]),
    st.integers(0, 20_000_000),
    st.integers(MIN_DIFFICULTY, 2**64),
    st.integers(1, 10**6),
)
def test_difficulty_never_falls_below_the_least(
    fork: Fork, number: int, difficulty: int, elapsed: int
) -> None:
    parent = records.header(number=number, difficulty=difficulty, timestamp=5)
    found = next_difficulty(fork, parent, 5 + elapsed)
    assert found >= MIN_DIFFICULTY
    assert found >= next_difficulty(fork, parent, 6 + elapsed)


@pytest.mark.parametrize("row", rows("excess_blob_gas.json"), ids=str)
def test_excess_blob_gas_is_that_of_the_specification(row: list[Any]) -> None:
    name, excess, used, base_fee, want = row
    fork = Fork.OSAKA if name in BPO else Fork[name.upper()]
    schedule = schedule_of(fork)
    if name in BPO:
        schedule = ForkSchedule(schedule.blocks, schedule.times, ((0, BPO[name]),))
    parent = records.header(
        excess_blob_gas=excess, blob_gas_used=used, base_fee_per_gas=base_fee, timestamp=1
    )
    assert excess_blob_gas(schedule, parent, 2) == want


@pytest.mark.parametrize(
    ("excess", "fraction", "fee"),
    [
        (0, 3_338_477, 1),
        (2_314_057, 3_338_477, 1),
        (2_314_058, 3_338_477, 2),
        (10 * 1024 * 1024, 3_338_477, 23),
        (148_099_578, 3_338_477, 18446739238971471609),
        (148_099_579, 3_338_477, 18446744762204311910),
        (161_087_488, 3_338_477, 902580055246494526580),
        (25_038_580, 5_007_716, 148),
        (81_792_698, 11_684_671, 1096),
    ],
)
def test_blob_base_fees(excess: int, fraction: int, fee: int) -> None:
    assert blob_base_fee(excess, fraction) == fee


def test_the_first_cancun_block_has_no_excess() -> None:
    schedule = ForkSchedule(((0, Fork.PARIS),), ((0, Fork.SHANGHAI), (100, Fork.CANCUN)))
    parent = records.header(field_count=17, timestamp=90)
    assert excess_blob_gas(schedule, parent, 99) == 0
    schedule = ForkSchedule(schedule.blocks, schedule.times, ((100, CANCUN_BLOBS),))
    assert excess_blob_gas(schedule, parent, 100) == 0
    assert blob_fee_of(schedule, parent) == 0
    assert blob_fee_of(schedule, records.header(timestamp=100)) == 1


def test_the_reserve_price_begins_with_osaka() -> None:
    """EIP-7918: above 16 * blob base fee the excess falls no more, from Osaka's first block on."""
    blobs = ((0, PRAGUE_BLOBS),)
    schedule = ForkSchedule(((0, Fork.PARIS),), ((0, Fork.PRAGUE), (100, Fork.OSAKA)), blobs)

    def excess(timestamp: int, base_fee: int) -> int:
        parent = records.header(
            timestamp=90,
            excess_blob_gas=6 * GAS_PER_BLOB,
            blob_gas_used=3 * GAS_PER_BLOB,
            base_fee_per_gas=base_fee,
        )
        return excess_blob_gas(schedule, parent, timestamp)

    assert excess(99, 17) == 3 * GAS_PER_BLOB
    assert excess(100, 16) == 3 * GAS_PER_BLOB
    assert excess(100, 17) == 6 * GAS_PER_BLOB + 3 * GAS_PER_BLOB * 3 // 9


def test_a_schedule_without_blobs_divides_by_nothing() -> None:
    schedule = ForkSchedule(
        ((0, Fork.PARIS),), ((0, Fork.OSAKA),), ((0, BlobParameters(0, 0, 5_007_716)),)
    )
    assert excess_blob_gas(schedule, records.header(timestamp=1), 2) == 0
