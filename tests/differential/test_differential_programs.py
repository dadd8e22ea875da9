"""Random programs on our EVM and on EELS: output, gas, errors, logs, receipts and state root agree.

``ASSAY_DIFFERENTIAL_SEED=N`` moves the long runs to other programs.
"""

import os
from functools import partial

import pytest

from chain.deep_stack import run_deep
from chain.evm.frame import Interpret
from chain.evm.interpreter import interpret
from genesis.forks import Fork
from tests.differential.compare import check
from tests.differential.eager import interpret_compiled
from tests.differential.eels import FORKS, Eels
from tests.differential.transactions import program_case
from tests.differential.worlds import PROGRAMS

FIRST_SEED = int(os.environ.get("ASSAY_DIFFERENTIAL_SEED", "0"))
LONG = 20_000


def share(fork: Fork) -> float:
    """Part of all programs that run under this fork's rules: half under the newest."""
    return {Fork.OSAKA: 0.5, Fork.PRAGUE: 0.2}.get(fork, 0.3 / (len(FORKS) - 2))


def run(
    eels: Eels, fork: Fork, first: int, programs: float, interpreter: Interpret = interpret
) -> None:
    cases = max(round(programs * share(fork) / PROGRAMS), 1)
    for seed in range(first, first + cases):
        run_deep(check, eels, partial(program_case, fork=fork), seed, interpreter)


@pytest.mark.parametrize("fork", list(FORKS), ids=lambda fork: fork.name)
def test_programs(eels: Eels, fork: Fork) -> None:
    run(eels, fork, 0, 900)


@pytest.mark.parametrize("fork", [Fork.OSAKA, Fork.BERLIN, Fork.FRONTIER], ids=lambda f: f.name)
def test_compiled_programs(eels: Eels, fork: Fork) -> None:
    run(eels, fork, 500, 4 * PROGRAMS / share(fork), interpret_compiled)


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("fork", list(FORKS), ids=lambda fork: fork.name)
def test_many_compiled_programs(eels: Eels, fork: Fork) -> None:
    run(eels, fork, 50_000 + FIRST_SEED, 2_000, interpret_compiled)


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("fork", list(FORKS), ids=lambda fork: fork.name)
def test_twenty_thousand_programs(eels: Eels, fork: Fork) -> None:
    run(eels, fork, 10_000 + FIRST_SEED, LONG + PROGRAMS * len(FORKS))
