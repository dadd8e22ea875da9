"""The light client: from genesis over set changes, and what it refuses."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from chain.extra_data import chain_extra_data, sealed_extra_data
from chain.header import Header
from chain.proof import account_proof
from chain.validator_set import read_validators, validator_slots
from consensus.errors import LightClientError
from consensus.light_client import SetChange, advance, check_sealed, follow, trust_genesis
from genesis.addresses import INFERENCE, VALIDATOR_SET
from tests.consensus.sealed_chain import KEYS, SealedChain, address_of, chain_spec


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SealedChain]:
    """Blocks 1 and 3 change the set: five validators after 1, four others after 3."""
    with closing(SealedChain(tmp_path_factory.mktemp("light"))) as chain:
        chain.add(chain.votes(address_of(KEYS[4]), True))
        chain.add(sealers=KEYS[1:5], round_number=3)
        chain.add(chain.votes(address_of(KEYS[0]), False, KEYS[1:4]), sealers=KEYS[:4])
        chain.add(sealers=KEYS[2:5])
        yield chain


def sealed(chain: SealedChain, number: int) -> Header:
    header = chain.store.header_by_number(number)
    assert header is not None
    certificate = chain.store.certificate(header.hash)
    assert certificate is not None
    return replace(header, extra_data=sealed_extra_data(header, certificate))


def change(
    chain: SealedChain, number: int, address: bytes = VALIDATOR_SET, extra: int = 0
) -> SetChange:
    header = sealed(chain, number)
    state = chain.store.state(header)
    count = len(read_validators(state)) + extra
    proof = account_proof(state, address, validator_slots(count))
    return SetChange(header, proof.nodes, tuple(item.nodes for item in proof.storage))


def test_it_follows_the_chain(chain: SealedChain) -> None:
    trusted = trust_genesis(chain.spec)
    assert trusted.validators == tuple(sorted(address_of(key) for key in KEYS[:4]))
    assert check_sealed(trusted, sealed(chain, 1)).hash == chain.store.canonical_hash(1)
    trusted = follow(trusted, [change(chain, 1), change(chain, 3)])
    assert trusted.validators == tuple(sorted(address_of(key) for key in KEYS[1:5]))
    assert trusted.height == 3
    assert check_sealed(trusted, sealed(chain, 4)).hash == chain.store.canonical_hash(4)


def test_the_new_set_counts_from_the_next_height(chain: SealedChain) -> None:
    trusted = trust_genesis(chain.spec)
    with pytest.raises(LightClientError, match="who is no validator of this height"):
        check_sealed(trusted, sealed(chain, 2))  # sealed by the fifth, among others
    assert check_sealed(advance(trusted, change(chain, 1)), sealed(chain, 2)).number == 2


def test_what_it_refuses(chain: SealedChain) -> None:
    trusted = trust_genesis(chain.spec)
    later = advance(trusted, change(chain, 1))
    with pytest.raises(LightClientError, match="header 1 is not above block 1"):
        check_sealed(later, sealed(chain, 1))
    bare = replace(sealed(chain, 1), extra_data=chain_extra_data())
    with pytest.raises(LightClientError, match="0 seals, want 3 of 4"):
        check_sealed(trusted, bare)
    with pytest.raises(LightClientError, match="header 1: "):
        check_sealed(trusted, replace(bare, extra_data=b"geth"))
    with pytest.raises(LightClientError, match="who is no validator"):
        check_sealed(trusted, replace(sealed(chain, 1), gas_used=1))
    other = trust_genesis(chain_spec(mix_hash=b"\x33" * 32))
    with pytest.raises(LightClientError, match="header 1 is of another chain: mix hash 0x"):
        check_sealed(other, sealed(chain, 1))


def test_what_is_no_proof_of_a_set(chain: SealedChain) -> None:
    trusted = trust_genesis(chain.spec)
    good = change(chain, 1)
    slots = good.storage_proofs
    forged = {
        "is missing": replace(good, account_proof=good.account_proof[:-1]),
        "no proof for slot 0x0": replace(good, storage_proofs=()),
        "no proof for slot 0x29": replace(good, storage_proofs=slots[:-1]),
        "7 slots proven for 5": change(chain, 1, extra=1),
        "belong to it|is missing": replace(good, storage_proofs=(slots[0], *reversed(slots[1:]))),
        "is missing|holds 0": change(chain, 1, INFERENCE),
    }
    for reason, item in forged.items():
        with pytest.raises(LightClientError, match=reason):
            advance(trusted, item)


def test_a_genesis_without_validators_is_refused() -> None:
    spec = chain_spec()
    alloc = {address: item for address, item in spec.alloc.items() if address != VALIDATOR_SET}
    with pytest.raises(LightClientError, match="genesis file: ValidatorSet holds 0 validators"):
        trust_genesis(replace(spec, alloc=alloc))
