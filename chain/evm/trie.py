"""Merkle-Patricia tries with hashed keys: read one value, write many at once.

Every node on the way of a change is decoded once, changed once and hashed once, whatever the
number of changes under it. Source: Yellow Paper, appendix D. All keys are 32 bytes (a keccak256),
so no key is a prefix of another and no branch holds a value.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, TypeAlias

from chain import rlp
from chain.header import EMPTY_TRIE_ROOT
from precompiles.hashing import keccak256

NO_CHILD: Final = b"\x80"
"""Reference of an empty branch slot."""

_HASH_PREFIX: Final = b"\xa0"
_FROM_HEX: Final = bytes.maketrans(b"0123456789abcdef", bytes(range(16)))
_TO_HEX: Final = bytes.maketrans(bytes(range(16)), b"0123456789abcdef")


class Short(NamedTuple):
    """A leaf (``item`` is the value) or an extension (``item`` is a reference)."""

    path: bytes
    item: bytes
    is_leaf: bool


Node: TypeAlias = Short | tuple[bytes, ...]
"""Decoded node: ``Short`` or the 16 references of a branch.

A reference is what stands in the parent: ``a0`` and the hash, or a whole encoding below 32 bytes.
"""

_Items: TypeAlias = list[tuple[bytes, bytes]]  # (nibbles of the whole key, value), sorted


class TrieNodes:
    """Tries over one source of nodes; decoded nodes are remembered as long as this object lives.

    Args:
        node: RLP of a node by hash; raises KeyError when it has none.
    """

    def __init__(self, node: Callable[[bytes], bytes]) -> None:
        self._node = node
        self._decoded: dict[bytes, Node] = {}

    def get(self, root: bytes, key: bytes) -> bytes:
        """Value under a 32-byte ``key``; empty when absent.

        Raises:
            KeyError: a node on the way is missing.
            RlpError: a node is damaged.
        """
        if root == EMPTY_TRIE_ROOT:
            return b""
        path, at = nibbles(key), 0
        reference = _HASH_PREFIX + root
        while reference != NO_CHILD:
            node = self._load(reference)
            if not isinstance(node, Short):
                reference = node[path[at]]
                at += 1
            elif node.is_leaf:
                return node.item if path[at:] == node.path else b""
            elif path.startswith(node.path, at):
                reference = node.item
                at += len(node.path)
            else:
                return b""
        return b""

    def update(
        self, root: bytes, changes: Mapping[bytes, bytes]
    ) -> tuple[bytes, dict[bytes, bytes]]:
        """Root after writing ``changes`` (32-byte key -> value, empty to delete).

        Returns:
            The new root, and the RLP of the nodes that are new by hash, the root's among them.

        Raises:
            KeyError: a node on the way is missing.
            RlpError: a node is damaged.
        """
        fresh: dict[bytes, bytes] = {}
        if not changes:
            return root, fresh
        items = sorted([(nibbles(key), value) for key, value in changes.items()])
        old = None if root == EMPTY_TRIE_ROOT else self._load(_HASH_PREFIX + root)
        new = self._apply(old, items, 0, fresh)
        if new is old:
            return root, fresh
        if new is None:
            return EMPTY_TRIE_ROOT, fresh
        encoded = _encode(new)
        digest = keccak256(encoded)
        fresh[digest] = encoded
        return digest, fresh

    def _load(self, reference: bytes) -> Node:
        known = self._decoded.get(reference)
        if known is None:
            is_hash = reference[:1] == _HASH_PREFIX
            known = _decode(self._node(reference[1:]) if is_hash else reference)
            self._decoded[reference] = known
        return known

    def _apply(
        self, node: Node | None, items: _Items, depth: int, fresh: dict[bytes, bytes]
    ) -> Node | None:
        """``node`` after ``items``, which agree in their first ``depth`` nibbles.

        Returns ``node`` itself when nothing changed. The result is not among ``fresh``: its parent
        decides whether it becomes a node of its own.
        """
        if node is None:
            return self._build([item for item in items if item[1]], depth, fresh)
        if not isinstance(node, Short):
            children: list[bytes | Node] = list(node)
            changed = self._write_children(children, items, depth, fresh)
            return self._seal(children, fresh) if changed else node
        if node.is_leaf:
            return self._leaf(node, items, depth, fresh)
        return self._extension(node, items, depth, fresh)

    def _leaf(
        self, node: Short, items: _Items, depth: int, fresh: dict[bytes, bytes]
    ) -> Node | None:
        path = items[0][0][:depth] + node.path
        entries = {path: node.item} | {key: value for key, value in items if value or key == path}
        if entries == {path: node.item}:
            return node
        return self._build(sorted(item for item in entries.items() if item[1]), depth, fresh)

    def _extension(
        self, node: Short, items: _Items, depth: int, fresh: dict[bytes, bytes]
    ) -> Node | None:
        prefix = node.path
        items = [item for item in items if item[1] or item[0].startswith(prefix, depth)]
        if not items:
            return node
        shared = min(_shared(prefix, items[at][0], depth) for at in (0, -1))
        if shared == len(prefix):
            old = self._load(node.item)
            new = self._apply(old, items, depth + shared, fresh)
            return node if new is old else _prepend(prefix, new, fresh)
        rest = prefix[shared + 1 :]
        children: list[bytes | Node] = [NO_CHILD] * 16
        children[prefix[shared]] = Short(rest, node.item, False) if rest else node.item
        self._write_children(children, items, depth + shared, fresh)
        return _prepend(prefix[:shared], self._seal(children, fresh), fresh)

    def _write_children(
        self,
        children: list[bytes | Node],
        items: _Items,
        depth: int,
        fresh: dict[bytes, bytes],
    ) -> bool:
        """Write ``items`` into the slots of a branch; whether any slot changed."""
        changed = False
        for nibble, group in _groups(items, depth):
            child = children[nibble]
            old = None if child == NO_CHILD else self._node_of(child)
            new = self._apply(old, group, depth + 1, fresh)
            if new is not old:
                children[nibble] = NO_CHILD if new is None else new
                changed = True
        return changed

    def _build(self, items: _Items, depth: int, fresh: dict[bytes, bytes]) -> Node | None:
        """Node over ``items``, none of which is a deletion."""
        if not items:
            return None
        first, value = items[0]
        if len(items) == 1:
            return Short(first[depth:], value, True)
        shared = _shared(first[depth:], items[-1][0], depth)
        children: list[bytes | Node] = [NO_CHILD] * 16
        self._write_children(children, items, depth + shared, fresh)
        return _prepend(first[depth : depth + shared], self._seal(children, fresh), fresh)

    def _seal(self, children: list[bytes | Node], fresh: dict[bytes, bytes]) -> Node | None:
        """Node over 16 slots: nothing, the only child pulled up, or a branch."""
        used = [nibble for nibble in range(16) if children[nibble] != NO_CHILD]
        if not used:
            return None
        if len(used) == 1:
            only = self._node_of(children[used[0]])
            return _prepend(bytes((used[0],)), only, fresh)
        return tuple(
            [child if isinstance(child, bytes) else _refer(child, fresh) for child in children]
        )

    def _node_of(self, child: bytes | Node) -> Node:
        return self._load(child) if isinstance(child, bytes) else child


def nibbles(key: bytes) -> bytes:
    """One byte of 0 to 15 per half byte."""
    return key.hex().encode().translate(_FROM_HEX)


def _groups(items: _Items, depth: int) -> list[tuple[int, _Items]]:
    """Items by their nibble at ``depth``."""
    if len(items) == 1:
        return [(items[0][0][depth], items)]
    groups: dict[int, _Items] = {}
    for item in items:
        groups.setdefault(item[0][depth], []).append(item)
    return list(groups.items())


def _shared(prefix: bytes, key: bytes, depth: int) -> int:
    """Length of the common start of ``prefix`` and ``key[depth:]``."""
    count = 0
    while count < len(prefix) and prefix[count] == key[depth + count]:
        count += 1
    return count


def _prepend(path: bytes, node: Node | None, fresh: dict[bytes, bytes]) -> Node | None:
    """``node`` reached through ``path``: an extension, or one longer ``Short``."""
    if node is None or not path:
        return node
    if isinstance(node, Short):
        return Short(path + node.path, node.item, node.is_leaf)
    return Short(path, _refer(node, fresh), False)


def _refer(node: Node, fresh: dict[bytes, bytes]) -> bytes:
    """Reference of a finished node, which becomes one of the ``fresh``."""
    encoded = _encode(node)
    if len(encoded) < 32:
        return encoded
    digest = keccak256(encoded)
    fresh[digest] = encoded
    return _HASH_PREFIX + digest


def _encode(node: Node) -> bytes:
    if not isinstance(node, Short):
        return rlp.join_list([*node, NO_CHILD])
    flag = (2 if node.is_leaf else 0) + len(node.path) % 2
    head = bytes((flag,)) if len(node.path) % 2 else bytes((flag, 0))
    path = bytes.fromhex((head + node.path).translate(_TO_HEX).decode())
    item = rlp.encode_bytes(node.item) if node.is_leaf else node.item
    return rlp.join_list([rlp.encode_bytes(path), item])


def _decode(encoded: bytes) -> Node:
    parts = rlp.split_list(encoded)
    if len(parts) == 17:
        return tuple(parts[:16])
    if len(parts) != 2:
        raise rlp.RlpError(f"trie node with {len(parts)} items")
    half = nibbles(rlp.as_bytes(rlp.decode(parts[0])))
    path = half[1 if half[0] & 1 else 2 :]
    if half[0] & 2:
        return Short(path, rlp.as_bytes(rlp.decode(parts[1])), True)
    return Short(path, parts[1], False)
