"""Seeded simulator: virtual time and a faulty network between the nodes of ``tests.sim.node``.

Signatures are real where a node makes them and not checked in transit, unless ``wire`` sends every
message through the codec.
"""

import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from heapq import heappop, heappush
from pathlib import Path
from typing import TYPE_CHECKING

from coincurve import PrivateKey

from chain.extra_data import chain_extra_data, commit_digest
from chain.header import (
    EMPTY_LIST_HASH,
    EMPTY_REQUESTS_HASH,
    EMPTY_TRIE_ROOT,
    Header,
    decode_header,
)
from chain.rlp import join_list, split_list
from consensus.codec import Domain
from consensus.core.types import ProposedBlock
from precompiles.hashing import keccak256

if TYPE_CHECKING:
    from tests.sim.node import Node

GENESIS = Header(
    parent_hash=bytes(32), ommers_hash=EMPTY_LIST_HASH, coinbase=bytes(20),
    state_root=EMPTY_TRIE_ROOT, transactions_root=EMPTY_TRIE_ROOT, receipts_root=EMPTY_TRIE_ROOT,
    logs_bloom=bytes(256), difficulty=0, number=0, gas_limit=30_000_000, gas_used=0, timestamp=0,
    extra_data=chain_extra_data(), mix_hash=bytes(32), nonce=bytes(8), base_fee_per_gas=7,
    withdrawals_root=EMPTY_TRIE_ROOT, blob_gas_used=0, excess_blob_gas=0,
    parent_beacon_block_root=bytes(32), requests_hash=EMPTY_REQUESTS_HASH,
)  # fmt: skip
DOMAIN = Domain(1, os.getpid(), GENESIS.hash)  # keys are locked: one chain per process
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
    offset: float = 0.0  # clocks of nodes are off by up to this time
    danger: float = 0.0  # chance that the power goes during one sync of a file before ``calm``
    members: int = 99  # of all nodes, the first validators
    changes: float = 0.0  # chance that a block adds or removes a validator
    journal: bool = True
    wire: bool = False


OPEN: list["World"] = []
"""Worlds whose nodes hold their keys; ``conftest`` closes those of failed tests."""


@dataclass(eq=False)
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
    recovery: float = 0.0  # seconds from the calm to the next block everywhere

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.keys = {address_of(key): key for key in KEYS[: self.count]}
        self.validators = tuple(sorted(self.keys))
        OPEN.append(self)

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

    def draw(self, limit: float) -> float:
        """A property of one node, up to this limit in both directions."""
        return self.rng.uniform(-limit, limit) if limit else 0.0

    def close(self) -> None:
        """End all processes and delete their files."""
        if self in OPEN:
            OPEN.remove(self)
        for node in self.nodes:
            node.crash()
        shutil.rmtree(self.folder)

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
