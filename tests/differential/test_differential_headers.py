"""Header rules on random parents: difficulty, base fee and excess blob gas as EELS has them."""

import random
from dataclasses import replace
from typing import Any

import pytest

from chain.blobs import excess_blob_gas
from chain.difficulty import next_difficulty
from chain.fees import next_base_fee
from chain.header import EMPTY_LIST_HASH, Header, field_count
from genesis.forks import Fork, schedule_of
from tests.chain import records
from tests.differential.eels import FORKS, Eels

CASES = 40


def random_parent(rnd: random.Random, fork: Fork) -> Header:
    """A header of this fork; what the rules read is anything that a chain may reach."""
    gas_limit = rnd.choice([5_000, 30_000_000, rnd.randrange(5_000, 1 << 40)])
    target = gas_limit // 2
    blobs = schedule_of(fork).blob_parameters(0)
    fields: dict[str, Any] = {
        "number": rnd.choice([0, 99_999, 4_369_999, 9_199_999, 15_049_999, rnd.randrange(1 << 25)]),
        "timestamp": rnd.randrange(1 << 40),
        "difficulty": rnd.choice([131_072, rnd.randrange(131_072, 1 << 60)]),
        "ommers_hash": rnd.choice([EMPTY_LIST_HASH, bytes(32)]),
        "gas_limit": gas_limit,
        "gas_used": rnd.choice([0, target, target + 1, gas_limit, rnd.randrange(gas_limit + 1)]),
        "base_fee_per_gas": rnd.choice([7, 8, 10**9, rnd.randrange(7, 1 << 50)]),
        "excess_blob_gas": rnd.choice([0, 1 << 17, rnd.randrange(1 << 27)]),
        "blob_gas_used": 0 if blobs is None else rnd.randrange(blobs.max + 1) << 17,
        "field_count": field_count(fork),
    }
    return replace(records.header(), **fields)


@pytest.mark.parametrize("fork", list(FORKS), ids=lambda fork: fork.name)
def test_header_rules(eels: Eels, fork: Fork) -> None:
    rnd = random.Random(fork)
    for _ in range(CASES):
        parent = random_parent(rnd, fork)
        timestamp = parent.timestamp + rnd.choice([1, 8, 9, 10, 13, 20, 900, 2_000])
        found = eels.ask(
            "header",
            fork=FORKS[fork],
            parent=parent.rlp,
            gas_limit=parent.gas_limit,
            timestamp=timestamp,
        )
        expected = {}
        if fork >= Fork.LONDON:
            expected["base_fee_per_gas"] = next_base_fee(parent)
        if fork < Fork.PARIS:
            expected["difficulty"] = next_difficulty(fork, parent, timestamp)
        if fork >= Fork.CANCUN:
            expected["excess_blob_gas"] = excess_blob_gas(schedule_of(fork), parent, timestamp)
        assert expected == found, parent
