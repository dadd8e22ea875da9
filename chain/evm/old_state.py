"""The world state as py-evm's opcodes and computations call it; goes with them."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from chain.evm import state

_MAX_ANCESTOR_DEPTH: Final = 256
_BLOB_FEE_FRACTION: Final = 5_007_716


@dataclass(frozen=True, slots=True)
class BlockEnvironment:
    """What the opcodes can see of the block.

    Attributes:
        chain_id: EIP-155 id.
        number, timestamp, gas_limit: of the block.
        coinbase: 20 bytes.
        mix_hash: 32 bytes; PREVRANDAO, predictable on this chain.
        base_fee_per_gas: wei.
        excess_blob_gas: 0 on this chain, which has no blobs.
        ancestor_hash: hash of the block at a height from ``number - 256`` to ``number - 1``.
    """

    chain_id: int
    number: int
    timestamp: int
    gas_limit: int
    coinbase: bytes
    mix_hash: bytes
    base_fee_per_gas: int
    excess_blob_gas: int
    ancestor_hash: Callable[[int], bytes]


class WorldState(state.WorldState):
    """A world state that knows its block and py-evm's names."""

    def __init__(
        self,
        node: Callable[[bytes], bytes],
        state_root: bytes,
        environment: BlockEnvironment,
        precompiled: Collection[bytes] = (),
    ) -> None:
        super().__init__(node, state_root, precompiled)
        self.execution_context = environment  # py-evm reads chain_id there
        self.coinbase = environment.coinbase
        self.timestamp = environment.timestamp
        self.block_number = environment.number
        self.mix_hash = environment.mix_hash
        self.gas_limit = environment.gas_limit
        self.base_fee = environment.base_fee_per_gas
        self.blob_base_fee = blob_base_fee(environment.excess_blob_gas)

    def finish_transaction(self, destroyed: Collection[bytes] = ()) -> None:  # type: ignore[override]
        """Delete ``destroyed`` accounts (EIP-6780) and touched empty ones (EIP-161)."""
        for address in destroyed:
            self.mark_destroyed(address)
        super().finish_transaction()

    def commit(self, snapshot: int) -> None:
        """Keep the changes since ``snapshot``; nothing to do."""

    def delta_balance(self, address: bytes, delta: int) -> None:
        """Add ``delta`` wei, which may be negative."""
        self.add_balance(address, delta)

    def get_storage(self, address: bytes, slot: int, from_journal: bool = True) -> int:
        """Word at ``slot``; the value at the start of the transaction unless ``from_journal``."""
        if not from_journal:
            return self.original_storage(address, slot)
        return super().get_storage(address, slot)

    def delete_storage(self, address: bytes) -> None:
        """Nothing to do: CREATE2 calls this after the collision check, which includes storage."""

    def get_transient_storage(self, address: bytes, slot: int) -> bytes:
        """Transient word as py-evm's stack bytes (EIP-1153); empty when never written."""
        word = self.get_transient(address, slot)
        return word.to_bytes(32, "big") if word else b""

    def set_transient_storage(self, address: bytes, slot: int, value: bytes) -> None:
        """Write a transient word."""
        self.set_transient(address, slot, int.from_bytes(value, "big"))

    def get_ancestor_hash(self, block_number: int) -> bytes:
        """Hash of one of the 256 blocks before this one, else empty (zero on the stack)."""
        depth = self.block_number - block_number
        if not 1 <= depth <= _MAX_ANCESTOR_DEPTH or block_number < 0:
            return b""
        return self.execution_context.ancestor_hash(block_number)


def blob_base_fee(excess_blob_gas: int) -> int:
    """Wei per blob gas (EIP-4844 with Prague's fraction, EIP-7691); 1 without excess."""
    total, step, factor = 0, _BLOB_FEE_FRACTION, 1
    while step > 0:
        total += step
        step = step * excess_blob_gas // (_BLOB_FEE_FRACTION * factor)
        factor += 1
    return total // _BLOB_FEE_FRACTION
