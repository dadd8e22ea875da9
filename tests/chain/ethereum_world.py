"""Chains in memory with Ethereum's own rules, of any fork."""

from collections.abc import Mapping

from chain.evm.requests import MAINNET_DEPOSIT_CONTRACT
from genesis.forks import CANCUN_BLOBS, PRAGUE_BLOBS, Fork, ForkSchedule
from genesis.predeploys import system_allocations
from genesis.spec import Allocation, GenesisSpec
from tests.chain.evm_world import MemoryChain
from tests.chain.records import CHAIN_ID, ETHER, account

DIFFICULTY = 1 << 20
GAS_LIMIT = 30_000_000


def schedule_from_genesis(fork: Fork) -> ForkSchedule:
    """The rules of one fork from the first block on."""
    if fork <= Fork.PARIS:
        return ForkSchedule(blocks=((0, fork),))
    blobs = CANCUN_BLOBS if fork < Fork.PRAGUE else PRAGUE_BLOBS
    return ForkSchedule(
        blocks=((0, Fork.PARIS),),
        times=((0, fork),),
        blobs=((0, blobs),) if fork >= Fork.CANCUN else (),
    )


def ethereum_spec(
    schedule: ForkSchedule, accounts: Mapping[bytes, Allocation] | None = None
) -> GenesisSpec:
    """System contracts, 1,000 ether for accounts 0 to 3, and ``accounts``."""
    alloc = dict(system_allocations())
    alloc |= {account(number): Allocation(balance=1_000 * ETHER) for number in range(4)}
    return GenesisSpec(
        chain_id=CHAIN_ID,
        timestamp=1_700_000_000,
        gas_limit=GAS_LIMIT,
        difficulty=DIFFICULTY if schedule.fork(0, 1_700_000_000) < Fork.PARIS else 0,
        extra_data=b"",
        alloc={**alloc, **(accounts or {})},
        assay=None,
        schedule=schedule,
        deposit_contract=MAINNET_DEPOSIT_CONTRACT,
    )


def ethereum_chain(fork: Fork, accounts: Mapping[bytes, Allocation] | None = None) -> MemoryChain:
    """A chain under the rules of one fork from the genesis on; without native accounts."""
    return MemoryChain(natives={}, spec=ethereum_spec(schedule_from_genesis(fork), accounts))
