"""Every node of a whole state: how often each occurs, and whether it is what its hash says.

A state is the account trie, the storage trie of each account and the code of each account. A node
occurs once per place: two accounts with equal storage hold every node of it twice.
"""

from collections import Counter
from collections.abc import Callable, Iterator

from chain import rlp
from chain.header import EMPTY_TRIE_ROOT
from chain.state_reader import decode_account
from precompiles.hashing import EMPTY_HASH, keccak256

_LEAF_FLAG = 0x20  # of the first byte of a short node's path


def occurrences(node: Callable[[bytes], bytes], state_root: bytes) -> Counter[bytes]:
    """How often each trie node and code occurs in a state, by keccak256.

    Args:
        node: trie node or code by keccak256; raises KeyError when absent.
        state_root: 32-byte root.

    Raises:
        KeyError: a node or code is missing.
        RlpError: a node is damaged.
    """
    counts: Counter[bytes] = Counter()
    storage_roots: Counter[bytes] = Counter()
    for value in _leaves(node, state_root, counts, 1):
        account = decode_account(value)
        storage_roots[account.storage_root] += 1
        if account.code_hash != EMPTY_HASH:
            counts[account.code_hash] += 1
    for root, times in storage_roots.items():
        for _ in _leaves(node, root, counts, times):
            pass
    return counts


class StateProof:
    """Proves states whole, one after another; what two states share is looked at once.

    Args:
        node: as in ``occurrences``.

    Attributes:
        seen: nodes and codes that are here and hash to their key.
        problems: what is wrong, in words.
    """

    def __init__(self, node: Callable[[bytes], bytes]) -> None:
        self._node = node
        self.seen: set[bytes] = set()
        self.problems: list[str] = []

    def add(self, state_root: bytes) -> None:
        """Look at every node of a state that was not seen before."""
        for value in self._trie(state_root, "account trie"):
            try:
                account = decode_account(value)
            except rlp.RlpError as error:
                self.problems.append(f"account leaf 0x{value.hex()}: {error}")
                continue
            for _ in self._trie(account.storage_root, "storage trie"):
                pass
            if account.code_hash != EMPTY_HASH and account.code_hash not in self.seen:
                self._read(account.code_hash, "code")

    def _trie(self, root: bytes, what: str) -> Iterator[bytes]:
        waiting = [root] if root != EMPTY_TRIE_ROOT else []
        while waiting:
            digest = waiting.pop()
            encoded = None if digest in self.seen else self._read(digest, f"node of the {what}")
            if encoded is None:
                continue
            try:
                hashes, values = _contents(rlp.decode(encoded))
            except rlp.RlpError as error:
                self.problems.append(f"node 0x{digest.hex()} of the {what}: {error}")
                continue
            waiting += hashes
            yield from values

    def _read(self, digest: bytes, what: str) -> bytes | None:
        try:
            body = self._node(digest)
        except KeyError:
            self.problems.append(f"{what} 0x{digest.hex()} is missing")
            return None
        self.seen.add(digest)
        found = keccak256(body)
        if found != digest:
            self.problems.append(f"{what} 0x{digest.hex()} hashes to 0x{found.hex()}")
            return None
        return body


def _leaves(
    node: Callable[[bytes], bytes], root: bytes, counts: Counter[bytes], times: int
) -> Iterator[bytes]:
    """Values of one trie; every node is counted ``times`` times per occurrence."""
    waiting = [root] if root != EMPTY_TRIE_ROOT else []
    while waiting:
        digest = waiting.pop()
        counts[digest] += times
        hashes, values = _contents(rlp.decode(node(digest)))
        waiting += hashes
        yield from values


def _contents(item: rlp.Decoded) -> tuple[list[bytes], list[bytes]]:
    """(hashes of stored children, values) of one node and of what is embedded in it."""
    hashes: list[bytes] = []
    values: list[bytes] = []
    nodes = [item]
    while nodes:
        items = rlp.as_list(nodes.pop())
        if len(items) == 2:
            path = rlp.as_bytes(items[0])
            if path and path[0] & _LEAF_FLAG:
                values.append(rlp.as_bytes(items[1]))
                continue
            children = items[1:]
        elif len(items) == 17:
            children = items[:16]
        else:
            raise rlp.RlpError(f"trie node with {len(items)} items")
        for child in children:
            if isinstance(child, list):
                nodes.append(child)
            elif child:
                hashes.append(rlp.as_bytes(child, 32))
    return hashes, values
