"""Validators that lie. Each is an honest node with one habit; none forges another's signature."""

from dataclasses import replace

from coincurve import PrivateKey

from consensus.core import events as ev
from consensus.core.messages import (
    CommitPayload,
    Draft,
    Message,
    PreparePayload,
    Proposal,
    ProposalPayload,
    RoundChangePayload,
    seal_message,
)
from consensus.core.types import ProposedBlock
from consensus.signer import sign_digest
from tests.sim.node import FORGED, Node
from tests.sim.world import DOMAIN, digest_of, make_block


class Liar(Node):
    """Signs whatever it likes."""

    honest = False

    def sign_anything(self, draft: Draft) -> Message:
        key, payload = PrivateKey(self.key), draft.payload
        if isinstance(payload, CommitPayload):
            payload = replace(payload, seal=sign_digest(key, payload.digest))
        return seal_message(
            draft, self.address, payload, sign_digest(key, DOMAIN.digest(payload))
        )  # fmt: skip

    def vote_for(self, block: ProposedBlock, round_number: int, target: int) -> None:
        digest = digest_of(block.encoded, round_number)
        for payload in (
            PreparePayload(block.height, round_number, digest),
            CommitPayload(block.height, round_number, digest),
        ):
            self.send(target, self.sign_anything(Draft(payload)))


class Equivocator(Liar):
    """Proposes two blocks to two halves; it and its friends vote for everything."""

    def perform_one(self, effect: ev.Effect) -> None:
        draft = effect.draft if isinstance(effect, ev.Broadcast) else None
        if draft is None or not isinstance(draft.payload, ProposalPayload) or draft.prepares:
            return super().perform_one(effect)
        payload = draft.payload
        parent = self.chain[-1][0]
        for target in range(self.world.count):
            block = make_block(parent, self.address, b"half %d" % (target % 2))
            changed = replace(draft, payload=replace(payload, block=block))
            self.send(target, self.sign_anything(changed))
            for node in self.world.nodes:
                if isinstance(node, Equivocator):
                    node.vote_for(block, payload.round, target)
        return None

    def receive(self, message: Message) -> None:
        if isinstance(message, Proposal) and message.signed.author != self.address:
            payload = message.signed.payload
            for target in range(self.world.count):
                self.vote_for(payload.block, payload.round, target)
        super().receive(message)


class Silent(Liar):
    """Says nothing."""

    def broadcast(self, message: Message) -> None:
        return


class Withholder(Liar):
    """Tells only some."""

    def broadcast(self, message: Message) -> None:
        for target in range(self.world.count):
            if target != self.index and self.world.rng.random() < 0.5:
                self.send(target, message)


class StaleRoundChanger(Liar):
    """Denies its lock, and asks for rounds that nobody wants."""

    def broadcast(self, message: Message) -> None:
        payload = message.signed.payload
        if isinstance(payload, RoundChangePayload):
            rounds = (payload.round, payload.round + self.world.rng.randint(1, 100))
            for round_number in rounds:
                lie = RoundChangePayload(payload.height, round_number, None)
                super().broadcast(self.sign_anything(Draft(lie)))
            return
        super().broadcast(message)


class BadJustifier(Liar):
    """Proposes a fresh block whatever was prepared, with evidence that it trims as it likes."""

    def broadcast(self, message: Message) -> None:
        if not isinstance(message, Proposal):
            return super().broadcast(message)
        payload, rng = message.signed.payload, self.world.rng
        block = make_block(self.chain[-1][0], self.address, b"unjustified")
        evidence, prepares = message.round_changes, message.prepares
        if rng.random() < 0.5:  # else all the evidence, for another block than it shows
            evidence = tuple(item for item in evidence if item.payload.prepared is None)
            prepares = ()
        draft = Draft(replace(payload, block=block), evidence, prepares)
        super().broadcast(self.sign_anything(draft))
        later = replace(payload, block=block, round=payload.round + self.world.count)
        super().broadcast(self.sign_anything(Draft(later)))
        return None


class Replayer(Liar):
    """Repeats what others said long ago."""

    def receive(self, message: Message) -> None:
        heard: list[Message] = self.__dict__.setdefault("heard", [])
        heard.append(message)
        target = self.world.rng.randrange(self.world.count)
        self.send(target, self.world.rng.choice(heard))
        super().receive(message)


class Forger(Liar):
    """Proposes blocks that do not execute to what they declare."""

    def build(self) -> ProposedBlock:
        return make_block(self.chain[-1][0], self.address, FORGED, int(self.world.now))

    def is_valid(self, block: ProposedBlock) -> bool:
        return True


class Divider(Liar):
    """Proposes a sound block to some and a forged one to others, then hurries them apart."""

    def broadcast(self, message: Message) -> None:
        payload = message.signed.payload
        if not isinstance(message, Proposal) or not isinstance(payload, ProposalPayload):
            return super().broadcast(message)
        forged = replace(payload, block=make_block(self.chain[-1][0], self.address, FORGED))
        draft = Draft(forged, message.round_changes, message.prepares)
        other = self.sign_anything(draft)
        hurry = self.sign_anything(
            Draft(RoundChangePayload(payload.height, payload.round + 1, None))
        )
        for target in range(self.world.count):
            if target != self.index:
                self.send(target, message if self.world.rng.random() < 0.5 else other)
                self.send(target, hurry)
        return None


HABITS: tuple[type[Liar], ...] = (
    Equivocator,
    Silent,
    Withholder,
    StaleRoundChanger,
    BadJustifier,
    Replayer,
    Forger,
    Divider,
)
