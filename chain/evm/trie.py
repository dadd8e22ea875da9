"""Merkle-Patricia tries with hashed keys: read one value, write many at once.

Every node on the way of a change is decoded once, changed once and hashed once, whatever the
number of changes under it. Source: Yellow Paper, appendix D. All keys are 32 bytes (a keccak256),
so no key is a prefix of another and no branch holds a value.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple, TypeAlias, cast

from chain import rlp
from chain.evm.generations import Generations
from chain.header import EMPTY_TRIE_ROOT
from precompiles.hashing import keccak256

NO_CHILD: Final = b"\x80"
"""Reference of an empty branch slot."""

_HASH_PREFIX: Final = b"\xa0"
_HASH_BYTE: Final = 0xA0
_FROM_HEX: Final = bytes.maketrans(b"0123456789abcdef", bytes(range(16)))
_TO_HEX: Final = bytes.maketrans(bytes(range(16)), b"0123456789abcdef")
_NODES_OF_A_BLOCK: Final = 1 << 16
_FULL_BRANCH: Final = 532
"""Bytes of a branch with 16 hashes, which most nodes near the root are."""


class Short(NamedTuple):
    """A leaf (``item`` is the value) or an extension (``item`` is a reference)."""

    path: bytes
    item: bytes
    is_leaf: bool


Node: TypeAlias = Short | tuple[bytes, ...]
"""Decoded node: ``Short`` or the 16 references of a branch.

A reference is what stands in the parent: ``a0`` and the hash, or a whole encoding below 32 bytes.
"""

_Child: TypeAlias = bytes | Node  # a reference, or a node that has none yet
_Items: TypeAlias = list[tuple[bytes, bytes]]  # (nibbles of the whole key, value), sorted


class TrieNodes:
    """Tries over one source of nodes, and an account of what was written.

    Args:
        node: RLP of a node by hash; raises KeyError when it has none.
        decoded: decoded nodes by reference, shared with others; None for an own, bounded map.

    Attributes:
        fresh: RLP of every node written, by hash.
        added: hash of every node written, once for each place that it took.
        removed: hash of every node that lost its place, once for each place.
    """

    def __init__(
        self,
        node: Callable[[bytes], bytes],
        decoded: Generations[bytes, Node] | None = None,
    ) -> None:
        self._node = node
        self._decoded = Generations(_NODES_OF_A_BLOCK) if decoded is None else decoded
        self.fresh: dict[bytes, bytes] = {}
        self.added: list[bytes] = []
        self.removed: list[bytes] = []

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

    def update(self, root: bytes, changes: Mapping[bytes, bytes]) -> bytes:
        """Root after writing ``changes`` (32-byte key -> value, empty to delete).

        Raises:
            KeyError: a node on the way is missing.
            RlpError: a node is damaged.
        """
        if not changes:
            return root
        items = sorted([(nibbles(key), value) for key, value in changes.items()])
        old = NO_CHILD if root == EMPTY_TRIE_ROOT else _HASH_PREFIX + root
        new = self._apply(old, items, 0)
        if new is old:
            return root
        if new == NO_CHILD:
            return EMPTY_TRIE_ROOT
        return self._store(cast(Node, new), _encode(cast(Node, new)))[1:]

    def remove(self, root: bytes) -> None:
        """Count every node of a whole trie as removed; as long as the trie is large.

        Raises:
            KeyError: a node is missing.
            RlpError: a node is damaged.
        """
        self.removed += self._occurrences(root)

    def _occurrences(self, root: bytes) -> Iterator[bytes]:
        stack = [] if root == EMPTY_TRIE_ROOT else [_HASH_PREFIX + root]
        while stack:
            reference = stack.pop()
            if reference[0] == _HASH_BYTE:
                yield reference[1:]
            node = self._load(reference)
            if not isinstance(node, Short):
                stack += [child for child in node if child != NO_CHILD]
            elif not node.is_leaf:
                stack.append(node.item)

    def _load(self, reference: bytes) -> Node:
        known = self._decoded.get(reference)
        if known is None:
            if reference[0] == _HASH_BYTE:
                digest = reference[1:]
                known = _decode(self.fresh.get(digest) or self._node(digest))
            else:
                known = _decode(reference)
            self._decoded.put(reference, known)
        return known

    def _apply(self, child: _Child, items: _Items, depth: int) -> _Child:
        """What takes the place of ``child`` after ``items``, which share ``depth`` nibbles.

        Returns ``child`` itself when nothing changed, else NO_CHILD or a node that has no reference
        yet: its parent decides whether it becomes a node of its own.
        """
        if child == NO_CHILD:
            items = [item for item in items if item[1]]
            return self._build(items, depth) if items else child
        node = self._load(child) if isinstance(child, bytes) else child
        new: _Child
        if not isinstance(node, Short):
            new = self._write_branch(node, items, depth)
        elif node.is_leaf:
            new = self._write_leaf(node, items, depth)
        else:
            new = self._write_extension(node, items, depth)
        if new is node:
            return child
        if isinstance(child, bytes) and child[0] == _HASH_BYTE:
            self.removed.append(child[1:])
        return new

    def _write_branch(self, node: tuple[bytes, ...], items: _Items, depth: int) -> _Child:
        children: list[_Child] = list(node)
        changed = self._write_children(children, items, depth)
        return self._seal(children, changed) if changed else node

    def _write_leaf(self, node: Short, items: _Items, depth: int) -> _Child:
        if len(items) == 1:
            key, value = items[0]
            if key.endswith(node.path) and len(key) == depth + len(node.path):
                if value == node.item:
                    return node
                return Short(node.path, value, True) if value else NO_CHILD
        own = items[0][0][:depth] + node.path
        entries = {own: node.item}
        for key, value in items:
            if value or key == own:
                entries[key] = value
        if entries == {own: node.item}:
            return node
        items = sorted([item for item in entries.items() if item[1]])
        return self._build(items, depth) if items else NO_CHILD

    def _write_extension(self, node: Short, items: _Items, depth: int) -> _Child:
        prefix = node.path
        items = [item for item in items if item[1] or item[0].startswith(prefix, depth)]
        if not items:
            return node
        shared = min(_shared(prefix, items[at][0], depth) for at in (0, -1))
        if shared == len(prefix):
            new = self._apply(node.item, items, depth + shared)
            return node if new is node.item else self._prepend(prefix, new)
        rest = prefix[shared + 1 :]
        children: list[_Child] = [NO_CHILD] * 16
        children[prefix[shared]] = Short(rest, node.item, False) if rest else node.item
        changed = self._write_children(children, items, depth + shared)
        return self._prepend(prefix[:shared], self._seal(children, [*changed, prefix[shared]]))

    def _write_children(self, children: list[_Child], items: _Items, depth: int) -> list[int]:
        """Write ``items`` into the slots of a branch; the slots that changed."""
        changed = []
        for nibble, group in _groups(items, depth):
            old = children[nibble]
            new = self._apply(old, group, depth + 1)
            if new is not old:
                children[nibble] = new
                changed.append(nibble)
        return changed

    def _build(self, items: _Items, depth: int) -> _Child:
        """Node over at least one item, none of which is a deletion."""
        first, value = items[0]
        if len(items) == 1:
            return Short(first[depth:], value, True)
        shared = _shared(first[depth:], items[-1][0], depth)
        children: list[_Child] = [NO_CHILD] * 16
        changed = self._write_children(children, items, depth + shared)
        return self._prepend(first[depth : depth + shared], self._seal(children, changed))

    def _seal(self, children: list[_Child], changed: list[int]) -> _Child:
        """Node over 16 slots: nothing, the only child pulled up, or a branch."""
        used = 16 - children.count(NO_CHILD)
        if used > 1:
            for nibble in changed:
                child = children[nibble]
                if not isinstance(child, bytes):
                    children[nibble] = self._refer(child)
            return tuple(cast(list[bytes], children))
        if not used:
            return NO_CHILD
        nibble = next(at for at in range(16) if children[at] != NO_CHILD)
        return self._pull_up(bytes((nibble,)), children[nibble])

    def _pull_up(self, path: bytes, child: _Child) -> _Child:
        """The only child of a branch, reached through ``path``."""
        if not isinstance(child, bytes):
            return self._prepend(path, child)
        node = self._load(child)
        if not isinstance(node, Short):
            return Short(path, child, False)
        if child[0] == _HASH_BYTE:
            self.removed.append(child[1:])
        return Short(path + node.path, node.item, node.is_leaf)

    def _prepend(self, path: bytes, child: _Child) -> _Child:
        """A node without reference behind ``path``: an extension, or one longer ``Short``."""
        if not path or isinstance(child, bytes):
            return child
        if isinstance(child, Short):
            return Short(path + child.path, child.item, child.is_leaf)
        return Short(path, self._refer(child), False)

    def _refer(self, node: Node) -> bytes:
        """Reference of a finished node."""
        encoded = _encode(node)
        return encoded if len(encoded) < 32 else self._store(node, encoded)

    def _store(self, node: Node, encoded: bytes) -> bytes:
        """Keep a node that is stored by hash; its reference."""
        digest = keccak256(encoded)
        self.fresh[digest] = encoded
        self.added.append(digest)
        reference = _HASH_PREFIX + digest
        self._decoded.put(reference, node)
        return reference


def nibbles(key: bytes) -> bytes:
    """One byte of 0 to 15 per half byte."""
    return key.hex().encode().translate(_FROM_HEX)


def _groups(items: _Items, depth: int) -> list[tuple[int, _Items]]:
    """Items by their nibble at ``depth``."""
    if len(items) == 1:
        return [(items[0][0][depth], items)]
    groups: dict[int, _Items] = {}
    for item in items:
        nibble = item[0][depth]
        if nibble in groups:
            groups[nibble].append(item)
        else:
            groups[nibble] = [item]
    return list(groups.items())


def _shared(prefix: bytes, key: bytes, depth: int) -> int:
    """Length of the common start of ``prefix`` and ``key[depth:]``."""
    count = 0
    while count < len(prefix) and prefix[count] == key[depth + count]:
        count += 1
    return count


def _encode(node: Node) -> bytes:
    if not isinstance(node, Short):
        payload = b"".join(node) + NO_CHILD
    else:
        odd = len(node.path) & 1
        head = (b"3" if odd else b"20") if node.is_leaf else (b"1" if odd else b"00")
        path = bytes.fromhex((head + node.path.translate(_TO_HEX)).decode())
        item = rlp.encode_bytes(node.item) if node.is_leaf else node.item
        payload = rlp.encode_bytes(path) + item
    return rlp.list_prefix(len(payload)) + payload


def _decode(encoded: bytes) -> Node:
    if len(encoded) == _FULL_BRANCH and encoded[3::33] == _HASH_PREFIX * 16 + NO_CHILD:
        return tuple([encoded[at : at + 33] for at in range(3, 531, 33)])
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
