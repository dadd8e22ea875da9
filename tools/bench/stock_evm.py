"""Stock py-evm as the peer: one message, and the import of whole blocks.

As its authors ship it: Prague's virtual machine, its own database in memory. coincurve and pysha3
are installed, which it finds by itself; without them it would be five times slower.
"""

from collections.abc import Callable
from typing import Any, Final

import rlp
from eth.chains.base import MiningChain
from eth.db.atomic import AtomicDB
from eth.vm.forks.prague import PragueVM
from eth.vm.message import Message

from genesis.spec import GenesisSpec

PEER: Final = "stock py-evm"


def stock_chain(spec: GenesisSpec, genesis_rlp: bytes) -> Any:
    """A stock chain that starts from the same accounts and the same block 0."""
    kind = MiningChain.configure("Stock", vm_configuration=((0, PragueVM),), chain_id=spec.chain_id)
    accounts = {
        address: {
            "balance": allocation.balance,
            "nonce": allocation.nonce,
            "code": allocation.code,
            "storage": dict(allocation.storage),
        }
        for address, allocation in spec.alloc.items()
    }
    database = AtomicDB()
    kind.from_genesis(database, {"difficulty": 0, "gas_limit": spec.gas_limit}, accounts)
    return kind.from_genesis_header(database, decode_block(genesis_rlp).header)


def decode_block(encoded: bytes) -> Any:
    """A block as py-evm's record."""
    return rlp.decode(encoded, sedes=PragueVM.block_class)


class StockImporter:
    """Imports blocks: decode, execute, validate, persist in memory.

    Args:
        spec: the genesis.
        genesis_rlp: block 0.
    """

    def __init__(self, spec: GenesisSpec, genesis_rlp: bytes) -> None:
        self._chain = stock_chain(spec, genesis_rlp)

    @property
    def head(self) -> bytes:
        """Hash of the newest block."""
        found: bytes = self._chain.get_canonical_head().hash
        return found

    def __call__(self, encoded: bytes) -> None:
        """Import one RLP block on top of the head."""
        self._chain.import_block(decode_block(encoded))


def stock_message(
    chain: Any, caller: bytes, target: bytes, code: bytes, data: bytes, gas: int
) -> Callable[[], tuple[int, bytes]]:
    """A repeatable call of ``code``; returns gas used and output."""
    state = chain.get_vm().state
    context = state.get_transaction_context_class()(gas_price=1, origin=caller)
    state.lock_changes()

    def run() -> tuple[int, bytes]:
        snapshot = state.snapshot()
        state.mark_address_warm(target)
        given = Message(gas=gas, to=target, sender=caller, value=0, data=data, code=code)
        computation = state.computation_class.apply_message(state, given, context)
        computation.raise_if_error()
        state.revert(snapshot)
        return computation.get_gas_used(), computation.output

    return run
