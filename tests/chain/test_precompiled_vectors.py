"""Every precompiled contract against the executable specification's answers, fork by fork."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from chain.evm.frame import Precompile
from chain.evm.precompiled.table import ethereum_precompiles
from genesis.forks import Fork
from tests.chain.precompiled_frames import Outcome, outcome_of

VECTORS = Path(__file__).parents[1] / "vectors" / "precompiled.json"
ADDRESSES = (*range(1, 0x12), 0x100)


@cache
def vectors() -> Mapping[str, Any]:
    return json.loads(VECTORS.read_text())  # type: ignore[no-any-return]


def contract(fork: Fork, address: int) -> Precompile:
    return ethereum_precompiles(fork)[address.to_bytes(20, "big")]


@pytest.mark.parametrize("address", ADDRESSES)
def test_equals_the_specification(address: int) -> None:
    cases = [case for case in vectors()["cases"] if case[1] == address]
    assert len(cases) >= 10
    for fork, _, name, data, gas, output in cases:
        want = None if gas is None else Outcome(gas, bytes.fromhex(output))
        have = outcome_of(contract(Fork[fork.upper()], address), bytes.fromhex(data))
        assert have == want, f"{fork} {address:#x} {name}: {data}"


@pytest.mark.parametrize("address", ADDRESSES)
def test_costs_exactly_its_gas(address: int) -> None:
    succeeding = [case for case in vectors()["cases"] if case[1] == address and case[4]]
    for fork, _, name, data, gas, output in succeeding[:: max(1, len(succeeding) // 3)]:
        run = contract(Fork[fork.upper()], address)
        assert outcome_of(run, bytes.fromhex(data), gas) == Outcome(gas, bytes.fromhex(output))
        assert outcome_of(run, bytes.fromhex(data), gas - 1) is None, name


@pytest.mark.parametrize(("address", "size"), [(0x0C, 160), (0x0E, 288)])
def test_multiplications_are_discounted(address: int, size: int) -> None:
    table = vectors()["msm_gas"][str(address)]
    for count, gas in enumerate(table, 1):
        found = outcome_of(contract(Fork.OSAKA, address), bytes(size * count))
        assert found is not None
        assert found.gas == gas, f"{count} points"


def test_addresses_of_each_fork() -> None:
    want = {
        Fork.FRONTIER: 4,
        Fork.HOMESTEAD: 4,
        Fork.SPURIOUS_DRAGON: 4,
        Fork.BYZANTIUM: 8,
        Fork.PETERSBURG: 8,
        Fork.ISTANBUL: 9,
        Fork.PARIS: 9,
        Fork.SHANGHAI: 9,
        Fork.CANCUN: 10,
        Fork.PRAGUE: 17,
        Fork.OSAKA: 18,
    }
    for fork, count in want.items():
        numbers = sorted(int.from_bytes(address, "big") for address in ethereum_precompiles(fork))
        assert numbers[:17] == [*range(1, min(count, 17) + 1)]
        assert numbers[17:] == ([0x100] if fork >= Fork.OSAKA else [])
