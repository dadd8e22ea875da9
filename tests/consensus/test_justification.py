"""Justification against a transcription of the Dafny model, on 10,000 generated cases.

Source: ConsenSys/qbft-formal-spec-and-verification, dafny/spec/L1: ``isProposalJustification``,
``validRoundChange``, ``isHighestPrepared``, ``validSignedPrepareForHeightRoundAndDigest``. Its sets
of signed messages are sets of senders here; ours also refuses two digests prepared in one round,
and evidence beyond what is needed.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from consensus.core.justification import proposal_fault, round_change_fault
from consensus.core.messages import (
    Prepared,
    PreparePayload,
    Proposal,
    ProposalPayload,
    RoundChange,
    RoundChangePayload,
    Signed,
    SignedPrepare,
    SignedRoundChange,
)
from consensus.core.types import Height, ProposedBlock, quorum

CASES = 10_000
KINDS = ("first", "fresh", "locked")
ADDRESSES = tuple(bytes([i]) * 20 for i in range(1, 11))
STRANGER = b"\x99" * 20
PARENT = b"\3" * 32


def height_of(count: int) -> Height:
    return Height(3, PARENT, ADDRESSES[count - 1], ADDRESSES[:count])


def digest(encoded: bytes, round_number: int) -> bytes:
    return encoded.ljust(31, b"\0") + bytes([round_number])


def block_of(name: bytes, coinbase: bytes) -> ProposedBlock:
    return ProposedBlock(3, PARENT, coinbase, 5, name + coinbase)


# The model, predicate by predicate, with its names.


def valid_round_change(item: SignedRoundChange, height: Height, round_number: int) -> bool:
    payload = item.payload
    return (
        payload.height == height.number
        and payload.round == round_number
        and (payload.prepared is None or payload.prepared.round < round_number)
        and item.author in height.validators
    )


def is_highest_prepared(item: SignedRoundChange, items: Sequence[SignedRoundChange]) -> bool:
    own = item.payload.prepared
    return own is not None and all(
        other.payload.prepared is None or other.payload.prepared.round <= own.round
        for other in items
    )


def valid_signed_prepare(item: SignedPrepare, height: Height, lock: Prepared) -> bool:
    wanted = PreparePayload(height.number, lock.round, lock.digest)
    return item.payload == wanted and item.author in height.validators


def senders(items: Sequence[Signed[Any]]) -> int:
    return len({item.author for item in items})


def is_proposal_justification(proposal: Proposal, height: Height) -> bool:
    payload, author = proposal.signed.payload, proposal.signed.author
    block, round_number = payload.block, payload.round
    changes, prepares = proposal.round_changes, proposal.prepares
    if author != height.proposer(round_number):
        return False
    if (block.height, block.parent_hash) != (height.number, height.parent_hash):
        return False
    if round_number == 0:
        return block.coinbase == author
    enough = quorum(len(height.validators))
    if senders(changes) < enough:
        return False
    if not all(valid_round_change(item, height, round_number) for item in changes):
        return False
    if all(item.payload.prepared is None for item in changes):
        return block.coinbase == author
    if senders(prepares) < enough:
        return False
    return any(
        lock is not None
        and is_highest_prepared(item, changes)
        and digest(block.encoded, lock.round) == lock.digest
        and all(valid_signed_prepare(prepare, height, lock) for prepare in prepares)
        for item in changes
        for lock in [item.payload.prepared]
    )


def is_round_change_justified(message: RoundChange, height: Height) -> bool:
    payload, block = message.signed.payload, message.block
    lock = payload.prepared
    if not valid_round_change(message.signed, height, payload.round) or payload.round == 0:
        return False
    if lock is None:
        return True
    return (
        block is not None
        and (block.height, block.parent_hash) == (height.number, height.parent_hash)
        and digest(block.encoded, lock.round) == lock.digest
        and senders(message.prepares) >= quorum(len(height.validators))
        and all(valid_signed_prepare(item, height, lock) for item in message.prepares)
    )


def is_proposal_stricter_here(proposal: Proposal) -> bool:
    """Whether one of our own rules refuses it."""
    changes, prepares = proposal.round_changes, proposal.prepares
    if proposal.signed.payload.round == 0:
        return bool(changes or prepares)
    locks = {item.payload.prepared for item in changes if item.payload.prepared is not None}
    two_digests = len({lock.round for lock in locks}) < len(locks)
    doubled = any(senders(items) < len(items) for items in (changes, prepares))
    return doubled or two_digests or (not locks and bool(prepares))


def is_round_change_stricter_here(message: RoundChange) -> bool:
    if message.signed.payload.prepared is None:
        return message.block is not None or bool(message.prepares)
    return senders(message.prepares) < len(message.prepares)


# Cases: sound evidence, then one thing wrong with it, or none.


@dataclass
class Case:
    """A justified proposal that is about to be spoilt."""

    height: Height
    round: int
    lock_round: int
    author: bytes
    block: ProposedBlock
    other: ProposedBlock
    changes: list[SignedRoundChange]
    prepares: list[SignedPrepare]

    def change(self, at: int, **fields: Any) -> None:
        at %= len(self.changes)
        item = self.changes[at]
        self.changes[at] = replace(item, payload=replace(item.payload, **fields))

    def lock(self, at: int, round_number: int) -> None:
        digest_there = digest(self.other.encoded, round_number)
        self.change(at, prepared=Prepared(round_number, digest_there))

    def prepare(self, at: int, **fields: Any) -> None:
        at %= len(self.prepares)
        item = self.prepares[at]
        self.prepares[at] = replace(item, payload=replace(item.payload, **fields))

    def lock_at(self, round_number: int) -> None:
        """Evidence that is sound but for its round."""
        named = digest(self.block.encoded, round_number)
        self.change(0, prepared=Prepared(round_number, named))
        vote = PreparePayload(3, round_number, named)
        self.prepares = [replace(item, payload=vote) for item in self.prepares]

    def rename(self, items: list[Any], at: int, author: bytes) -> None:
        items[at % len(items)] = replace(items[at % len(items)], author=author)

    def cut(self, items: list[Any]) -> None:
        """One below the quorum."""
        del items[self.height.quorum - 1 :]

    def move(self, **fields: Any) -> None:
        """The block itself is of another place in the chain; everything else names it."""
        self.block = replace(self.block, **fields)


FAULTS: dict[str, Callable[[Case], object]] = {
    "none": lambda case: None,
    "few changes": lambda case: case.cut(case.changes),
    "few prepares": lambda case: case.cut(case.prepares),
    "no prepares": lambda case: case.prepares.clear(),
    "no changes": lambda case: case.changes.clear(),
    "another block": lambda case: setattr(case, "block", case.other),
    "block of another height": lambda case: case.move(height=4),
    "block of another parent": lambda case: case.move(parent_hash=b"\4" * 32),
    "coinbase": lambda case: setattr(case, "block", block_of(b"a", STRANGER)),
    "author": lambda case: setattr(case, "author", case.height.proposer(case.round + 1)),
    "stranger": lambda case: setattr(case, "author", STRANGER),
    "highest lock on another": lambda case: case.lock(0, case.lock_round),
    "two digests": lambda case: case.lock(1, case.lock_round),
    "lock of this round": lambda case: case.lock(1, case.round),
    "sound lock of this round": lambda case: case.lock_at(case.round),
    "sound lock of a later round": lambda case: case.lock_at(case.round + 1),
    "lock of a later round": lambda case: case.lock(1, case.round + 1),
    "change of height": lambda case: case.change(0, height=2),
    "change of round": lambda case: case.change(0, round=case.round + 1),
    "change by stranger": lambda case: case.rename(case.changes, 0, STRANGER),
    "change doubled": lambda case: case.rename(case.changes, 1, case.changes[0].author),
    "prepare of height": lambda case: case.prepare(1, height=4),
    "prepare of round": lambda case: case.prepare(1, round=case.lock_round + 1),
    "prepare of digest": lambda case: case.prepare(1, digest=digest(case.other.encoded, 0)),
    "prepare by stranger": lambda case: case.rename(case.prepares, 1, STRANGER),
    "prepare doubled": lambda case: case.rename(case.prepares, 1, case.prepares[0].author),
}


def sound_case(rng: random.Random) -> tuple[Case, bool]:
    """Evidence of a quorum up to all, in any order, and whether somebody is locked."""
    height = height_of(rng.choice((1, 2, 3, 4, 4, 4, 5, 7, 10)))
    round_number = rng.choice((0, 1, 2, 3, 3))
    author = height.proposer(round_number)
    locked = round_number > 0 and rng.random() < 0.6
    blocks = [block_of(name, coinbase) for name in (b"a", b"b") for coinbase in ADDRESSES[:2]]
    block = rng.choice(blocks) if locked else block_of(b"a", author)
    other = next(item for item in blocks if item != block)
    lock_round = rng.randrange(max(1, round_number))
    size = rng.randint(height.quorum, len(height.validators))
    voters = rng.sample(height.validators, size)
    locks: list[Prepared | None] = [None] * size
    if locked:
        own = Prepared(lock_round, digest(block.encoded, lock_round))
        lower = Prepared(rng.randint(0, lock_round), b"")
        lower = replace(lower, digest=digest(blocks[0].encoded, lower.round))
        choices = [None, own, own if lower.round == lock_round else lower]
        locks = [own, *(rng.choice(choices) for _ in voters[1:])]
    changes = [
        Signed(RoundChangePayload(3, round_number, lock), voter, b"")
        for voter, lock in zip(voters, locks, strict=True)
    ]
    vote = PreparePayload(3, lock_round, digest(block.encoded, lock_round))
    prepares = [Signed(vote, voter, b"") for voter in rng.sample(voters, size)]
    case = Case(height, round_number, lock_round, author, block, other, changes, prepares)
    return case, locked


def cases(seed: int) -> Iterator[tuple[str, Case]]:
    """``CASES`` cases, a third of them without a fault; some with more evidence than needed."""
    rng = random.Random(seed)
    for _ in range(CASES):
        fault = rng.choice([*FAULTS, *["none"] * (len(FAULTS) // 2)])
        case, locked = sound_case(rng)
        FAULTS[fault](case)
        superfluous = rng.random() < 0.05
        if case.round == 0 and not superfluous:
            case.changes = []
        if not locked and not superfluous:
            case.prepares = []
        rng.shuffle(case.changes)
        yield fault, case


def test_proposals_are_justified_as_in_the_dafny_model() -> None:
    verdicts: Counter[tuple[bool, str]] = Counter()
    for fault, case in cases(1):
        signed = Signed(ProposalPayload(3, case.round, case.block), case.author, b"")
        proposal = Proposal(signed, tuple(case.changes), tuple(case.prepares))
        reason = proposal_fault(case.height, proposal, digest)
        model = is_proposal_justification(proposal, case.height)
        assert (reason is None) == (model and not is_proposal_stricter_here(proposal)), (
            f"{fault}: {reason}, {proposal}"
        )
        kind = "first" if case.round == 0 else "locked" if case.prepares else "fresh"
        verdicts[reason is None, kind] += 1
        verdicts[reason is None, fault] += 1
    kinds = [verdicts[verdict, kind] for verdict in (True, False) for kind in KINDS]
    assert min(kinds) > 300, verdicts
    assert all(verdicts[False, fault] > 20 for fault in FAULTS if fault != "none"), verdicts


def test_round_changes_are_justified_as_in_the_dafny_model() -> None:
    verdicts: Counter[tuple[bool, bool]] = Counter()
    rng = random.Random(2)
    for fault, case in chain(cases(3), cases(4)):
        if not case.changes:
            continue
        signed = rng.choice(case.changes)
        locked = signed.payload.prepared is not None
        superfluous = rng.random() < 0.1
        bare = not superfluous if not locked else superfluous
        block = None if bare else case.block
        evidence = () if bare and rng.random() < 0.9 else tuple(case.prepares)
        message = RoundChange(signed, block, evidence)
        height = case.height
        if signed.author not in height.validators:
            continue  # the core drops it before
        reason = round_change_fault(height, message, digest)
        ours = reason is None and signed.payload.height == height.number  # checked before, too
        model = is_round_change_justified(message, height)
        expected = model and not is_round_change_stricter_here(message)
        assert ours == expected, f"{fault}: {reason}, {message}"
        verdicts[ours, locked] += 1
    assert min(verdicts.values()) > 300, verdicts
    assert sum(verdicts.values()) > CASES
