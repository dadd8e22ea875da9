"""State access of native accounts, each with its gas, charged before it happens.

Prices are those of Ethereum for a cold access (EIP-2929, EIP-2200, EIP-3529 without refunds) and
never depend on what was touched before: simple to predict, never too cheap.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

from genesis.addresses import MODEL_REGISTRY
from precompiles.abi import encode, topic
from precompiles.context import Call, StateView
from precompiles.hashing import keccak256

WORD_READ: Final = 2_100
WORD_SET: Final = 22_100
WORD_CHANGE: Final = 5_000
ACCOUNT_READ: Final = 2_600
ACCOUNT_CREATE: Final = 25_000
LOG: Final = 375
LOG_TOPIC: Final = 375
LOG_BYTE: Final = 8
HASH: Final = 30
HASH_WORD: Final = 6

Words: TypeAlias = Callable[[int], int]
"""Reader of the registry's storage: slot -> word."""


def free_words(view: StateView) -> Words:
    """The registry's storage for RPC and tools, which pay no gas."""
    return lambda slot: view.storage(MODEL_REGISTRY, slot)


def priced_words(call: Call) -> Words:
    """The registry's storage for a call: WORD_READ each."""

    def read(slot: int) -> int:
        call.charge(WORD_READ)
        return call.state.storage(MODEL_REGISTRY, slot)

    return read


def write_word(call: Call, slot: int, value: int) -> None:
    """Write a word of the registry: WORD_SET from 0 to something, else WORD_CHANGE."""
    is_new = call.state.storage(MODEL_REGISTRY, slot) == 0 and value != 0
    call.charge(WORD_SET if is_new else WORD_CHANGE)
    call.state.set_storage(MODEL_REGISTRY, slot, value)


def read_code(call: Call, address: bytes) -> bytes:
    """Code of an account: ACCOUNT_READ."""
    call.charge(ACCOUNT_READ)
    return call.state.code(address)


def hash_gas(length: int) -> int:
    """Price of keccak256 over ``length`` bytes."""
    return HASH + HASH_WORD * -(-length // 32)


def log_gas(indexed: int, length: int) -> int:
    """Price of a log with ``indexed`` topics besides topic 0, and ``length`` bytes of data."""
    return LOG + LOG_TOPIC * (1 + indexed) + LOG_BYTE * length


def emit(
    call: Call, event: str, indexed: Sequence[bytes], types: Sequence[str], values: Sequence[Any]
) -> None:
    """Leave a log.

    Args:
        call: the call that leaves it.
        event: canonical signature.
        indexed: indexed arguments, as 32-byte topics.
        types: of the other arguments.
        values: the other arguments.
    """
    data = encode(types, values)
    call.charge(log_gas(len(indexed), len(data)))
    call.emit([topic(event), *indexed], data)


def mapping_slot(key: bytes, slot: int) -> int:
    """Where Solidity keeps ``mapping[key]`` of the mapping at ``slot``; ``key`` has 32 bytes."""
    return int.from_bytes(keccak256(key + slot.to_bytes(32, "big")), "big")


def read_bytes(words: Words, slot: int) -> bytes:
    """A Solidity ``bytes`` variable at ``slot``."""
    head = words(slot)
    if head & 1 == 0:
        return head.to_bytes(32, "big")[: (head & 0xFF) >> 1]
    length = head >> 1
    first = _data_slot(slot)
    body = b"".join(words(first + i).to_bytes(32, "big") for i in range(-(-length // 32)))
    return body[:length]


def write_bytes(call: Call, slot: int, data: bytes) -> None:
    """Write a Solidity ``bytes`` variable that was empty before."""
    if len(data) < 32:
        write_word(call, slot, int.from_bytes(data.ljust(32, b"\0"), "big") | 2 * len(data))
        return
    write_word(call, slot, 2 * len(data) + 1)
    first = _data_slot(slot)
    for index in range(-(-len(data) // 32)):
        word = data[32 * index : 32 * index + 32].ljust(32, b"\0")
        write_word(call, first + index, int.from_bytes(word, "big"))


def _data_slot(slot: int) -> int:
    return int.from_bytes(keccak256(slot.to_bytes(32, "big")), "big")
