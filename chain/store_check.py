"""Proves a database whole: every hash, link, root, seal, index and reference count.

Reads one moment of the file, so it may run beside a node; while it does, the file cannot reuse the
pages that the node gives up.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from chain.errors import ChainError, StoreError
from chain.genesis_block import genesis_block
from chain.header import EMPTY_TRIE_ROOT
from chain.state_reader import StateReader
from chain.state_walk import StateProof, occurrences
from chain.store import Store
from chain.store_check_blocks import BlockProof
from chain.store_file import Transaction
from chain.store_history import height_key, oldest_state, reference_count, removals
from chain.validator_set import read_validators
from genesis.addresses import VALIDATOR_SET
from genesis.spec import GenesisSpec

Progress: TypeAlias = Callable[[str, int, int], None]
"""``(stage, done, total)``."""

MAX_PROBLEMS: Final = 100
"""Problems that are told; the check ends when there are more."""

_REPORT_EVERY: Final = 256


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What was looked at, and what is wrong.

    Attributes:
        head: height of the newest block.
        oldest_state: height of the oldest block whose state is kept.
        transactions: in all blocks.
        nodes: distinct trie nodes and codes of all states.
        problems: empty when the database is whole.
    """

    head: int
    oldest_state: int
    transactions: int
    nodes: int
    problems: tuple[str, ...]


class _TooMany(Exception):
    """Enough problems were found."""


class _State(NamedTuple):
    root: bytes
    validators: tuple[bytes, ...]


def check_store(
    store: Store, spec: GenesisSpec | None = None, progress: Progress = lambda *_: None
) -> CheckReport:
    """Walk everything: blocks from the genesis on, then every state that is kept.

    Args:
        store: open in any mode.
        spec: genesis that the chain must have; None believes the database.
        progress: called now and then.
    """
    with store.file.read() as txn:
        check = _Check(txn, progress)
        try:
            check.run(spec)
        except _TooMany:
            check.problems.append("more problems were not looked for")
        return CheckReport(
            check.head,
            check.oldest,
            check.transactions,
            len(check.states.seen),
            tuple(check.problems),
        )


class _Check:
    def __init__(self, txn: Transaction, progress: Progress) -> None:
        self._txn, self._progress = txn, progress
        self.problems: list[str] = []
        self.states = StateProof(self._node)
        self.transactions = 0
        self.oldest = oldest_state(txn)
        head_hash = txn.get("meta", b"head")
        if head_hash is None:
            raise StoreError("the database is empty: no genesis was written yet")
        self.head = txn.count("canonical") - 1
        if txn.get("canonical", height_key(self.head)) != head_hash:
            self.problems.append(f"the head 0x{head_hash.hex()} is not block {self.head}")

    def run(self, spec: GenesisSpec | None) -> None:
        if spec is not None:
            self._check_genesis(spec)
        states = self._check_blocks()
        self._check_states(states)
        if self.problems:
            self.problems.append("reference counts were not checked")
        else:
            self._check_counts(states[self.head].root)

    def _check_genesis(self, spec: GenesisSpec) -> None:
        want, found = genesis_block(spec)[0].hash, self._txn.get("meta", b"genesis") or b""
        if want != found:
            self._report(f"genesis 0x{found.hex()}, the genesis file hashes to 0x{want.hex()}")
        has_validators = self._txn.get("changes", height_key(0)) is not None
        if has_validators != (spec.assay is not None):
            self._report("the chain has other rules than the genesis file: seals or no seals")

    def _check_blocks(self) -> dict[int, "_State"]:
        """What the blocks say of the states that are kept, by height."""
        blocks = BlockProof(self._txn)
        states: dict[int, _State] = {}
        for number in range(self.head + 1):
            try:
                header = blocks.add(number)
            except ChainError as error:
                self._report(f"block {number}: {error}")
                continue
            if number >= self.oldest:
                states[number] = _State(header.state_root, blocks.validators)
            self._tell("blocks", number + 1, self.head + 1)
        self.transactions = blocks.transactions
        for table, want in blocks.expected_entries(self.head).items():
            found = self._txn.count(table)
            if found != want:
                self._report(f"table {table} has {found} entries, want {want}")
        return states

    def _check_states(self, states: dict[int, "_State"]) -> None:
        for done, number in enumerate(sorted(states, reverse=True)):
            known = len(self.states.problems)
            self.states.add(states[number].root)
            for problem in self.states.problems[known:]:
                self._report(f"state of block {number}: {problem}")
            if len(self.states.problems) == known:
                self._check_validators(number, states[number])
            self._tell("states", done + 1, len(states))

    def _check_validators(self, number: int, state: "_State") -> None:
        """The set in a state is the one that the last proof before it brought."""
        reader = StateReader(self._node, state.root)
        try:
            has_set = reader.account(VALIDATOR_SET).storage_root != EMPTY_TRIE_ROOT
            found = read_validators(reader) if has_set else ()
        except ChainError as error:
            self._report(f"state of block {number}: {error}")
            return
        if found != state.validators:
            self._report(
                f"state of block {number} has {len(found)} validators, the proofs of changes say "
                f"{len(state.validators)}, or others"
            )

    def _check_counts(self, root: bytes) -> None:
        """Each count is the occurrences in the newest state and the removals that wait."""
        wanted = occurrences(self._node, root)
        for number in range(self.oldest + 1, self.head + 1):
            entries = self._txn.get("removals", height_key(number))
            if entries is None:
                self._report(f"the removals of block {number} are missing")
                continue
            for digest, times in removals(entries):
                wanted[digest] += times
        if self._txn.count("removals") != self.head - self.oldest:
            self._report("there are removals of blocks whose states were given up")
        total = self._txn.count("nodes")
        for done, (digest, _) in enumerate(self._txn.items("nodes")):
            have, want = reference_count(self._txn, digest), wanted.pop(digest, 0)
            if have != want:
                self._report(f"node 0x{digest.hex()} has reference count {have}, want {want}")
            self._tell("reference counts", done + 1, total)
        for digest, times in wanted.items():
            self._report(f"node 0x{digest.hex()} is missing, {times} references are counted")
        for digest, _ in self._txn.items("counts"):
            if self._txn.get("nodes", digest) is None:
                self._report(f"a reference count of 0x{digest.hex()}, which is not stored")

    def _node(self, digest: bytes) -> bytes:
        body = self._txn.get("nodes", digest)
        if body is None:
            raise KeyError(digest)
        return body

    def _report(self, problem: str) -> None:
        self.problems.append(problem)
        if len(self.problems) >= MAX_PROBLEMS:
            raise _TooMany

    def _tell(self, stage: str, done: int, total: int) -> None:
        if done == total or done % _REPORT_EVERY == 0:
            self._progress(stage, done, total)
