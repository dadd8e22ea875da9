"""ValidatorSet: members vote, a majority decides, light clients read the storage."""

import pytest

from chain.validator_set import read_validators
from genesis.addresses import VALIDATOR_SET
from genesis.predeploys import artifact
from precompiles.abi import topic
from tests.contracts.evm_chain import ADDRESSES, Contract, EvmChain

A, B, C, D, E, F = ADDRESSES


@pytest.fixture
def validators() -> Contract:
    return Contract(EvmChain(validators=4), VALIDATOR_SET, artifact("ValidatorSet")["abi"])


def members(contract: Contract) -> set[bytes]:
    """As the contract says, which is what a light client reads from storage."""
    listed = contract.read("getValidators")
    assert list(read_validators(contract.chain.state)) == sorted(listed)
    assert len(set(listed)) == len(listed) == contract.read("validatorCount")
    return set(listed)


def vote(contract: Contract, candidate: bytes, add: bool, *voters: int) -> None:
    for voter in voters:
        assert contract.send("vote", candidate, add, sender=voter).status == 1


def test_genesis_writes_the_first_members(validators: Contract) -> None:
    assert members(validators) == {A, B, C, D}
    assert validators.read("isValidator", D)
    assert not validators.read("isValidator", E)
    assert validators.read("needed") == 3
    assert validators.read("epoch") == 0


def test_a_majority_adds_and_removes(validators: Contract) -> None:
    vote(validators, E, True, 0, 1)
    assert members(validators) == {A, B, C, D}
    assert validators.read("votesFor", E, True) == 2
    assert validators.read("vote", E, True, sender=2) is True
    receipt = validators.send("vote", E, True, sender=2)
    assert [log.topics[0] for log in receipt.logs] == [
        topic("Voted(address,address,bool,uint256,uint256)"),
        topic("ValidatorAdded(address,uint256)"),
    ]
    assert members(validators) == {A, B, C, D, E}
    assert (validators.read("needed"), validators.read("epoch")) == (3, 1)
    vote(validators, A, False, 4, 1, 2)
    assert members(validators) == {B, C, D, E}
    assert validators.error("vote", F, True, sender=0) == ("NotValidator", A)


def test_a_change_discards_all_open_votes(validators: Contract) -> None:
    vote(validators, F, True, 0, 1)
    vote(validators, B, False, 0, 2, 3)  # B leaves, and its vote for F with it
    assert members(validators) == {A, C, D}
    assert validators.read("votesFor", F, True) == 0
    vote(validators, F, True, 2)
    assert members(validators) == {A, C, D}


def test_votes_can_be_taken_back(validators: Contract) -> None:
    vote(validators, E, True, 0, 1)
    assert validators.send("withdrawVote", E, True, sender=0).status == 1
    vote(validators, E, True, 2)
    assert members(validators) == {A, B, C, D}
    assert validators.error("withdrawVote", E, True, sender=0) == ("NoSuchVote", A, E, True)


def test_the_set_never_becomes_empty(validators: Contract) -> None:
    vote(validators, A, False, 1, 2, 3)
    vote(validators, B, False, 2, 3)
    vote(validators, C, False, 2, 3)
    assert members(validators) == {D}
    assert validators.error("vote", D, False, sender=3) == ("LastValidator", D)
    vote(validators, A, True, 3)  # one member is its own majority
    assert members(validators) == {A, D}


@pytest.mark.parametrize(
    ("name", "arguments", "sender", "expected"),
    [
        ("vote", (E, True), 4, ("NotValidator", E)),
        ("vote", (A, True), 0, ("AlreadyValidator", A)),
        ("vote", (E, False), 0, ("NotValidator", E)),
        ("vote", (bytes(20), True), 0, ("ZeroAddress",)),
        ("withdrawVote", (E, True), 0, ("NoSuchVote", A, E, True)),
        ("withdrawVote", (E, True), 5, ("NotValidator", F)),
    ],
)
def test_refusals(
    validators: Contract,
    name: str,
    arguments: tuple[object, ...],
    sender: int,
    expected: tuple[object, ...],
) -> None:
    assert validators.error(name, *arguments, sender=sender) == expected


def test_a_member_votes_once(validators: Contract) -> None:
    vote(validators, E, True, 0)
    assert validators.error("vote", E, True, sender=0) == ("AlreadyVoted", A, E, True)


def test_no_function_takes_value(validators: Contract) -> None:
    data = validators.data("vote", E, True)
    assert validators.chain.send(VALIDATOR_SET, data, value=1).status == 0
