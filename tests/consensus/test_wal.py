"""The journal: what was synced comes back; damage is found; a cut at any byte is survived."""

import errno
from pathlib import Path

import pytest

from consensus.core.events import Accepted, Lock, Locked, Recovered, RoundEntered
from consensus.core.messages import Code, Draft, PreparePayload, RoundChangePayload
from consensus.errors import JournalError, SigningRefused
from consensus.signer import Signer
from consensus.voter import Voter
from consensus.wal import Journal, Sent, encode_entry, encode_record, recover, split_records
from tests.consensus.votes import (
    BLOCK,
    BY_ADDRESS,
    OTHER,
    VALIDATORS,
    commit,
    prepare,
    proposal,
    round_change,
)
from tests.sim.world import DOMAIN, digest_of

ME = VALIDATORS[0]
PREPARES = tuple(prepare(i, 1).signed for i in range(3))
ENTRIES = (
    Sent(proposal(0)),
    Accepted(1, 0, OTHER),
    Sent(prepare(0, 0, OTHER)),
    RoundEntered(1, 1),
    Sent(round_change(0, 1)),
    Accepted(1, 1, BLOCK),
    Sent(prepare(0, 1)),
    Locked(1, 1, PREPARES),
    Sent(commit(0, 1)),
)


def write(path: Path, entries: tuple[object, ...] = ENTRIES) -> bytes:
    journal = Journal(path, DOMAIN, ME)
    for entry in entries:
        journal.append(entry)  # type: ignore[arg-type]
    journal.sync()
    journal.close()
    return path.read_bytes()


def reopen(path: Path) -> Journal:
    journal = Journal(path, DOMAIN, ME)
    journal.close()
    return journal


def test_everything_comes_back(tmp_path: Path) -> None:
    write(tmp_path / "journal")
    recovered = reopen(tmp_path / "journal").recovered
    assert recovered is not None
    assert (recovered.height, recovered.round, recovered.accepted) == (1, 1, BLOCK)
    assert recovered.lock == Lock(1, BLOCK, PREPARES)
    assert set(recovered.sent) == {
        (0, Code.PROPOSAL), (0, Code.PREPARE), (1, Code.ROUND_CHANGE), (1, Code.PREPARE),
        (1, Code.COMMIT),
    }  # fmt: skip
    assert recovered.sent[1, Code.COMMIT] == commit(0, 1)


def test_a_cut_at_every_byte_gives_a_prefix(tmp_path: Path) -> None:
    """And the journal goes on from there."""
    path = tmp_path / "journal"
    data = write(path)
    ends = [0]
    for payload in split_records(data, "journal")[0]:
        ends.append(ends[-1] + len(encode_record(payload)))
    for cut in range(len(data) + 1):
        whole = sum(end <= cut for end in ends[1:])
        payloads, length = split_records(data[:cut], "journal")
        assert (len(payloads), length) == (whole, ends[whole])
    for cut in range(0, len(data), 97):
        path.write_bytes(data[:cut])
        journal = Journal(path, DOMAIN, ME)
        journal.append(RoundEntered(1, 9))
        journal.close()
        recovered = reopen(path).recovered
        assert recovered is not None
        assert recovered.round == 9


@pytest.mark.parametrize("zeros", [1, 11, 12, 13, 4096])
def test_zeros_after_the_last_record_are_a_torn_write(tmp_path: Path, zeros: int) -> None:
    path = tmp_path / "journal"
    data = write(path)
    path.write_bytes(data + bytes(zeros))
    assert reopen(path).recovered is not None
    assert path.stat().st_size == len(data)


def test_a_flipped_bit_before_the_last_record_is_found(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    data = write(path)
    payloads, _ = split_records(data, "journal")
    last = len(data) - len(encode_record(payloads[-1]))
    for at in range(0, last, 7):
        damaged = bytearray(data)
        damaged[at] ^= 0x10
        path.write_bytes(damaged)
        with pytest.raises(JournalError, match=r"is damaged at byte \d+\. The disk"):
            Journal(path, DOMAIN, ME)


def test_sound_records_that_make_no_sense_are_found(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    for payload in (b"\xc0", b"\xc1\x07", b"\x80", encode_entry(ENTRIES[0])[:-1]):
        path.unlink(missing_ok=True)
        data = write(path, ())
        path.write_bytes(data + encode_record(payload) + encode_record(payload))
        with pytest.raises(JournalError, match="journal: "):
            Journal(path, DOMAIN, ME)
    with pytest.raises(JournalError, match="lock of round 1 alone"):
        recover([Locked(1, 1, PREPARES)])


def test_a_journal_of_another_node_or_chain_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    write(path)
    with pytest.raises(JournalError, match="of another chain, version or validator key"):
        Journal(path, DOMAIN, VALIDATORS[1])


def test_old_heights_are_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    write(path, (*ENTRIES, RoundEntered(2, 0)))
    recovered = reopen(path).recovered
    assert recovered is not None
    assert (recovered.height, recovered.round, recovered.lock, recovered.sent) == (2, 0, None, {})


def test_a_long_journal_begins_anew_when_its_heights_are_committed(tmp_path: Path) -> None:
    """By replacement: whatever a power cut leaves, it is the old journal or the new one."""
    path = tmp_path / "journal"
    data = write(path)
    journal = Journal(path, DOMAIN, ME, compact_bytes=len(data) + 1)
    journal.prune()
    assert path.read_bytes() == data
    journal.append(RoundEntered(2, 3))
    journal.prune()
    assert path.stat().st_size < 200
    journal.append(RoundEntered(3, 1))
    journal.close()
    assert reopen(path).recovered == Recovered(3, 1)


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    full: list[bool] = []

    def sync(_: int) -> None:
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")

    journal = Journal(tmp_path / "journal", DOMAIN, ME, sync)
    full.append(True)
    journal.append(RoundEntered(1, 1))
    with pytest.raises(JournalError, match="No space left"):
        journal.sync()
    journal.close()


def prepare_draft(fork: int = 0) -> Draft:
    block = (BLOCK, OTHER)[fork]
    return Draft(PreparePayload(1, 1, digest_of(block.encoded, 1)))


def open_voter(folder: Path, synced: list[int]) -> tuple[Signer, Journal, Voter]:
    signer = Signer(folder / "signer.json", BY_ADDRESS[ME], DOMAIN, lambda _: None)
    journal = Journal(folder / "journal", DOMAIN, ME, synced.append)
    return signer, journal, Voter(signer, journal)


def test_a_vote_is_on_disk_before_it_leaves(tmp_path: Path) -> None:
    synced: list[int] = []
    signer, journal, voter = open_voter(tmp_path, synced)
    synced.clear()
    voter.persist(Accepted(1, 1, BLOCK))
    assert synced == []
    message = voter.sign(prepare_draft())
    assert len(synced) == 1
    signer.close()
    journal.close()
    recovered = reopen(tmp_path / "journal").recovered
    assert recovered is not None
    assert recovered.accepted == BLOCK
    assert recovered.sent == {(1, Code.PREPARE): message}


def test_after_a_restart_votes_are_repeated_and_never_changed(tmp_path: Path) -> None:
    signer, journal, voter = open_voter(tmp_path, [])
    first = voter.sign(prepare_draft())
    voter.sign(Draft(RoundChangePayload(1, 2, None)))
    signer.close()
    journal.close()
    signer, journal, voter = open_voter(tmp_path, [])
    assert voter.sign(prepare_draft()) == first  # although the signer is past it
    with pytest.raises(SigningRefused, match="another one was signed before"):
        voter.sign(prepare_draft(fork=1))
    voter.committed(0)  # below the journal's height: nothing is forgotten
    kept = voter.recovered
    voter.committed(1)
    assert (kept is None, voter.recovered is None) == (False, True)
    with pytest.raises(SigningRefused, match="behind"):
        voter.sign(prepare_draft(fork=1))
    signer.close()
    journal.close()
