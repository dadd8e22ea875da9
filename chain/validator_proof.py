"""Proofs of a validator set under a state root: made with the block that changes the set, and kept.

Light clients follow them; ``consensus.light_client`` reads the same nodes from certificates.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from chain import rlp
from chain.errors import StoreError
from chain.proof import account_proof, verify_account_proof, verify_storage_proof
from chain.state_reader import StateReader
from chain.validator_set import read_validators, validator_slots
from genesis.addresses import VALIDATOR_SET


@dataclass(frozen=True, slots=True)
class ValidatorProof:
    """Nodes that prove a set.

    Attributes:
        account: of ValidatorSet, from the state root down.
        slots: of each of ``validator_slots``, from the account's storage root down.
    """

    account: tuple[bytes, ...]
    slots: tuple[tuple[bytes, ...], ...]

    @property
    def rlp(self) -> bytes:
        """``[[node, ...], [[node, ...], ...]]``."""
        return rlp.encode([self.account, self.slots])


def decode_validator_proof(encoded: bytes) -> ValidatorProof:
    """Read ``ValidatorProof.rlp``; raises RlpError."""
    items = rlp.decode_list(encoded)
    if len(items) != 2:
        raise rlp.RlpError(f"proof of a validator set has {len(items)} parts, want 2")
    slots = [rlp.bytes_list(nodes) for nodes in rlp.as_list(items[1])]
    return ValidatorProof(rlp.bytes_list(items[0]), tuple(slots))


def prove_validators(state: StateReader) -> ValidatorProof:
    """Proof of the set in a state."""
    slots = validator_slots(len(read_validators(state)))
    proof = account_proof(state, VALIDATOR_SET, slots)
    return ValidatorProof(proof.nodes, tuple([item.nodes for item in proof.storage]))


def proven_validators(proof: ValidatorProof, state_root: bytes) -> tuple[bytes, ...]:
    """20-byte addresses that a proof shows, ascending.

    Raises:
        ProofError: a node is missing, foreign or damaged.
        StoreError: what is proven is no set, or not all of it.
    """
    account = verify_account_proof(state_root, VALIDATOR_SET, proof.account)
    slots = validator_slots(max(0, len(proof.slots) - 1))
    words = {
        slot: verify_storage_proof(account.storage_root, slot, nodes)
        for slot, nodes in zip(slots, proof.slots, strict=False)
    }
    return read_validators(_Words(words))


class _Words:
    """Slots of ValidatorSet that a proof carries."""

    def __init__(self, words: Mapping[int, int]) -> None:
        self._words = words

    def storage(self, address: bytes, slot: int) -> int:
        if slot not in self._words:
            raise StoreError(f"no proof for slot 0x{slot:x} of ValidatorSet")
        return self._words[slot]
