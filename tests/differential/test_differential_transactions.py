"""Random transactions, half of them invalid, on ours and on EELS: both refuse, for one reason.

``ASSAY_DIFFERENTIAL_SEED=N`` moves the long runs to other transactions.
"""

import os
from functools import partial

import pytest

from chain.deep_stack import run_deep
from genesis.forks import Fork
from tests.differential.compare import check
from tests.differential.eels import FORKS, Eels
from tests.differential.transactions import transaction_case

FIRST_SEED = int(os.environ.get("ASSAY_DIFFERENTIAL_SEED", "0"))
PER_CASE = 16
LONG = 5_000


def share(fork: Fork) -> float:
    """Part of all transactions that are sent under this fork's rules."""
    return {Fork.OSAKA: 0.3, Fork.PRAGUE: 0.2}.get(fork, 0.5 / (len(FORKS) - 2))


def run(eels: Eels, fork: Fork, first: int, transactions: float) -> None:
    cases = max(round(transactions * share(fork) / PER_CASE), 1)
    for seed in range(first, first + cases):
        run_deep(check, eels, partial(transaction_case, fork=fork, count=PER_CASE), seed)


@pytest.mark.parametrize("fork", list(FORKS), ids=lambda fork: fork.name)
def test_transactions(eels: Eels, fork: Fork) -> None:
    run(eels, fork, 0, 1_000)


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("fork", list(FORKS), ids=lambda fork: fork.name)
def test_five_thousand_transactions(eels: Eels, fork: Fork) -> None:
    run(eels, fork, 10_000 + FIRST_SEED, LONG + PER_CASE * len(FORKS))
