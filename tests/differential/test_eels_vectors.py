"""Golden files that EELS wrote: transactions as every fork judges them, and trie roots."""

import json
from typing import Any

import pytest

from chain.errors import InvalidTransaction
from chain.evm.rules import check_envelope
from chain.fees import floor_gas, intrinsic_gas
from chain.transactions import Transaction, decode_transaction
from chain.trie import build_trie, ordered_root
from genesis.forks import Fork
from precompiles.hashing import keccak256
from tests.differential.eels import FORKS
from tests.differential.make_vectors import TRANSACTIONS, TRIES
from tests.differential.worlds import CHAIN_ID

TRANSACTION_CAP = 1 << 24
STATEFUL = {"InsufficientBalanceError", "GasUsedExceedsLimitError", "BlobGasLimitExceededError",
            "BlobCountExceededError", "InsufficientMaxFeePerBlobGasError",
            "InsufficientMaxFeePerGasError", "InvalidBlock"}  # fmt: skip
"""Refusals that need a state or a block."""


def hexadecimal(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def vectors(fork: Fork) -> list[tuple[str, bytes, dict[str, Any]]]:
    """(note, encoding, verdict under this fork)."""
    found = []
    for vector in json.loads(TRANSACTIONS.read_text())["transactions"]:
        known = [Fork[name] for name in vector["forks"] if Fork[name] <= fork]
        verdict = vector["forks"][max(known).name]
        found.append((vector["note"], hexadecimal(vector["raw"]), verdict))
    return found


def judged(raw: bytes, fork: Fork, cap: int | None) -> Transaction | InvalidTransaction:
    """The transaction, or why it is none under this fork's rules."""
    try:
        found = decode_transaction(raw, homestead=fork >= Fork.HOMESTEAD)
        check_envelope(found, fork, CHAIN_ID, cap)
    except InvalidTransaction as error:
        return error
    return found


@pytest.mark.parametrize("fork", list(FORKS), ids=lambda fork: fork.name)
def test_transactions_as_this_fork_judges_them(fork: Fork) -> None:
    cap = TRANSACTION_CAP if fork >= Fork.OSAKA else None
    for note, raw, verdict in vectors(fork):
        if verdict.get("refused") in STATEFUL:
            continue
        found = judged(raw, fork, cap)
        if isinstance(found, InvalidTransaction):
            assert "refused" in verdict, (note, raw.hex(), str(found))
            continue
        assert "refused" not in verdict, (note, raw.hex(), verdict)
        assert found.sender == hexadecimal(verdict["sender"]), note
        assert found.hash == hexadecimal(verdict["hash"]), note
        assert intrinsic_gas(found, fork) == verdict["intrinsic_gas"], note
        if fork >= Fork.PRAGUE:
            assert floor_gas(found, fork) == verdict["floor_gas"], note


def tries() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(TRIES.read_text())["tries"]
    return found


def test_tries_built_at_once() -> None:
    for vector in tries():
        entries: dict[bytes, bytes] = {}
        for key, value in vector["pairs"]:
            entries[hexadecimal(key)] = hexadecimal(value)
        kept = {key: value for key, value in entries.items() if value}
        if vector["secured"]:
            kept = {keccak256(key): value for key, value in kept.items()}
        assert build_trie(kept)[0] == hexadecimal(vector["root"])


def test_the_vectors_are_of_every_kind() -> None:
    notes = {note for note, _, _ in vectors(Fork.OSAKA)}
    assert len(notes) >= 18
    assert len(tries()) == 54
    assert ordered_root([]) == build_trie({})[0]
