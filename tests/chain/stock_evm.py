"""py-evm 0.12.1b1 as it is, on the same genesis: the twin that our execution is compared with."""

from typing import Any

import rlp
from eth.chains.base import MiningChain
from eth.db.atomic import AtomicDB
from eth.vm.forks.prague import PragueVM

from chain.blocks import Block
from tests.chain.evm_world import MemoryChain


def stock_chain(world: MemoryChain) -> Any:
    """A stock chain whose genesis block is ``world``'s."""
    kind = MiningChain.configure(
        "Stock", vm_configuration=((0, PragueVM),), chain_id=world.spec.chain_id
    )
    genesis = stock_block(world.blocks[0])
    accounts = {
        address: {
            "balance": allocation.balance,
            "nonce": allocation.nonce,
            "code": allocation.code,
            "storage": dict(allocation.storage),
        }
        for address, allocation in world.spec.alloc.items()
    }
    database = AtomicDB()
    kind.from_genesis(database, {"difficulty": 0, "gas_limit": 60_000_000}, accounts)
    return kind.from_genesis_header(database, genesis.header)


def stock_block(block: Block) -> Any:
    """The same block as py-evm's record."""
    return rlp.decode(block.rlp, sedes=PragueVM.block_class)


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
