"""Signer and journal as one: what the engine uses to perform ``Persist`` and ``Broadcast``."""

from dataclasses import replace

from consensus.core.events import Entry, Recovered
from consensus.core.messages import CODES, Code, CommitPayload, Draft, Message, seal_message
from consensus.errors import SigningRefused
from consensus.signer import LastSigned, Signer
from consensus.wal import Journal, Sent


class Voter:
    """Votes of one node; owns neither file, its maker closes both.

    Args:
        signer: open.
        journal: open, of the same chain and address.

    Attributes:
        recovered: the journal's knowledge at the start, for ``NewHeight``.
        lost_lock: height of a COMMIT whose lock the journal lacks: it was deleted, or restored from
            a backup; None when signer file and journal agree.
    """

    def __init__(self, signer: Signer, journal: Journal) -> None:
        self._signer, self._journal = signer, journal
        self.recovered: Recovered | None = journal.recovered
        self._sent: dict[tuple[int, int, Code], Message] = {}
        if self.recovered is not None:
            for (round_number, code), message in self.recovered.sent.items():
                self._sent[self.recovered.height, round_number, code] = message

        self.lost_lock = _lost_lock(signer.last, self.recovered)

    @property
    def address(self) -> bytes:
        """The validator, 20 bytes."""
        return self._signer.address

    def may_vote(self, height: int) -> bool:
        """Whether votes on this height, head + 1, keep what was promised before a restart.

        False while the journal is ahead of the database, and up to a height at which this key
        signed a COMMIT whose lock the journal does not know: voting without it is a fault.
        """
        if self.recovered is not None and self.recovered.height > height:
            return False
        return self.lost_lock is None or height > self.lost_lock

    def persist(self, entry: Entry) -> None:
        """Journal an entry; it is durable before the next ``sign`` returns.

        Raises:
            JournalError: the disk refuses; the node must stop.
        """
        self._journal.append(entry)

    def sign(self, draft: Draft) -> Message:
        """Sign and journal; durable when it returns. A vote signed before is returned as it was.

        Raises:
            SigningRefused: another vote of this step was signed; go on without this one.
            SignerError, JournalError: the disk refuses; the node must stop.
        """
        payload = draft.payload
        key = (payload.height, payload.round, draft.code)
        known = self._sent.get(key)
        if known is not None:
            message = _again(draft, known)
        else:
            if draft.code is Code.COMMIT:
                self._journal.sync()  # the lock is on disk before the signer says that it exists
            message = self._signer.sign(draft)
            self._journal.append(Sent(message))
            self._sent[key] = message
        self._journal.sync()
        return message

    def committed(self, height: int) -> None:
        """The database holds ``height``: forget votes up to it, unless the journal is ahead.

        It is ahead when the database lost blocks that this node voted for; until sync has brought
        them back, ``recovered`` stays and the node must not vote.
        """
        if self.recovered is not None and self.recovered.height > height:
            return
        self._journal.prune()
        self._sent.clear()
        self.recovered = None


def _lost_lock(last: LastSigned | None, recovered: Recovered | None) -> int | None:
    if last is None or last.locked is None:
        return None
    height, round_number = last.locked
    known = (0, 0)
    if recovered is not None:
        known = recovered.height, -1 if recovered.lock is None else recovered.lock.round
    return height if known < (height, round_number) else None


def _again(draft: Draft, known: Message) -> Message:
    """The message of a draft that was signed before, with the draft's evidence."""
    signed = known.signed
    payload = draft.payload
    if isinstance(payload, CommitPayload) and isinstance(signed.payload, CommitPayload):
        payload = replace(payload, seal=signed.payload.seal)
    if payload != signed.payload:
        name = CODES[type(payload)].name
        raise SigningRefused(
            f"{name} ({payload.height}, {payload.round}): another one was signed before"
        )
    return seal_message(draft, signed.author, signed.payload, signed.signature)
