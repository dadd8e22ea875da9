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
        signer: content of the signer file that survives; None when there is none.
    """

    folder: Path
    rng: random.Random
    danger: float = 0.0
    safe: bool = True
    synced: int = 0
    signer: bytes | None = None

    def sync_journal(self, descriptor: int) -> None:
        self._risk()
        if not S_ISDIR(os.fstat(descriptor).st_mode):
            self.synced = os.fstat(descriptor).st_size

    def sync_signer(self, descriptor: int) -> None:
        """First the new file, then the folder with its name."""
        self._risk()
        if S_ISDIR(os.fstat(descriptor).st_mode):
            self.signer = (self.folder / "signer.json").read_bytes()

    def power_cut(self) -> None:
        """Cut the journal somewhere behind its synced part; a new name may be lost or not."""
        journal, signer = self.folder / "journal", self.folder / "signer.json"
        size = journal.stat().st_size
        if size > self.synced:
            os.truncate(journal, self.rng.randint(self.synced, size))
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
        if not self.safe and self.danger and self.rng.random() < self.danger:
            raise PowerCut
