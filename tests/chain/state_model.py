"""The world state as plain dictionaries, copied whole for a snapshot, built whole for a root."""

from collections.abc import Iterable
from typing import Any

from chain.evm.state import WorldState
from chain.receipts import Log
from chain.rlp import encode_uint
from chain.state_reader import Account, encode_account
from chain.trie import build_trie
from precompiles.hashing import keccak256

_RIPEMD160 = bytes(19) + b"\x03"


class Model:
    """Same method names as WorldState; ``values`` is what a snapshot copies."""

    def __init__(self, precompiled: list[bytes]) -> None:
        self.precompiled = precompiled
        self.values: dict[str, Any] = {"accounts": {}, "storage": {}, "codes": {}}
        self.begin_transaction()

    def begin_transaction(self) -> None:
        self.originals = dict(self.values["storage"])
        self.values.update(
            transient={}, warm=set(self.precompiled), touched=set(), created=set(), destroyed=set()
        )
        self.values.update(logs=[], refund=0)
        self.touched_ripemd160 = False

    def finish_transaction(self, delete_empty: bool) -> None:
        for address in self.values["destroyed"]:
            self.delete(address)
        if delete_empty:
            touched = self.values["touched"] | ({_RIPEMD160} if self.touched_ripemd160 else set())
            for address in touched:
                if self.account(address) == (0, 0) and not self.values["codes"].get(address):
                    self.delete(address)

    def delete(self, address: bytes) -> None:
        self.values["accounts"].pop(address, None)
        self.values["codes"].pop(address, None)
        storage = self.values["storage"]
        self.values["storage"] = {key: w for key, w in storage.items() if key[0] != address}

    def account(self, address: bytes) -> tuple[int, int]:
        found: tuple[int, int] = self.values["accounts"].get(address, (0, 0))
        return found

    def put(self, address: bytes, nonce: int, balance: int) -> None:
        self.values["accounts"][address] = (nonce, balance)
        self.values["touched"].add(address)

    def set_balance(self, address: bytes, balance: int) -> None:
        self.put(address, self.account(address)[0], balance)

    def add_balance(self, address: bytes, delta: int) -> None:
        self.set_balance(address, self.account(address)[1] + delta)

    def set_nonce(self, address: bytes, nonce: int) -> None:
        self.put(address, nonce, self.account(address)[1])

    def increment_nonce(self, address: bytes) -> None:
        self.set_nonce(address, self.account(address)[0] + 1)

    def set_code(self, address: bytes, code: bytes) -> None:
        self.put(address, *self.account(address))
        self.values["codes"][address] = code

    def set_storage(self, address: bytes, slot: int, value: int) -> None:
        self.values["storage"][address, slot] = value

    def set_transient(self, address: bytes, slot: int, value: int) -> None:
        self.values["transient"][address, slot] = value

    def access_address(self, address: bytes) -> None:
        self.values["warm"].add(address)

    def access_slot(self, address: bytes, slot: int) -> None:
        self.values["warm"].add((address, slot))

    def touch_account(self, address: bytes) -> None:
        self.put(address, *self.account(address))
        self.touched_ripemd160 |= address == _RIPEMD160

    def mark_created(self, address: bytes) -> None:
        self.values["created"].add(address)

    def mark_destroyed(self, address: bytes) -> None:
        self.values["destroyed"].add(address)

    def add_refund(self, delta: int) -> None:
        self.values["refund"] += delta

    def add_log(self, address: bytes, topics: tuple[bytes, ...], data: bytes) -> None:
        self.values["logs"].append(Log(address, topics, data))


def apply(target: WorldState | Model, operation: tuple[Any, ...]) -> None:
    """Call the method that the operation names; code runs, and stores, in accounts that exist."""
    if operation[0] == "set_storage":
        target.touch_account(operation[1])
    getattr(target, operation[0])(*operation[1:])


def check_equal(
    state: WorldState, model: Model, addresses: Iterable[bytes], slots: Iterable[int]
) -> None:
    """Every value that can be asked for."""
    values = model.values
    assert state.logs == values["logs"]
    assert state.refund == values["refund"]
    assert {*state.accessed(), *model.precompiled} == values["warm"]
    for address in addresses:
        nonce, balance = model.account(address)
        code = values["codes"].get(address, b"")
        exists = address in values["accounts"]
        assert (state.get_nonce(address), state.get_balance(address)) == (nonce, balance)
        assert state.get_code(address) == code
        assert state.get_code_hash(address) == keccak256(code)
        assert state.account_exists(address) == exists
        assert state.account_is_empty(address) == (not (nonce or balance or code))
        assert state.was_created(address) == (address in values["created"])
        for slot in slots:
            key = (address, slot)
            assert state.get_storage(address, slot) == values["storage"].get(key, 0)
            assert state.original_storage(address, slot) == model.originals.get(key, 0)
            assert state.get_transient(address, slot) == values["transient"].get(key, 0)


def written(model: Model) -> bytes:
    """State root, every trie built from nothing."""
    leaves = {}
    storage: dict[bytes, dict[bytes, bytes]] = {}
    for (address, slot), word in model.values["storage"].items():
        if word:
            key = keccak256(slot.to_bytes(32, "big"))
            storage.setdefault(address, {})[key] = encode_uint(word)
    for address, (nonce, balance) in model.values["accounts"].items():
        root = build_trie(storage.get(address, {}))[0]
        code_hash = keccak256(model.values["codes"].get(address, b""))
        leaves[keccak256(address)] = encode_account(Account(nonce, balance, root, code_hash))
    return build_trie(leaves)[0]
