"""Seeded simulator over the product's core, signer and journal: virtual time, faulty network.

A node is what the engine is, reduced to its rules: one event after the other, effects in order,
own messages come back. Its files are real; a power cut loses what was not synced. Its database is a
list of sealed blocks. Signatures are real where this node makes them and not checked in transit,
unless ``wire`` sends every message through the codec.
"""

import os
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from heapq import heappop, heappush
from pathlib import Path

from coincurve import PrivateKey

from chain.certificate import CommitCertificate
from chain.extra_data import chain_extra_data, commit_digest
from chain.header import (
    EMPTY_LIST_HASH,
    EMPTY_REQUESTS_HASH,
    EMPTY_TRIE_ROOT,
    Header,
    decode_header,
)
from chain.rlp import join_list, split_list
from chain.seals import verify_certificate
from consensus.codec import Domain, decode_message, encode_message
from consensus.core import events as ev
from consensus.core.height import start, transition
from consensus.core.messages import CODES, Draft, Message
from consensus.core.state import State
from consensus.core.types import Config, Height, ProposedBlock
from consensus.errors import SigningRefused
from consensus.signer import Signer
from consensus.voter import Voter
from consensus.wal import Journal
from precompiles.hashing import keccak256

GENESIS = Header(
    parent_hash=bytes(32), ommers_hash=EMPTY_LIST_HASH, coinbase=bytes(20),
    state_root=EMPTY_TRIE_ROOT, transactions_root=EMPTY_TRIE_ROOT, receipts_root=EMPTY_TRIE_ROOT,
    logs_bloom=bytes(256), difficulty=0, number=0, gas_limit=30_000_000, gas_used=0, timestamp=0,
    extra_data=chain_extra_data(), mix_hash=bytes(32), nonce=bytes(8), base_fee_per_gas=7,
    withdrawals_root=EMPTY_TRIE_ROOT, blob_gas_used=0, excess_blob_gas=0,
    parent_beacon_block_root=bytes(32), requests_hash=EMPTY_REQUESTS_HASH,
)  # fmt: skip
DOMAIN = Domain(1, 4242, GENESIS.hash)
digest_of = lru_cache(maxsize=4096)(commit_digest)
KEYS = [keccak256(b"validator %d" % number) for number in range(16)]


def address_of(key: bytes) -> bytes:
    return keccak256(PrivateKey(key).public_key.format(compressed=False)[1:])[12:]


@lru_cache(maxsize=4096)
def header_of(encoded: bytes) -> Header:
    return decode_header(split_list(encoded)[0])


def make_block(parent: Header, coinbase: bytes, salt: bytes, timestamp: int = 0) -> ProposedBlock:
    """A block without transactions; ``salt`` (at most 26 bytes) makes it different."""
    header = replace(
        parent, parent_hash=parent.hash, coinbase=coinbase, number=parent.number + 1,
        timestamp=max(parent.timestamp + 1, timestamp), extra_data=chain_extra_data(salt),
    )  # fmt: skip
    encoded = join_list([header.rlp, b"\xc0", b"\xc0", b"\xc0"])
    return ProposedBlock(header.number, parent.hash, coinbase, header.timestamp, encoded)


@dataclass(frozen=True)
class Options:
    """How a network behaves; times in seconds."""

    period: float = 1.0
    base: float = 2.0
    cap: float = 16.0
    latency: tuple[float, float] = (0.02, 0.15)
    loss: float = 0.0
    duplicates: float = 0.0
    slow: float = 1.0  # factor on a quarter of the deliveries before ``calm``
    calm: float = 0.0  # faults of the network end here
    executor: tuple[float, float] = (0.01, 0.2)
    skew: float = 0.0  # timers of a node run faster or slower by up to this fraction
    journal: bool = True
    wire: bool = False


@dataclass
class Disk:
    """Folder of one node, and how much of its journal would survive a power cut."""

    folder: Path
    synced: int = 0

    def sync_journal(self, descriptor: int) -> None:
        self.synced = os.fstat(descriptor).st_size

    def power_cut(self, rng: random.Random) -> None:
        journal = self.folder / "journal"
        size = journal.stat().st_size
        if size > self.synced:
            os.truncate(journal, rng.randint(self.synced, size))

    def forget(self) -> None:
        for name in ("journal", "signer.json"):
            (self.folder / name).unlink(missing_ok=True)


@dataclass
class World:
    """Virtual time, the network between nodes, and what must never happen."""

    seed: int
    count: int
    options: Options
    folder: Path
    now: float = 0.0
    queue: list[tuple[float, int, Callable[[], object]]] = field(default_factory=list)
    ticket: int = 0
    nodes: list["Node"] = field(default_factory=list)
    group: dict[int, int] = field(default_factory=dict)  # partition of each node

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.keys = {address_of(key): key for key in KEYS[: self.count]}
        self.validators = tuple(sorted(self.keys))

    def at(self, delay: float, action: Callable[[], object]) -> None:
        self.ticket += 1
        heappush(self.queue, (self.now + delay, self.ticket, action))

    def run(self, until: float, stop: Callable[[], bool] = lambda: False) -> None:
        while self.queue and self.queue[0][0] <= until:
            self.now, _, action = heappop(self.queue)
            action()
            if stop():
                return
        self.now = max(self.now, until)

    def send(self, source: int, target: int, deliver: Callable[["Node"], object]) -> None:
        """Maybe lose, delay or double one message between two nodes."""
        options = self.options
        if self.group.get(source, 0) != self.group.get(target, 0):
            return
        stormy = self.now < options.calm
        if stormy and self.rng.random() < options.loss:
            return
        for _ in range(2 if stormy and self.rng.random() < options.duplicates else 1):
            delay = self.rng.uniform(*options.latency)
            if stormy and self.rng.random() < 0.25:
                delay *= options.slow
            self.at(delay, lambda: self.arrive(source, target, deliver))

    def arrive(self, source: int, target: int, deliver: Callable[["Node"], object]) -> None:
        """A partition also cuts what is under way."""
        node = self.nodes[target]
        if node.up and self.group.get(source, 0) == self.group.get(target, 0):
            deliver(node)

    def honest(self) -> list["Node"]:
        return [node for node in self.nodes if node.honest]

    def close(self) -> None:
        """End all processes."""
        for node in self.nodes:
            node.crash()

    def heights(self) -> list[int]:
        return [len(node.chain) - 1 for node in self.honest()]

    def forks(self) -> set[int]:
        """Heights at which two honest nodes hold different blocks."""
        seen: dict[int, bytes] = {}
        bad = set()
        for node in self.honest():
            for header, _, _ in node.chain[1:]:
                if seen.setdefault(header.number, header.hash) != header.hash:
                    bad.add(header.number)
        return bad

    def double_signs(self) -> int:
        """Steps for which an honest node signed two different payloads, over all its lives."""
        return sum(len(items) > 1 for node in self.honest() for items in node.signed.values())


class Node:
    """One validator over the product's parts."""

    honest = True

    def __init__(self, world: World, index: int) -> None:
        self.world, self.index, self.options = world, index, world.options
        self.address = world.validators[index]
        self.key = world.keys[self.address]
        self.disk = Disk(world.folder / str(index))
        self.pace = 1 + world.rng.uniform(-world.options.skew, world.options.skew)
        self.chain: list[tuple[Header, ProposedBlock | None, CommitCertificate | None]] = [
            (GENESIS, None, None)
        ]
        self.signed: dict[tuple[int, int, int], set[bytes]] = {}
        self.up, self.life = False, 0
        self.state: State
        self.boot()

    def boot(self) -> None:
        """Start the process on its files."""
        if self.up:
            return
        self.up, self.life = True, self.life + 1
        folder = self.disk.folder
        self.signer = Signer(folder / "signer.json", self.key, DOMAIN, lambda _: None)
        self.journal = Journal(folder / "journal", DOMAIN, self.address, self.disk.sync_journal)
        self.voter = Voter(self.signer, self.journal)
        config = Config(
            self.address, digest_of, int(self.options.base * 1000), int(self.options.cap * 1000)
        )
        self.todo: list[ev.Event] = []
        self.state, effects = start(config, self.next_height())
        self.perform(effects)

    def crash(self) -> None:
        """Lose power."""
        if not self.up:
            return
        self.up, self.life = False, self.life + 1
        self.signer.close()
        self.journal.close()
        self.disk.power_cut(self.world.rng)
        if not self.options.journal:
            self.disk.forget()

    def next_height(self) -> ev.NewHeight:
        parent = self.chain[-1][0]
        recovered = self.voter.recovered
        height = Height(parent.number + 1, parent.hash, parent.coinbase, self.world.validators)
        ahead = recovered is not None and recovered.height > height.number
        return ev.NewHeight(height, voting=not ahead, recovered=recovered)

    def post(self, event: ev.Event) -> None:
        """One event after the other, as the engine's queue does."""
        self.todo.append(event)
        if len(self.todo) > 1:
            return
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
            case ev.Diverged():
                raise AssertionError("a quorum decided a block that is invalid here")
            case _:
                self.schedule(effect)

    def schedule(self, effect: ev.Effect) -> None:
        match effect:
            case ev.AwaitPeriod(height):
                start = self.chain[-1][0].timestamp + self.options.period
                wait = max(0.0, start - self.world.now)
                self.later(wait * self.pace, lambda: ev.PeriodElapsed(height))
            case ev.BuildBlock(_, round_number):
                built = self.build()
                self.later(self.work(), lambda: ev.BlockBuilt(round_number, built))
            case ev.ValidateBlock(block):
                self.later(self.work(), lambda: ev.BlockValidated(block, self.is_valid(block)))
            case ev.StartTimer(timer, height, round_number, delay):
                fired = ev.TimerFired(timer, height, round_number)
                self.later(delay / 1000 * self.pace, lambda: fired)

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

    def build(self) -> ProposedBlock:
        salt = self.world.rng.randbytes(8)
        return make_block(self.chain[-1][0], self.address, salt, int(self.world.now))

    def is_valid(self, block: ProposedBlock) -> bool:
        return b"forged" not in header_of(block.encoded).extra_data

    def append(self, block: ProposedBlock, certificate: CommitCertificate) -> None:
        """The database's atomic write, then the next height."""
        self.chain.append((header_of(block.encoded), block, certificate))
        self.voter.committed(block.height)
        self.post_soon(self.next_height())

    def request(self, target: int, height: int) -> None:
        first, asker = height, self.index
        self.world.send(asker, target, lambda node: node.serve(asker, first, 16))

    def serve(self, target: int, first: int, count: int) -> None:
        blocks = self.chain[first : first + count]
        if blocks:
            self.world.send(self.index, target, lambda node: node.take(blocks))

    def take(
        self, blocks: list[tuple[Header, ProposedBlock | None, CommitCertificate | None]]
    ) -> None:
        """Sync: seals first, then the block."""
        for header, block, certificate in blocks:
            if header.number != len(self.chain) or block is None or certificate is None:
                continue
            verify_certificate(header, certificate, self.world.validators)
            assert self.is_valid(block)
            self.append(block, certificate)


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
