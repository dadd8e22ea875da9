"""What code can see of its block and its transaction."""

from collections.abc import Callable
from dataclasses import dataclass

from genesis.forks import Fork


@dataclass(frozen=True, slots=True)
class BlockEnvironment:
    """What opcodes can see of the block.

    Attributes:
        chain_id: EIP-155 id.
        fork: rules of this block.
        number, timestamp, gas_limit: of the block.
        coinbase: 20 bytes.
        prev_randao: word that DIFFICULTY/PREVRANDAO pushes: the header's mix_hash as an integer
            from Paris on, its difficulty before.
        base_fee_per_gas: wei; 0 before London.
        blob_base_fee: wei per blob gas; 0 before Cancun.
        ancestor_hash: hash of the block at a height from ``number - 256`` to ``number - 1``.
    """

    chain_id: int
    fork: Fork
    number: int
    timestamp: int
    gas_limit: int
    coinbase: bytes
    prev_randao: int
    base_fee_per_gas: int
    blob_base_fee: int
    ancestor_hash: Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class TransactionEnvironment:
    """What opcodes can see of the transaction.

    Attributes:
        origin: 20 bytes.
        gas_price: effective, in wei per gas.
        blob_versioned_hashes: 32 bytes each (EIP-4844).
    """

    origin: bytes
    gas_price: int
    blob_versioned_hashes: tuple[bytes, ...] = ()
