"""Files of a simulated node: real ones, of which a power cut takes what was not synced."""

import os
import random
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR


class PowerCut(Exception):
    """The power went while a file was being made durable."""


@dataclass
class Disk:
    """Folder of one node.

    Attributes:
        danger: chance that the power goes during one sync; 0 while ``safe``.
        synced: bytes of the journal that survive.
        cut_after: the power goes during the sync after so many; None: it does not.
        keep: bytes behind the synced part of the journal that a cut leaves; None: by chance.
        unsynced: bytes that were at stake in the last cut.
        signer: content of the signer file that survives; None when there is none.
    """

    folder: Path
    rng: random.Random
    danger: float = 0.0
    safe: bool = True
    cut_after: int | None = None
    keep: int | None = None
    synced: int = 0
    unsynced: int = 0
    signer: bytes | None = None

    def sync_journal(self, descriptor: int) -> None:
        """The journal, or one that shall replace it, or the folder once it did."""
        self._risk()
        synced, journal = os.fstat(descriptor), (self.folder / "journal").stat()
        if S_ISDIR(synced.st_mode) or synced.st_ino == journal.st_ino:
            self.synced = journal.st_size

    def sync_signer(self, descriptor: int) -> None:
        """First the new file, then the folder with its name."""
        self._risk()
        if S_ISDIR(os.fstat(descriptor).st_mode):
            self.signer = (self.folder / "signer.json").read_bytes()

    def power_cut(self) -> None:
        """Cut the journal somewhere behind its synced part; a new name may be lost or not."""
        journal, signer = self.folder / "journal", self.folder / "signer.json"
        self.unsynced = max(0, journal.stat().st_size - self.synced)
        if self.unsynced:
            keep = self.rng.randint(0, self.unsynced) if self.keep is None else self.keep
            os.truncate(journal, self.synced + min(keep, self.unsynced))
        if signer.exists() and signer.read_bytes() != self.signer and self.rng.random() < 0.5:
            if self.signer is None:
                signer.unlink()
            else:
                signer.write_bytes(self.signer)
        if signer.exists():
            self.signer = signer.read_bytes()

    def forget(self) -> None:
        """Lose journal and signer file."""
        for name in ("journal", "signer.json"):
            (self.folder / name).unlink(missing_ok=True)
        self.signer = None

    def _risk(self) -> None:
        if self.safe:
            return
        if self.cut_after is not None:
            self.cut_after -= 1
            if self.cut_after < 0:
                self.cut_after = None
                raise PowerCut
        if self.danger and self.rng.random() < self.danger:
            raise PowerCut
