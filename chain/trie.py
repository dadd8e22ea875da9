"""Merkle-Patricia tries (Yellow Paper, appendix D): build whole ones, walk stored ones.

Nodes live by keccak256 of their RLP; an encoding shorter than 32 bytes is embedded in its parent.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from chain import rlp
from chain.header import EMPTY_TRIE_ROOT
from precompiles.hashing import keccak256

_LEAF: Final = 2
_FROM_HEX: Final = bytes.maketrans(b"0123456789abcdef", bytes(range(16)))
_TO_HEX: Final = bytes.maketrans(bytes(range(16)), b"0123456789abcdef")
_Entries = list[tuple[bytes, bytes]]  # (nibbles, value), sorted


def build_trie(entries: Mapping[bytes, bytes]) -> tuple[bytes, dict[bytes, bytes]]:
    """Root and nodes (hash -> RLP) of a trie with these entries; keys are hashed by the caller.

    Values must not be empty. The nodes include the root unless there are no entries.
    """
    nodes: dict[bytes, bytes] = {}
    if not entries:
        return EMPTY_TRIE_ROOT, nodes
    items = sorted((nibbles(key), value) for key, value in entries.items())
    encoded = _build(items, 0, nodes)
    root = keccak256(encoded)
    nodes[root] = encoded
    return root, nodes


def ordered_root(values: Sequence[bytes]) -> bytes:
    """Root of the trie of a block's list: keys are the RLP of the index."""
    return build_trie(ordered_entries(values))[0]


def ordered_entries(values: Sequence[bytes]) -> dict[bytes, bytes]:
    """Entries of a block's list (transactions, receipts, withdrawals)."""
    return {rlp.encode_uint(index): value for index, value in enumerate(values)}


def nibbles(key: bytes) -> bytes:
    """One byte of 0 to 15 per half byte."""
    return key.hex().encode().translate(_FROM_HEX)


def walk(
    node: Callable[[bytes], bytes], root: bytes, key: bytes
) -> tuple[bytes | None, list[bytes]]:
    """Value under ``key`` (None when absent) and the RLP of the hashed nodes on the way.

    Args:
        node: RLP of a node by hash; raises KeyError when it has none.
        root: 32-byte root hash.
        key: raw trie key (for state tries already hashed).

    Raises:
        KeyError: a node on the way is missing.
        RlpError: a node is not one.
    """
    if root == EMPTY_TRIE_ROOT:
        return None, []
    path = nibbles(key)
    item: rlp.Decoded = root
    trail: list[bytes] = []
    while item:
        if isinstance(item, bytes):
            trail.append(node(rlp.as_bytes(item, 32)))
            item = rlp.decode(trail[-1])
        items = rlp.as_list(item)
        if len(items) == 17:
            if not path:
                return rlp.as_bytes(items[16]) or None, trail
            item, path = items[path[0]], path[1:]
        elif len(items) == 2:
            prefix, is_leaf = _read_prefix(rlp.as_bytes(items[0]))
            if is_leaf:
                return (rlp.as_bytes(items[1]) if prefix == path else None), trail
            if not path.startswith(prefix):
                return None, trail
            item, path = items[1], path[len(prefix) :]
        else:
            raise rlp.RlpError(f"trie node with {len(items)} items")
    return None, trail


def _read_prefix(encoded: bytes) -> tuple[bytes, bool]:
    """(nibbles, is leaf) of a hex-prefix encoding."""
    half = nibbles(encoded)
    if not half or half[0] > 3 or (half[0] in (0, 2) and half[1] != 0) or half == b"\0\0":
        raise rlp.RlpError(f"bad path 0x{encoded.hex()} in trie node")
    return half[1 if half[0] & 1 else 2 :], half[0] >= _LEAF


def _write_prefix(path: bytes, is_leaf: bool) -> bytes:
    flag = _LEAF if is_leaf else 0
    half = bytes((flag + 1,)) + path if len(path) % 2 else bytes((flag, 0)) + path
    return bytes.fromhex(half.translate(_TO_HEX).decode())


def _build(items: _Entries, depth: int, nodes: dict[bytes, bytes]) -> bytes:
    """RLP of the node over ``items``, which agree in their first ``depth`` nibbles."""
    first, value = items[0]
    if len(items) == 1:
        path = rlp.encode_bytes(_write_prefix(first[depth:], True))
        return rlp.join_list((path, rlp.encode_bytes(value)))
    shared = _shared(first, items[-1][0], depth)
    if shared > depth:
        child = _reference(_build(items, shared, nodes), nodes)
        return rlp.join_list((rlp.encode_bytes(_write_prefix(first[depth:shared], False)), child))
    branch = [b"\x80"] * 17
    if len(first) == depth:
        branch[16] = rlp.encode_bytes(value)
        items = items[1:]
    start = 0
    for end in range(1, len(items) + 1):
        nibble = items[start][0][depth]
        if end == len(items) or items[end][0][depth] != nibble:
            branch[nibble] = _reference(_build(items[start:end], depth + 1, nodes), nodes)
            start = end
    return rlp.join_list(branch)


def _shared(first: bytes, last: bytes, depth: int) -> int:
    """Length of the common prefix of two sorted paths (so of all between them)."""
    limit = min(len(first), len(last))
    while depth < limit and first[depth] == last[depth]:
        depth += 1
    return depth


def _reference(encoded: bytes, nodes: dict[bytes, bytes]) -> bytes:
    if len(encoded) < 32:
        return encoded
    digest = keccak256(encoded)
    nodes[digest] = encoded
    return b"\xa0" + digest
