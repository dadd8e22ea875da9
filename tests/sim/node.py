"""One simulated validator: what the engine is, reduced to its rules.

One event after the other, effects in order, own messages come back. Core, signer and journal
are the product's. Its database is a list of sealed blocks, its executor a delay and the rule below.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

from chain.certificate import CommitCertificate
from chain.header import Header
from chain.seals import verify_certificate
from consensus.codec import decode_message, encode_message
from consensus.core import events as ev
from consensus.core.height import start, transition
from consensus.core.messages import CODES, Draft, Message
from consensus.core.state import State
from consensus.core.types import Config, Height, ProposedBlock, max_faulty
from consensus.errors import SigningRefused
from consensus.signer import Signer
from consensus.voter import Voter
from consensus.wal import Journal
from tests.sim.disk import Disk, PowerCut
from tests.sim.world import DOMAIN, GENESIS, Options, World, digest_of, header_of, make_block

Sealed = tuple[Header, ProposedBlock | None, CommitCertificate | None]
TOGGLE = b"toggle"
FORGED = b"forged"


class Node:
    """One validator over the product's parts."""

    honest = True

    def __init__(self, world: World, index: int) -> None:
        self.world, self.index, self.options = world, index, world.options
        self.address = world.validators[index]
        self.key = world.keys[self.address]
        self.disk = Disk(world.folder / str(index), world.rng, self.options.danger)
        self.pace = 1 + world.draw(self.options.skew)
        self.offset = world.draw(self.options.offset)
        self.chain: list[Sealed] = [(GENESIS, None, None)]
        self.members = world.validators[: self.options.members]
        self.times: list[float] = []  # of its commits
        self.signed: dict[tuple[int, int, int], set[bytes]] = {}
        self.untimely: set[ProposedBlock] = set()
        self.todo: list[ev.Event] = []
        self.up, self.life = False, 0
        self.state: State
        self.boot()
        if self.options.changes:
            self.tell_height()

    def boot(self) -> None:
        """Start the process on its files."""
        if self.up:
            return
        self.up, self.life = True, self.life + 1
        folder, self.disk.safe = self.disk.folder, True
        self.signer = Signer(folder / "signer.json", self.key, DOMAIN, self.disk.sync_signer)
        self.journal = Journal(
            folder / "journal", DOMAIN, self.address, self.disk.sync_journal, compact_bytes=6_000
        )
        self.voter = Voter(self.signer, self.journal)
        self.disk.safe = False
        config = Config(
            self.address, digest_of, int(self.options.base * 1000), int(self.options.cap * 1000)
        )
        self.state, effects = start(config, self.next_height())
        self.guard(lambda: self.perform(effects))

    def crash(self) -> None:
        """Lose power."""
        if not self.up:
            return
        self.up, self.life = False, self.life + 1
        self.todo.clear()
        self.signer.close()
        self.journal.close()
        self.disk.power_cut()
        if not self.options.journal:
            self.disk.forget()

    def guard(self, action: Callable[[], None]) -> None:
        """The power may go in the middle of a write; somebody switches it on again."""
        self.disk.danger = self.options.danger if self.world.now < self.options.calm - 5 else 0.0
        try:
            action()
        except PowerCut:
            self.crash()
            self.world.at(self.world.rng.uniform(0.1, 4), self.boot)

    def next_height(self) -> ev.NewHeight:
        parent = self.chain[-1][0]
        recovered = self.voter.recovered
        height = Height(parent.number + 1, parent.hash, parent.coinbase, self.members)
        return ev.NewHeight(height, self.voter.may_vote(height.number), recovered)

    def post(self, event: ev.Event) -> None:
        """One event after the other, as the engine's queue does."""
        self.todo.append(event)
        if len(self.todo) == 1:
            self.guard(self.work_off)

    def work_off(self) -> None:
        while self.todo:
            self.state, effects = transition(self.state, self.todo[0])
            self.perform(effects)
            self.todo.pop(0)

    def later(self, delay: float, event: Callable[[], ev.Event]) -> None:
        life = self.life
        self.world.at(delay, lambda: self.post(event()) if self.life == life and self.up else None)

    def perform(self, effects: Iterable[ev.Effect]) -> None:
        for effect in effects:
            self.perform_one(effect)

    def perform_one(self, effect: ev.Effect) -> None:
        match effect:
            case ev.Persist(entry):
                self.voter.persist(entry)
            case ev.Broadcast(draft):
                self.cast(draft)
            case ev.Resend(message):
                self.broadcast(message)
            case ev.CommitBlock(block, round_number, seals):
                self.append(block, CommitCertificate(round_number, seals))
            case ev.RequestBlocks(author, height):
                self.request(self.world.validators.index(author), height)
            case ev.OfferBlock(author, height):
                self.serve(self.world.validators.index(author), height, 1)
            case ev.Diverged(block):  # sync brings it, unless it is really invalid here
                assert block in self.untimely, "a quorum decided a block that is invalid here"
            case _:
                self.schedule(effect)

    def schedule(self, effect: ev.Effect) -> None:
        match effect:
            case ev.AwaitPeriod(height):
                start = self.chain[-1][0].timestamp + self.options.period
                wait = max(0.0, start - self.clock())
                self.later(wait * self.pace, lambda: ev.PeriodElapsed(height))
            case ev.BuildBlock(_, round_number):
                built = self.build()
                self.later(self.work(), lambda: ev.BlockBuilt(round_number, built))
            case ev.ValidateBlock(block):
                early = max(0.0, block.timestamp - 1 - self.clock())  # one second is tolerated
                timely = early <= self.options.base / 2
                if not timely:
                    self.untimely.add(block)
                self.later(
                    self.work() + (early if timely else 0.0),
                    lambda: ev.BlockValidated(block, timely and self.is_valid(block)),
                )
            case ev.StartTimer(timer, height, round_number, delay):
                fired = ev.TimerFired(timer, height, round_number)
                self.later(delay / 1000 * self.pace, lambda: fired)

    def clock(self) -> float:
        return self.world.now + self.offset

    def cast(self, draft: Draft) -> None:
        try:
            message = self.voter.sign(draft)
        except SigningRefused:
            return
        self.note(message)
        self.broadcast(message)
        self.post_soon(ev.MessageReceived(message))

    def post_soon(self, event: ev.Event) -> None:
        """Own messages go through the queue like all others."""
        if self.todo:
            self.todo.append(event)
        else:
            self.later(0, lambda: event)

    def note(self, message: Message) -> None:
        payload = message.signed.payload
        key = (payload.height, payload.round, CODES[type(payload)])
        self.signed.setdefault(key, set()).add(DOMAIN.digest(payload))

    def broadcast(self, message: Message) -> None:
        for target in range(self.world.count):
            if target != self.index:
                self.send(target, message)

    def send(self, target: int, message: Message) -> None:
        if self.options.wire:
            code, body = encode_message(message)
            message = decode_message(code, body, DOMAIN, self.world.validators.__contains__)
        self.world.send(self.index, target, lambda node: node.receive(message))

    def receive(self, message: Message) -> None:
        self.post(ev.MessageReceived(message))

    def work(self) -> float:
        return self.world.rng.uniform(*self.options.executor)

    # The executor: blocks carry a salt that may add or remove a validator.

    def build(self) -> ProposedBlock:
        rng, salt = self.world.rng, self.world.rng.randbytes(8)
        if self.options.changes and rng.random() < self.options.changes:
            wish = TOGGLE + bytes([rng.randrange(self.world.count)]) + salt
            if self.set_after(wish):
                salt = wish
        return make_block(self.chain[-1][0], self.address, salt, int(self.clock()))

    def is_valid(self, block: ProposedBlock) -> bool:
        extra_data = header_of(block.encoded).extra_data
        return FORGED not in extra_data and bool(self.set_after(extra_data))

    def set_after(self, extra_data: bytes) -> tuple[bytes, ...]:
        """The set after a block on our head; empty if too many of it would be liars."""
        at = extra_data.find(TOGGLE)
        if at < 0:
            return self.members
        target = self.world.validators[extra_data[at + len(TOGGLE)] % self.world.count]
        members = tuple(sorted({*self.members} ^ {target}))
        liars = sum(node.address in members for node in self.world.nodes if not node.honest)
        return members if liars <= max_faulty(len(members)) else ()

    # Blocks: commit and sync.

    def append(self, block: ProposedBlock, certificate: CommitCertificate) -> None:
        """The database's atomic write, then the next height."""
        header = header_of(block.encoded)
        self.members = self.set_after(header.extra_data) or self.members
        self.chain.append((header, block, certificate))
        self.times.append(self.world.now)
        self.voter.committed(block.height)
        self.post_soon(self.next_height())

    def tell_height(self) -> None:
        """A non-validator hears of blocks by STATUS, now and then."""
        self.world.at(2.0, self.tell_height)
        if not self.up:
            return
        source, number = self.index, len(self.chain)
        for target in range(self.world.count):
            if target != source:
                self.world.send(
                    source, target,
                    lambda node: node.request(source, len(node.chain))
                    if len(node.chain) < number else None,
                )  # fmt: skip

    def request(self, target: int, height: int) -> None:
        first, asker = height, self.index
        self.world.send(asker, target, lambda node: node.serve(asker, first, 16))

    def serve(self, target: int, first: int, count: int) -> None:
        blocks = self.chain[first : first + count]
        if blocks:
            self.world.send(self.index, target, lambda node: node.take(blocks))

    def take(self, blocks: list[Sealed]) -> None:
        """Sync: seals first, then the block."""
        for header, block, certificate in blocks:
            if header.number != len(self.chain) or block is None or certificate is None:
                continue
            verify_certificate(header, certificate, self.members)
            assert self.is_valid(block)
            self.guard(lambda b=block, c=certificate: self.append(b, c))  # type: ignore[misc]
            if not self.up:
                return


def make_world(
    folder: Path,
    seed: int,
    count: int = 4,
    options: Options | None = None,
    byzantine: dict[int, type[Node]] | None = None,
) -> World:
    """A network whose nodes are up at time 0; ``byzantine`` gives some of them another mind."""
    world = World(seed, count, options or Options(), folder)
    minds = byzantine or {}
    for index in range(count):
        world.nodes.append(minds.get(index, Node)(world, index))
    return world
