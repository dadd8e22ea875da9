"""OpenZeppelin's Governor with a TimelockController: propose, vote, queue, execute."""

from dataclasses import dataclass

import pytest

from precompiles.hashing import keccak256
from tests.ecosystem.artifacts import Event
from tests.ecosystem.typed_data import BALLOT, sign
from tests.ecosystem.world import ALICE, BOB, CAROL, DAVE, ETHER, NOBODY, Contract, World

SUPPLY = 10_000
DELAY = 3_600
NO_SALT = bytes(32)
PENDING, ACTIVE, CANCELED, DEFEATED, SUCCEEDED, QUEUED, EXPIRED, EXECUTED = range(8)
AGAINST, FOR, ABSTAIN = range(3)
DESCRIPTION = "Mint for the council"


@dataclass(frozen=True)
class Dao:
    """A token that votes, a timelock that owns it, and a council that may use the timelock."""

    world: World
    coin: Contract
    timelock: Contract
    council: Contract

    def proposal(self, amount: int = 500) -> tuple[list[bytes], list[int], list[bytes]]:
        """Pay an ether to DAVE, and mint for him."""
        mint = self.coin.data("mint", DAVE, amount)
        return [DAVE, self.coin.address], [ETHER, 0], [b"", mint]

    def state(self, proposal_id: int) -> int:
        state: int = self.council.read("state", proposal_id)
        return state


@pytest.fixture
def dao(world: World) -> Dao:
    coin = world.deploy("Coin", SUPPLY)
    timelock = world.deploy("TimelockController", DELAY, [], [NOBODY], ALICE)
    council = world.deploy("Council", coin.address, timelock.address)
    for role in ("PROPOSER_ROLE", "CANCELLER_ROLE"):
        timelock.send("grantRole", timelock.read(role), council.address)
    timelock.send("renounceRole", bytes(32), ALICE)
    coin.send("grantRole", coin.read("MINTER"), timelock.address)
    for who, amount in ((BOB, 3_000), (CAROL, 2_000)):
        coin.send("transfer", who, amount)
    for who in (ALICE, BOB, CAROL):
        coin.send("delegate", who, sender=who)
    world.mine(world.sign(ALICE, timelock.address, b"", value=2 * ETHER))
    return Dao(world, coin, timelock, council)


def test_a_proposal_is_executed(dao: Dao) -> None:
    world, council = dao.world, dao.council
    action, digest = dao.proposal(), keccak256(DESCRIPTION.encode())
    expected = council.read("hashProposal", *action, digest)
    assert council.error("propose", *action, DESCRIPTION, sender=DAVE) == (
        "GovernorInsufficientProposerVotes",
        DAVE,
        0,
        100,
    )
    receipt = council.send("propose", *action, DESCRIPTION)
    (created,) = world.events(receipt)
    start = world.number + 1
    assert created.arguments == (
        *(expected, ALICE, *action[:2], ["", ""], action[2]),
        *(start, start + 5, DESCRIPTION),
    )
    assert dao.state(expected) == PENDING
    assert council.error("castVote", expected, FOR)[0] == "GovernorUnexpectedProposalState"
    world.wait()
    assert dao.state(expected) == ACTIVE
    ballot = sign(CAROL, council, "Council", "Ballot", BALLOT, expected, AGAINST, CAROL, 0)
    signature = ballot[1] + ballot[2] + bytes([ballot[0]])
    votes = [
        council.sign("castVote", expected, FOR),
        council.sign("castVoteWithReason", expected, ABSTAIN, "unsure", sender=BOB),
        council.sign("castVoteBySig", expected, AGAINST, CAROL, signature, sender=DAVE),
    ]
    receipts = world.mine(*votes)
    assert [world.events(receipt)[0].arguments for receipt in receipts] == [
        (ALICE, expected, FOR, 5_000, ""),
        (BOB, expected, ABSTAIN, 3_000, "unsure"),
        (CAROL, expected, AGAINST, 2_000, ""),
    ]
    assert council.error("castVote", expected, FOR) == ("GovernorAlreadyCastVote", ALICE)
    world.wait(3)
    assert council.read("proposalVotes", expected) == (2_000, 5_000, 3_000)
    assert council.read("quorum", start) == SUPPLY // 20
    world.wait()
    assert dao.state(expected) == SUCCEEDED
    receipt = council.send("queue", *action, digest, sender=DAVE)
    ready = world.now + DELAY
    assert world.events(receipt)[-1] == Event(council.address, "ProposalQueued", (expected, ready))
    assert dao.state(expected) == QUEUED
    early = council.error("execute", *action, digest)
    assert early[0] == "TimelockUnexpectedOperationState"
    world.wait(after=DELAY)
    before = world.state.account(DAVE).balance
    receipt = council.send("execute", *action, digest)
    assert world.state.account(DAVE).balance == before + ETHER
    assert dao.coin.read("balanceOf", DAVE) == 500
    assert [event.name for event in world.events(receipt)] == [
        "CallExecuted",
        "Transfer",
        "CallExecuted",
        "ProposalExecuted",
    ]
    assert dao.state(expected) == EXECUTED
    assert council.error("execute", *action, digest)[0] == "GovernorUnexpectedProposalState"


def test_a_proposal_without_quorum_is_defeated(dao: Dao) -> None:
    world, council = dao.world, dao.council
    action, digest = dao.proposal(), keccak256(DESCRIPTION.encode())
    proposal_id = council.read("propose", *action, DESCRIPTION)
    council.send("propose", *action, DESCRIPTION)
    dao.coin.send("transfer", DAVE, 2_000, sender=CAROL)  # too late to vote with
    dao.coin.send("delegate", DAVE, sender=DAVE)
    council.send("castVote", proposal_id, FOR, sender=DAVE)
    world.wait(5)
    assert council.read("proposalVotes", proposal_id) == (0, 0, 0)
    assert dao.state(proposal_id) == DEFEATED
    assert council.error("queue", *action, digest)[0] == "GovernorUnexpectedProposalState"


def test_the_council_changes_itself_and_cancels(dao: Dao) -> None:
    world, council = dao.world, dao.council
    assert council.error("setVotingPeriod", 9) == ("GovernorOnlyExecutor", ALICE)
    action = [council.address], [0], [council.data("setVotingPeriod", 9)]
    digest = keccak256(b"longer")
    proposal_id = council.read("propose", *action, "longer")
    council.send("propose", *action, "longer", sender=BOB)
    world.wait()
    council.send("castVote", proposal_id, FOR)
    world.wait(5)
    council.send("queue", *action, digest)
    world.wait(after=DELAY)
    council.send("execute", *action, digest)
    assert council.read("votingPeriod") == 9
    other = dao.proposal()
    proposal_id = council.read("propose", *other, "nothing")
    council.send("propose", *other, "nothing")
    cancel = ("cancel", *other, keccak256(b"nothing"))
    receipts = world.mine(council.sign(*cancel, sender=BOB), council.sign(*cancel))
    assert [receipt.status for receipt in receipts] == [0, 1]  # only the proposer may
    assert dao.state(proposal_id) == CANCELED


def test_timelock_alone(world: World) -> None:
    timelock = world.deploy("TimelockController", DELAY, [ALICE], [BOB], NOBODY)
    coin = world.deploy("Coin", SUPPLY)
    coin.send("transfer", timelock.address, 70)
    call = (coin.address, 0, coin.data("transfer", DAVE, 70))
    first = timelock.read("hashOperation", *call, NO_SALT, NO_SALT)
    second_call = ([coin.address] * 2, [0, 0], [coin.data("approve", DAVE, n) for n in (1, 2)])
    second = timelock.read("hashOperationBatch", *second_call, first, NO_SALT)
    assert timelock.error("schedule", *call, NO_SALT, NO_SALT, DELAY - 1) == (
        "TimelockInsufficientDelay",
        DELAY - 1,
        DELAY,
    )
    timelock.send("schedule", *call, NO_SALT, NO_SALT, DELAY)
    timelock.send("scheduleBatch", *second_call, first, NO_SALT, DELAY)
    assert timelock.read("getTimestamp", second) == world.now + DELAY
    world.wait(after=DELAY)
    after = ("executeBatch", *second_call, first, NO_SALT)
    assert timelock.error(*after, sender=BOB) == ("TimelockUnexecutedPredecessor", first)
    refused = timelock.error("execute", *call, NO_SALT, NO_SALT)
    assert refused == ("AccessControlUnauthorizedAccount", ALICE, keccak256(b"EXECUTOR_ROLE"))
    timelock.send("execute", *call, NO_SALT, NO_SALT, sender=BOB)
    timelock.send(*after, sender=BOB)
    assert coin.read("balanceOf", DAVE) == 70
    assert coin.read("allowance", timelock.address, DAVE) == 2
    assert timelock.read("isOperationDone", second) is True
