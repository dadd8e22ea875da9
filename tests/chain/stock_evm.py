"""py-evm 0.12.1b1 as it is, on the same genesis: the twin that our execution is compared with."""

from typing import Any

from eth.vm.forks.prague import PragueVM

from tests.chain.evm_world import MemoryChain
from tools.bench import stock_evm


def stock_chain(world: MemoryChain) -> Any:
    """A stock chain whose genesis block is ``world``'s."""
    return stock_evm.stock_chain(world.spec, world.blocks[0].rlp)


def stock_transaction(raw: bytes) -> Any:
    """A transaction as stock decodes it."""
    return PragueVM.get_transaction_builder().decode(raw)


def stock_apply(world: MemoryChain, raw: bytes) -> Any:
    """Stock's computation of one transaction in the next block; raises what stock raises."""
    chain = stock_chain(world)
    vm = chain.get_vm()
    header = vm.get_header().copy(gas_limit=60_000_000)
    transaction = stock_transaction(raw)
    vm.validate_transaction_against_header(header, transaction)
    return vm.apply_transaction(header, transaction)[1]
