"""Justification against a transcription of the Dafny model, on random evidence.

Source: ConsenSys/qbft-formal-spec-and-verification, dafny/spec/L1: ``isProposalJustification``,
``validRoundChange``, ``isHighestPrepared``, ``validSignedPrepareForHeightRoundAndDigest``. Its sets
of signed messages are sets of senders here; ours also refuses two digests prepared in one round,
and evidence beyond what is needed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from consensus.core.justification import proposal_fault, round_change_fault
from consensus.core.messages import (
    Prepared,
    PreparePayload,
    Proposal,
    ProposalPayload,
    RoundChange,
    RoundChangePayload,
    Signed,
    SignedRoundChange,
)
from consensus.core.types import Height, ProposedBlock, quorum

VALIDATORS = tuple(bytes([i]) * 20 for i in range(1, 5))
STRANGER = b"\x99" * 20
HEIGHT = Height(3, b"\3" * 32, VALIDATORS[3], VALIDATORS)


def digest(encoded: bytes, round_number: int) -> bytes:
    return encoded.ljust(31, b"\0") + bytes([round_number])


def block_of(name: bytes, coinbase: bytes) -> ProposedBlock:
    return ProposedBlock(3, HEIGHT.parent_hash, coinbase, 5, name + coinbase)


BLOCKS = [block_of(name, coinbase) for name in (b"a", b"b") for coinbase in VALIDATORS[:2]]


def valid_round_change(item: SignedRoundChange, height: int, round_number: int) -> bool:
    payload = item.payload
    return (
        payload.height == height
        and payload.round == round_number
        and (payload.prepared is None or payload.prepared.round < round_number)
        and item.author in VALIDATORS
    )


def is_highest(item: SignedRoundChange, all_items: Sequence[SignedRoundChange]) -> bool:
    own = item.payload.prepared
    return own is not None and all(
        other.payload.prepared is None or other.payload.prepared.round <= own.round
        for other in all_items
    )


def dafny_is_justified(proposal: Proposal) -> bool:
    payload = proposal.signed.payload
    block, round_number = payload.block, payload.round
    changes, prepares = proposal.round_changes, proposal.prepares
    if proposal.signed.author != HEIGHT.proposer(round_number):
        return False
    if round_number == 0:
        return block.coinbase == proposal.signed.author
    if len({item.author for item in changes}) < quorum(len(VALIDATORS)):
        return False
    if not all(valid_round_change(item, 3, round_number) for item in changes):
        return False
    if all(item.payload.prepared is None for item in changes):
        return block.coinbase == proposal.signed.author
    if len({item.author for item in prepares}) < quorum(len(VALIDATORS)):
        return False
    for item in changes:
        lock = item.payload.prepared
        if lock is None or not is_highest(item, changes):
            continue
        if digest(block.encoded, lock.round) == lock.digest and all(
            prepare.payload == PreparePayload(3, lock.round, lock.digest)
            and prepare.author in VALIDATORS
            for prepare in prepares
        ):
            return True
    return False


def is_stricter_here(proposal: Proposal) -> bool:
    """Whether one of our own rules refuses it."""
    changes, prepares = proposal.round_changes, proposal.prepares
    if proposal.signed.payload.round == 0:
        return bool(changes or prepares)
    doubled = any(len({i.author for i in items}) < len(items) for items in (changes, prepares))
    locks = {item.payload.prepared for item in changes if item.payload.prepared is not None}
    two_digests = len({lock.round for lock in locks}) < len(locks)
    return doubled or two_digests or (not locks and bool(prepares))


def lock_on(block: ProposedBlock, round_number: int) -> Prepared:
    return Prepared(round_number, digest(block.encoded, round_number))


@dataclass
class Case:
    """A justified proposal that is about to be spoilt."""

    round: int
    lock_round: int
    author: bytes
    block: ProposedBlock
    other: ProposedBlock
    changes: list[SignedRoundChange]
    prepares: list[Signed[PreparePayload]]

    def lock(self, at: int, round_number: int) -> None:
        self.change(at, prepared=lock_on(self.other, round_number))

    def change(self, at: int, **fields: Any) -> None:
        item = self.changes[at]
        self.changes[at] = replace(item, payload=replace(item.payload, **fields))

    def prepare(self, at: int, **fields: Any) -> None:
        item = self.prepares[at]
        self.prepares[at] = replace(item, payload=replace(item.payload, **fields))

    def lock_now(self) -> None:
        """Evidence that is sound but for its round, which is the proposal's own."""
        self.change(0, prepared=lock_on(self.block, self.round))
        vote = PreparePayload(3, self.round, digest(self.block.encoded, self.round))
        self.prepares = [replace(item, payload=vote) for item in self.prepares]

    def rename(self, items: list[Any], at: int, author: bytes) -> None:
        items[at] = replace(items[at], author=author)


FAULTS: dict[str, Callable[[Case], object]] = {
    "none": lambda case: None,
    "few changes": lambda case: case.changes.__delitem__(slice(2, None)),
    "few prepares": lambda case: case.prepares.__delitem__(slice(2, None)),
    "no prepares": lambda case: case.prepares.clear(),
    "another block": lambda case: setattr(case, "block", case.other),
    "coinbase": lambda case: setattr(case, "block", block_of(b"a", case.author[::-1] + b"x")),
    "author": lambda case: setattr(case, "author", HEIGHT.proposer(case.round + 1)),
    "stranger": lambda case: setattr(case, "author", STRANGER),
    "highest lock on another": lambda case: case.lock(0, case.lock_round),
    "two digests": lambda case: case.lock(1, case.lock_round),
    "lock of this round": lambda case: case.lock(1, case.round),
    "sound lock of this round": lambda case: case.lock_now(),
    "lock of a later round": lambda case: case.lock(1, case.round + 1),
    "change of height": lambda case: case.change(2, height=2),
    "change of round": lambda case: case.change(2, round=case.round + 1),
    "change by stranger": lambda case: case.rename(case.changes, 1, STRANGER),
    "change doubled": lambda case: case.rename(case.changes, 1, case.changes[0].author),
    "prepare of height": lambda case: case.prepare(1, height=4),
    "prepare of round": lambda case: case.prepare(1, round=case.lock_round + 1),
    "prepare of digest": lambda case: case.prepare(1, digest=digest(case.other.encoded, 0)),
    "prepare by stranger": lambda case: case.rename(case.prepares, 1, STRANGER),
    "prepare doubled": lambda case: case.rename(case.prepares, 1, case.prepares[0].author),
}


@st.composite
def proposals(draw: st.DrawFn) -> Proposal:
    """Well-formed but for one fault, or none; evidence in any order, of a quorum or of all."""
    fault = draw(st.sampled_from(["none", "none", *FAULTS]))
    round_number = draw(st.sampled_from([0, 1, 2, 3, 3]))
    author = HEIGHT.proposer(round_number)
    locked = round_number > 0 and draw(st.booleans())
    block = draw(st.sampled_from(BLOCKS)) if locked else block_of(b"a", author)
    other = next(item for item in BLOCKS if item != block)
    lock_round = draw(st.integers(0, max(0, round_number - 1)))
    voters = draw(st.permutations(VALIDATORS))[: draw(st.sampled_from([3, 4]))]
    locks: list[Prepared | None] = [None for _ in voters]
    if locked:
        own = lock_on(block, lock_round)
        lower = lock_on(BLOCKS[0], draw(st.integers(0, lock_round)))
        choices = [None, own, own if lower.round == lock_round else lower]
        locks = [own, *(draw(st.sampled_from(choices)) for _ in voters[1:])]
    changes = [
        Signed(RoundChangePayload(3, round_number, lock), voter, b"")
        for voter, lock in zip(voters, locks, strict=True)
    ]
    vote = PreparePayload(3, lock_round, digest(block.encoded, lock_round))
    prepares = [Signed(vote, voter, b"") for voter in draw(st.permutations(voters))]
    case = Case(round_number, lock_round, author, block, other, changes, prepares)
    FAULTS[fault](case)
    superfluous = draw(st.sampled_from([False] * 9 + [True]))
    if round_number == 0 and not superfluous:
        case.changes = []
    if not locked and not superfluous:
        case.prepares = []
    signed = Signed(ProposalPayload(3, round_number, case.block), case.author, b"")
    return Proposal(signed, tuple(case.changes), tuple(case.prepares))


@given(proposals())
@settings(max_examples=600, deadline=None)
def test_proposals_are_justified_as_in_the_dafny_model(proposal: Proposal) -> None:
    ours = proposal_fault(HEIGHT, proposal, digest) is None
    assert ours == (dafny_is_justified(proposal) and not is_stricter_here(proposal))


@given(proposals(), st.booleans())
@settings(max_examples=150, deadline=None)
def test_round_changes_need_a_quorum_for_their_own_lock(proposal: Proposal, bare: bool) -> None:
    assume(proposal.round_changes)
    signed = proposal.round_changes[0]
    block = None if bare else proposal.signed.payload.block
    message = RoundChange(signed, block, proposal.prepares)
    lock = signed.payload.prepared
    expected = signed.payload.round > 0
    if lock is None:
        expected = expected and block is None and not proposal.prepares
    else:
        authors = {item.author for item in proposal.prepares}
        expected = (
            expected
            and lock.round < signed.payload.round
            and block is not None
            and digest(block.encoded, lock.round) == lock.digest
            and len(authors) == len(proposal.prepares) >= quorum(len(VALIDATORS))
            and authors <= set(VALIDATORS)
            and all(
                item.payload == PreparePayload(3, lock.round, lock.digest)
                for item in proposal.prepares
            )
        )
    assert (round_change_fault(HEIGHT, message, digest) is None) == expected


def test_both_answers_occur() -> None:
    """The strategy above reaches justified proposals of every kind, or it would prove nothing."""
    block = BLOCKS[0]
    lock = Prepared(0, digest(block.encoded, 0))
    changes = tuple(
        Signed(RoundChangePayload(3, 1, lock if i == 0 else None), VALIDATORS[i], b"")
        for i in range(3)
    )
    prepares = tuple(
        Signed(PreparePayload(3, 0, lock.digest), author, b"") for author in VALIDATORS[:3]
    )
    signed = Signed(ProposalPayload(3, 1, block), HEIGHT.proposer(1), b"")
    good = Proposal(signed, changes, prepares)
    assert proposal_fault(HEIGHT, good, digest) is None
    assert dafny_is_justified(good)
    for bad in (
        Proposal(signed, changes[:2], prepares),
        Proposal(signed, changes, prepares[:2]),
        Proposal(signed, changes, ()),
        Proposal(signed, changes[1:], prepares),
    ):
        assert proposal_fault(HEIGHT, bad, digest) is not None
        assert not dafny_is_justified(bad)
