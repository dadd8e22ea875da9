"""Follow validator sets from the genesis file alone, and check sealed headers against them.

Trust rule: the set that seals block h is the one in ValidatorSet's storage after block h - 1. A set
change is therefore a header sealed by the old set, whose state root proves the new one; everything
in between may be skipped. No py-evm, no network, no clock.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from chain.certificate import CommitCertificate
from chain.errors import InvalidBlock, ProofError, StoreError
from chain.extra_data import unseal
from chain.genesis_block import genesis_block
from chain.header import Header
from chain.proof import verify_account_proof, verify_storage_proof
from chain.seals import verify_certificate
from chain.validator_set import read_validators, validator_slots
from consensus.errors import LightClientError
from genesis.addresses import VALIDATOR_SET
from genesis.spec import GenesisSpec
from precompiles.hashing import keccak256


@dataclass(frozen=True, slots=True)
class Trusted:
    """What is proven so far.

    Attributes:
        genesis: header of block 0; it names the chain.
        height: block after which ``validators`` is the set; they seal the blocks above it, up to
            and including the next change.
        validators: ascending 20-byte addresses.
        mix_hash: ``mix_hash`` of that block; it can be computed from the genesis file.
    """

    genesis: Header
    height: int
    validators: tuple[bytes, ...]
    mix_hash: bytes


@dataclass(frozen=True, slots=True)
class SetChange:
    """Evidence that another set holds after a block.

    Attributes:
        header: of that block, in the SEALED form.
        account_proof: of ValidatorSet under its state root.
        storage_proofs: of the length slot, then of each element in order.
    """

    header: Header
    account_proof: tuple[bytes, ...]
    storage_proofs: tuple[tuple[bytes, ...], ...]


class _GenesisStorage:
    """Reads the allocations of a genesis file."""

    def __init__(self, spec: GenesisSpec) -> None:
        self._alloc = spec.alloc

    def storage(self, address: bytes, slot: int) -> int:
        account = self._alloc.get(address)
        return 0 if account is None else account.storage.get(slot, 0)


class _ProvenStorage:
    """Reads slots of ValidatorSet that a proof carries."""

    def __init__(self, words: dict[int, int]) -> None:
        self._words = words

    def storage(self, address: bytes, slot: int) -> int:
        if slot not in self._words:
            raise LightClientError(f"no proof for slot 0x{slot:x} of ValidatorSet")
        return self._words[slot]


def trust_genesis(spec: GenesisSpec) -> Trusted:
    """Where every light client starts.

    Raises:
        LightClientError: the genesis file holds no validator set.
    """
    try:
        header = genesis_block(spec)[0].header
        validators = read_validators(_GenesisStorage(spec))
    except (InvalidBlock, StoreError) as error:
        raise LightClientError(f"genesis file: {error}") from None
    return Trusted(header, 0, validators, header.mix_hash)


def advance(trusted: Trusted, change: SetChange) -> Trusted:
    """Take over a new set that the old one vouches for.

    Raises:
        LightClientError: the header is not sealed by the old set, not of this chain, not above the
            last change, or the proof does not show a set.
    """
    header = check_sealed(trusted, change.header)
    try:
        account = verify_account_proof(header.state_root, VALIDATOR_SET, change.account_proof)
        slots = validator_slots(max(0, len(change.storage_proofs) - 1))
        words = {
            slot: verify_storage_proof(account.storage_root, slot, nodes)
            for slot, nodes in zip(slots, change.storage_proofs, strict=False)
        }
        validators = read_validators(_ProvenStorage(words))
    except (ProofError, StoreError) as error:
        raise LightClientError(f"validator set after block {header.number}: {error}") from None
    if len(words) != len(validators) + 1:
        raise LightClientError(
            f"validator set after block {header.number}: {len(words)} slots proven for "
            f"{len(validators)} validators"
        )
    return Trusted(trusted.genesis, header.number, validators, header.mix_hash)


def follow(trusted: Trusted, changes: Iterable[SetChange]) -> Trusted:
    """``advance`` over several changes in ascending order."""
    for change in changes:
        trusted = advance(trusted, change)
    return trusted


def check_sealed(trusted: Trusted, sealed: Header) -> Header:
    """Check a SEALED header of any block above ``trusted.height`` that the trusted set decides.

    Returns:
        The header in its CHAIN form; its hash is the block hash.

    Raises:
        LightClientError: below the known set, of another chain, or without a quorum of seals.
    """
    header, certificate = _unseal(sealed)
    if header.number <= trusted.height:
        raise LightClientError(
            f"header {header.number} is not above block {trusted.height}, whose set is known"
        )
    try:
        verify_certificate(header, certificate, trusted.validators)
    except InvalidBlock as error:
        raise LightClientError(f"header {header.number}: {error}") from None
    # After the seals, so that nobody else chooses how many hashes to compute.
    expected = mix_hash_at(trusted.mix_hash, trusted.height, header.number)
    if header.mix_hash != expected:
        raise LightClientError(
            f"header {header.number} is of another chain: mix hash 0x{header.mix_hash.hex()}, "
            f"from this genesis it is 0x{expected.hex()}"
        )
    return header


def mix_hash_at(mix_hash: bytes, height: int, target: int) -> bytes:
    """``mix_hash`` of block ``target`` from that of block ``height``; a microsecond per block.

    It depends on the genesis file alone: keccak256(parent's ‖ height as 32 bytes). Seals cover the
    header and thereby bind it to the genesis block's ``mix_hash``.
    """
    for number in range(height + 1, target + 1):
        mix_hash = keccak256(mix_hash + number.to_bytes(32, "big"))
    return mix_hash


def _unseal(sealed: Header) -> tuple[Header, CommitCertificate]:
    try:
        return unseal(sealed)
    except InvalidBlock as error:
        raise LightClientError(f"header {sealed.number}: {error}") from None
