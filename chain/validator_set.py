"""Who may vote: storage of the ``ValidatorSet`` predeploy.

Layout (Solidity): ``address[] validators`` at slot 0. Slot 0 holds the length n; element i lies in
slot ``keccak256(bytes32(0)) + i``, right-aligned. The set for height h is read from the state after
block h - 1, so a change counts from the next height.
"""

from typing import Final, Protocol

from chain.errors import StoreError
from genesis.addresses import VALIDATOR_SET
from precompiles.hashing import keccak256

LENGTH_SLOT: Final = 0
FIRST_ELEMENT_SLOT: Final = int.from_bytes(keccak256(bytes(32)), "big")
MAX_VALIDATORS: Final = 1_000
"""Sanity bound of the reader; the contract's own limit is lower."""


class StorageView(Protocol):
    """Anything that reads storage: a StateReader, a StateView, a set of proven slots."""

    def storage(self, address: bytes, slot: int) -> int:
        """Word at ``slot`` of ``address``."""


def validator_slots(count: int) -> tuple[int, ...]:
    """Slots of a set of ``count``: the length's and the elements'."""
    return (LENGTH_SLOT, *(FIRST_ELEMENT_SLOT + i for i in range(count)))


def read_validators(view: StorageView) -> tuple[bytes, ...]:
    """20-byte addresses after the block that ``view`` shows, ascending.

    Raises:
        StoreError: none, too many, twice the same, or a word that is no address.
    """
    count = view.storage(VALIDATOR_SET, LENGTH_SLOT)
    if not 1 <= count <= MAX_VALIDATORS:
        raise StoreError(f"ValidatorSet holds {count} validators, want 1 to {MAX_VALIDATORS}")
    words = [view.storage(VALIDATOR_SET, slot) for slot in validator_slots(count)[1:]]
    if any(word >> 160 for word in words) or len(set(words)) != count:
        raise StoreError("ValidatorSet storage is not a set of addresses")
    return tuple(word.to_bytes(20, "big") for word in sorted(words))
