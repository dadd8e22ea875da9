"""Which states the database keeps: reference counts of nodes, and removals that wait.

A node or code is stored with the number of its occurrences (``chain.requests.ExecutedBlock``): in
the oldest state that is kept, plus what every later block added. What a block removes is written
beside it and subtracted only when the state before that block is given up; a node whose count
reaches 0 occurs in no state that is kept, and is deleted. An archive never subtracts, so it can
become a pruned database at any time and a pruned one an archive from then on.

Blocks are final at once, so there is one line of states and no fork.
"""

from collections.abc import Mapping
from typing import Final

from chain.errors import ExecutorFault, StateNotAvailable, StoreError
from chain.header import Header
from chain.store_file import Transaction

DEFAULT_HISTORY: Final = 128
"""States that a new database keeps (geth's full nodes keep as many)."""

ARCHIVE: Final = 0
"""``history`` of a database that keeps every state."""

_CATCH_UP: Final = 8
"""States given up in one write at most: a former archive is pruned little by little."""

_COUNT_BYTES: Final = 4
_ENTRY: Final = 32 + _COUNT_BYTES


def height_key(number: int) -> bytes:
    """Key of a block number: 8 bytes, big-endian."""
    return number.to_bytes(8, "big")


def add_nodes(txn: Transaction, nodes: Mapping[bytes, bytes], added: Mapping[bytes, int]) -> None:
    """Store what a block added; ``nodes`` has the bytes of each hash in ``added``."""
    for digest in sorted(added):
        if digest not in nodes:
            raise ExecutorFault(f"execution added node 0x{digest.hex()} without its bytes")
        times = added[digest]
        if not txn.put_new("nodes", digest, nodes[digest]):
            times += reference_count(txn, digest)
        if times > 1:
            txn.put("counts", digest, times.to_bytes(_COUNT_BYTES, "big"))


def note_removals(txn: Transaction, number: int, removed: Mapping[bytes, int]) -> None:
    """Keep in mind what block ``number`` removed."""
    entries = [digest + removed[digest].to_bytes(_COUNT_BYTES, "big") for digest in sorted(removed)]
    txn.put("removals", height_key(number), b"".join(entries))


def removals(entries: bytes) -> list[tuple[bytes, int]]:
    """(hash, occurrences) of one value of the table of removals."""
    return [
        (entries[at : at + 32], int.from_bytes(entries[at + 32 : at + _ENTRY], "big"))
        for at in range(0, len(entries), _ENTRY)
    ]


def prune(txn: Transaction, head: int, history: int) -> None:
    """Give up states older than the last ``history``, a few at a time; ARCHIVE keeps all."""
    oldest = oldest_state(txn)
    wanted = oldest if history == ARCHIVE else max(oldest, head - history + 1)
    for number in range(oldest + 1, min(wanted, oldest + _CATCH_UP) + 1):
        key = height_key(number)
        entries = txn.get("removals", key)
        if entries is None:
            raise StoreError(f"the removals of block {number} are missing from the database")
        for digest, times in removals(entries):
            _release(txn, digest, times)
        txn.delete("removals", key)
        txn.put("meta", b"oldest", key)


def oldest_state(txn: Transaction) -> int:
    """Number of the oldest block whose state is kept."""
    return int.from_bytes(txn.get("meta", b"oldest") or b"", "big")


def reference_count(txn: Transaction, digest: bytes) -> int:
    """Count of a node that is stored; only counts above 1 are written down."""
    return int.from_bytes(txn.get("counts", digest) or b"\1", "big")


def state_not_available(header: Header, history: int) -> StateNotAvailable:
    """The state after a block was given up; begins with geth's text, which clients match."""
    root = header.state_root.hex()
    return StateNotAvailable(
        f"missing trie node {root} (path ) state 0x{root} is not available: block "
        f"{header.number} is older than the last {history} states, all that this node keeps "
        "(--gcmode archive keeps every state)"
    )


def _release(txn: Transaction, digest: bytes, times: int) -> None:
    left = reference_count(txn, digest) - times
    if left > 1:
        txn.put("counts", digest, left.to_bytes(_COUNT_BYTES, "big"))
        return
    txn.delete("counts", digest)
    if left < 0 or (left == 0 and not txn.delete("nodes", digest)):
        raise StoreError(f"node 0x{digest.hex()} is released {times} times, which is too often")
