"""Signer and journal as one: what the engine uses to perform ``Persist`` and ``Broadcast``."""

from dataclasses import replace

from consensus.core.events import Entry, Recovered
from consensus.core.messages import CODES, Code, CommitPayload, Draft, Message, seal_message
from consensus.errors import SigningRefused
from consensus.signer import Signer
from consensus.wal import Journal, Sent


class Voter:
    """Votes of one node; owns neither file, its maker closes both.

    Args:
        signer: open.
        journal: open, of the same chain and address.

    Attributes:
        recovered: the journal's knowledge at the start, for ``NewHeight``.
    """

    def __init__(self, signer: Signer, journal: Journal) -> None:
        self._signer, self._journal = signer, journal
        self.recovered: Recovered | None = journal.recovered
        self._sent: dict[tuple[int, int, Code], Message] = {}
        if self.recovered is not None:
            for (round_number, code), message in self.recovered.sent.items():
                self._sent[self.recovered.height, round_number, code] = message

    @property
    def address(self) -> bytes:
        """The validator, 20 bytes."""
        return self._signer.address

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
