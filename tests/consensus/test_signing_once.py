"""Double signing, tried: copied folders, old backups, cut journals, full disks."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from consensus.codec import Domain
from consensus.core.events import Accepted, Locked
from consensus.core.messages import CommitPayload, Draft, PreparePayload, RoundChangePayload
from consensus.errors import JournalError, SigningRefused
from consensus.signer import Signer
from consensus.voter import Voter
from consensus.wal import Journal, split_records
from tests.consensus.votes import BLOCK, BY_ADDRESS, OTHER, VALIDATORS, prepare
from tests.sim.world import DOMAIN, digest_of

ME = VALIDATORS[0]
KEY = BY_ADDRESS[ME]
PREPARES = tuple(prepare(i, 1).signed for i in range(3))

VOTES = """
import sys
from pathlib import Path
from consensus.codec import Domain
from consensus.errors import SignerError
from consensus.signer import Signer

try:
    Signer(Path(sys.argv[1]), bytes.fromhex(sys.argv[2]), Domain(1, int(sys.argv[3]), bytes(32)))
except SignerError as error:
    sys.exit(str(error))
print("votes", flush=True)
sys.stdin.read()
"""


def voter_process(path: Path, chain_id: int) -> "subprocess.Popen[str]":
    """A process that holds the key until its input ends."""
    arguments = [sys.executable, "-c", VOTES, str(path), KEY.hex(), str(chain_id)]
    pipe = subprocess.PIPE
    return subprocess.Popen(arguments, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def test_a_copied_folder_starts_no_second_voter(tmp_path: Path) -> None:
    """On one machine: while the first lives, and also right after it was killed, there is one."""
    chain_id = os.getpid()
    original, copy = tmp_path / "node" / "signer.json", tmp_path / "copy" / "signer.json"
    with voter_process(original, chain_id) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "votes\n"
        shutil.copytree(original.parent, copy.parent)
        with voter_process(copy, chain_id) as second:
            _, reason = second.communicate(timeout=60)
        assert second.returncode == 1
        assert "another process votes with this key" in reason
        assert "from another folder" in reason
        with voter_process(copy, chain_id + 1) as elsewhere:  # another chain is another vote
            assert elsewhere.communicate(timeout=60) == ("votes\n", "")
        first.kill()
        first.communicate(timeout=60)
    with voter_process(copy, chain_id) as third:
        assert third.communicate(timeout=60) == ("votes\n", "")


def prepare_draft(block_of: int, round_number: int = 1) -> Draft:
    block = (BLOCK, OTHER)[block_of]
    return Draft(PreparePayload(1, round_number, digest_of(block.encoded, round_number)))


def commit_draft(block_of: int, round_number: int = 1) -> Draft:
    block = (BLOCK, OTHER)[block_of]
    return Draft(CommitPayload(1, round_number, digest_of(block.encoded, round_number)))


class Life:
    """One life of a node's files."""

    def __init__(self, folder: Path) -> None:
        self.signer = Signer(folder / "signer.json", KEY, DOMAIN, lambda _: None)
        try:
            self.journal = Journal(folder / "journal", DOMAIN, ME, lambda _: None)
        except JournalError:
            self.signer.close()
            raise
        self.voter = Voter(self.signer, self.journal)

    def __enter__(self) -> Voter:
        return self.voter

    def __exit__(self, *_: object) -> None:
        self.journal.close()
        self.signer.close()


def round_one(voter: Voter) -> None:
    """PREPARE and COMMIT of BLOCK in round 1."""
    voter.persist(Accepted(1, 1, BLOCK))
    voter.sign(prepare_draft(0))
    voter.persist(Locked(1, 1, PREPARES))
    voter.sign(commit_draft(0))


def test_an_old_journal_signs_nothing_twice_and_abstains(tmp_path: Path) -> None:
    """A backup from before the COMMIT: the signer file knows better."""
    with Life(tmp_path) as voter:
        voter.sign(Draft(RoundChangePayload(1, 1, None)))
    shutil.copy(tmp_path / "journal", tmp_path / "backup")
    with Life(tmp_path) as voter:
        round_one(voter)
    shutil.copy(tmp_path / "backup", tmp_path / "journal")
    with Life(tmp_path) as voter:
        assert voter.lost_lock == 1
        assert (voter.may_vote(1), voter.may_vote(2)) == (False, True)
        for draft in (prepare_draft(1), commit_draft(1), prepare_draft(0)):
            with pytest.raises(SigningRefused):
                voter.sign(draft)
        assert voter.sign(commit_draft(0))  # what was said is only repeated


def test_no_journal_at_all_abstains_too(tmp_path: Path) -> None:
    with Life(tmp_path) as voter:
        round_one(voter)
        voter.sign(Draft(RoundChangePayload(1, 2, None)))
    (tmp_path / "journal").unlink()
    with Life(tmp_path) as voter:
        assert not voter.may_vote(1)
        voter.committed(1)
        assert voter.may_vote(2)


def test_the_journal_of_the_newest_lock_may_vote(tmp_path: Path) -> None:
    with Life(tmp_path) as voter:
        round_one(voter)
    with Life(tmp_path) as voter:
        assert voter.may_vote(1)
        assert voter.recovered is not None
        assert voter.recovered.lock is not None


def test_a_journal_ahead_of_the_database_waits(tmp_path: Path) -> None:
    with Life(tmp_path) as voter:
        round_one(voter)
    with Life(tmp_path) as voter:
        assert not voter.may_vote(0)


def test_a_cut_journal_signs_nothing_twice(tmp_path: Path) -> None:
    """Also where the disk lost what it had promised: with the lock goes the right to vote."""
    with Life(tmp_path) as voter:
        round_one(voter)
    data = (tmp_path / "journal").read_bytes()
    records = split_records(data, "journal")[0]
    lock_end = sum(len(record) + 12 for record in records[:4])  # owner, accepted, sent, locked
    for cut in sorted({*range(0, len(data), 3), lock_end - 1, lock_end}):
        (tmp_path / "journal").write_bytes(data[:cut])
        with Life(tmp_path) as voter:
            assert voter.may_vote(1) == (cut >= lock_end)
            for draft in (prepare_draft(1), commit_draft(1)):
                with pytest.raises(SigningRefused):
                    voter.sign(draft)


FULL_DISK = """
import resource, sys
from pathlib import Path
from consensus.codec import Domain
from consensus.core.messages import Draft, RoundChangePayload
from consensus.signer import Signer
from consensus.voter import Voter
from consensus.wal import Journal

folder, domain = Path(sys.argv[1]), Domain(1, int(sys.argv[3]), bytes(32))
signer = Signer(folder / "signer.json", bytes.fromhex(sys.argv[2]), domain)
voter = Voter(signer, Journal(folder / "journal", domain, signer.address))
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[4]), int(sys.argv[4])))
for number in range(1, 1000):
    voter.sign(Draft(RoundChangePayload(1, number, None)))
    print(number, flush=True)
"""


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        (200, "SignerError: cannot write "),  # the signer file is the first that does not fit
        (700, "JournalError: cannot write "),
        (3_001, "JournalError: cannot write "),
    ],
)
def test_a_full_disk_stops_before_anything_is_sent(tmp_path: Path, limit: int, reason: str) -> None:
    """Real files that may not grow: the process ends with the reason; what it said is on disk."""
    chain_id = os.getpid()
    script = [sys.executable, "-c", FULL_DISK, str(tmp_path), KEY.hex(), str(chain_id), str(limit)]
    done = subprocess.run(script, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert reason in done.stderr.splitlines()[-1]
    sent = [int(line) for line in done.stdout.split()]
    domain = Domain(1, chain_id, bytes(32))
    with Signer(tmp_path / "signer.json", KEY, domain) as signer:
        journal = Journal(tmp_path / "journal", domain, ME)
        recovered, voter = journal.recovered, Voter(signer, journal)
        written = 0 if recovered is None else recovered.round
        assert written == max(sent, default=0)
        assert signer.last is None or signer.last.round in (written, written + 1)
        assert voter.sign(Draft(RoundChangePayload(1, written + 1, None)))  # room again
        journal.close()
