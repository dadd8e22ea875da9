"""Random programs: gas, output, logs, refund and state as py-evm's."""

import pytest

from genesis.forks import Fork
from tests.chain.evm_message_twin import CONTRACT, STOCK_FORKS, run_ours, run_stock
from tests.chain.evm_programs import Generator, world

GAS = (3_000, 30_000, 200_000, 1_000_000, 3_000_000)


def check(fork: Fork, seed: int) -> None:
    generator = Generator(fork, seed * 100 + fork)
    choose = generator.random
    program = generator.program(choose.randrange(1, 25))
    accounts = world(program, fork)
    gas, value, data = choose.choice(GAS), choose.choice((0, 0, 5)), choose.randbytes(40)
    create = None
    if choose.random() < 0.15:
        create = program
        del accounts[CONTRACT]
    ours = run_ours(fork, accounts, data, value, gas, create)
    stock = run_stock(fork, accounts, data, value, gas, create)
    assert ours == stock, f"{fork.name} seed {seed}: {program.hex()}"


@pytest.mark.parametrize("fork", STOCK_FORKS, ids=lambda fork: fork.name)
def test_random_programs(fork: Fork) -> None:
    for seed in range(24):
        check(fork, seed)


@pytest.mark.slow
@pytest.mark.parametrize("fork", STOCK_FORKS, ids=lambda fork: fork.name)
def test_many_random_programs(fork: Fork) -> None:
    for seed in range(1_000, 1_800):
        check(fork, seed)
