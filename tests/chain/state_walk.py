"""How often each node and code occurs in a state: a walk without anything of chain.evm."""

from collections import Counter
from collections.abc import Mapping

from chain import rlp
from chain.header import EMPTY_TRIE_ROOT
from chain.state_reader import decode_account
from precompiles.hashing import EMPTY_HASH


def trie_occurrences(nodes: Mapping[bytes, bytes], root: bytes) -> Counter[bytes]:
    """Hashed nodes of one trie."""
    return _walk(nodes, root)[0]


def state_occurrences(nodes: Mapping[bytes, bytes], root: bytes) -> Counter[bytes]:
    """Hashed nodes of the account trie and of every account's storage, and every code."""
    counts, leaves = _walk(nodes, root)
    for leaf in leaves:
        account = decode_account(leaf)
        counts += _walk(nodes, account.storage_root)[0]
        if account.code_hash != EMPTY_HASH:
            counts[account.code_hash] += 1
    return counts


def _walk(nodes: Mapping[bytes, bytes], root: bytes) -> tuple[Counter[bytes], list[bytes]]:
    counts: Counter[bytes] = Counter()
    leaves: list[bytes] = []
    stack: list[rlp.Decoded] = [] if root == EMPTY_TRIE_ROOT else [root]
    while stack:
        item = stack.pop()
        if isinstance(item, bytes):
            counts[item] += 1
            item = rlp.decode(nodes[item])
        items = rlp.as_list(item)
        if len(items) == 17:
            stack += [child for child in items[:16] if child]
        elif rlp.as_bytes(items[0])[0] & 0x20:
            leaves.append(rlp.as_bytes(items[1]))
        else:
            stack.append(items[1])
    return counts, leaves
