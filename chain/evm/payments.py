"""Wei that the protocol itself creates: block rewards until Paris, withdrawals from Shanghai on."""

from collections.abc import Sequence
from typing import Final

from chain.blocks import Withdrawal
from chain.evm.state import WorldState
from chain.header import Header
from genesis.forks import Fork

_ETHER: Final = 10**18
_GWEI: Final = 10**9
_MAX_OMMER_DEPTH: Final = 8


def block_reward(fork: Fork) -> int:
    """Wei for a block: 5 ether, 3 from Byzantium (EIP-649), 2 from Constantinople (EIP-1234)."""
    if fork >= Fork.PARIS:
        return 0
    if fork >= Fork.CONSTANTINOPLE:
        return 2 * _ETHER
    return 3 * _ETHER if fork >= Fork.BYZANTIUM else 5 * _ETHER


def pay_rewards(state: WorldState, fork: Fork, header: Header, ommers: Sequence[Header]) -> None:
    """Pay the coinbases of a block and of its ommers (Yellow Paper, section 11.3)."""
    reward = block_reward(fork)
    if reward == 0:
        return
    state.begin_transaction()
    state.add_balance(header.coinbase, reward + len(ommers) * (reward // 32))
    for ommer in ommers:
        depth = header.number - ommer.number
        state.add_balance(ommer.coinbase, reward * (_MAX_OMMER_DEPTH - depth) // _MAX_OMMER_DEPTH)
    state.finish_transaction(fork >= Fork.SPURIOUS_DRAGON)


def pay_withdrawals(state: WorldState, withdrawals: Sequence[Withdrawal]) -> None:
    """Pay out what validators withdrew (EIP-4895); amounts are in Gwei."""
    if not withdrawals:
        return
    state.begin_transaction()
    for withdrawal in withdrawals:
        state.add_balance(withdrawal.address, withdrawal.amount * _GWEI)
    state.finish_transaction(True)
