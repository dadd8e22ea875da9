"""Block rewards and withdrawals."""

import pytest

from chain.blocks import Withdrawal
from chain.evm.payments import block_reward, pay_rewards, pay_withdrawals
from chain.evm.state import WorldState
from chain.header import EMPTY_TRIE_ROOT
from genesis.forks import Fork
from tests.chain import records
from tests.chain.records import ETHER

MINER, FIRST, SECOND = (bytes([number]) * 20 for number in (1, 2, 3))


def world() -> WorldState:
    return WorldState({}.__getitem__, EMPTY_TRIE_ROOT)


@pytest.mark.parametrize(
    ("fork", "ether"),
    [
        (Fork.FRONTIER, 5),
        (Fork.SPURIOUS_DRAGON, 5),
        (Fork.BYZANTIUM, 3),
        (Fork.CONSTANTINOPLE, 2),
        (Fork.GRAY_GLACIER, 2),
        (Fork.PARIS, 0),
        (Fork.OSAKA, 0),
    ],
)
def test_reward_of_each_fork(fork: Fork, ether: int) -> None:
    assert block_reward(fork) == ether * ETHER
    state = world()
    pay_rewards(state, fork, records.header(coinbase=MINER, number=9), ())
    assert state.get_balance(MINER) == ether * ETHER


def test_ommers_earn_less_the_older_they_are() -> None:
    state = world()
    ommers = (
        records.header(coinbase=FIRST, number=8),
        records.header(coinbase=SECOND, number=3),
    )
    pay_rewards(state, Fork.BYZANTIUM, records.header(coinbase=MINER, number=9), ommers)
    assert state.get_balance(FIRST) == 3 * ETHER * 7 // 8
    assert state.get_balance(SECOND) == 3 * ETHER * 2 // 8
    assert state.get_balance(MINER) == 3 * ETHER + 2 * (3 * ETHER // 32)


def test_withdrawals_are_gwei_and_leave_no_empty_account() -> None:
    state = world()
    withdrawals = (
        Withdrawal(0, 0, FIRST, 5),
        Withdrawal(1, 0, FIRST, 2),
        Withdrawal(2, 1, SECOND, 0),
    )
    pay_withdrawals(state, withdrawals)
    assert state.get_balance(FIRST) == 7 * 10**9
    assert not state.account_exists(SECOND)
