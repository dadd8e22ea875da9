"""Accounts that every new chain starts with, and the genesis made of them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from hashlib import sha256
from importlib.resources import files
from itertools import pairwise
from typing import Any, Final

from genesis.addresses import (
    BEACON_ROOTS,
    CONSOLIDATION_REQUESTS,
    HISTORY_STORAGE,
    MODEL_REGISTRY,
    NATIVE,
    VALIDATOR_SET,
    WITHDRAWAL_REQUESTS,
)
from genesis.errors import GenesisError
from genesis.spec import Allocation, AssayConfig, GenesisSpec, format_genesis

ALIAS_AUTHORITY_SLOT: Final = 0
"""Storage slot of the registry that holds the address which may set aliases (0: nobody)."""

VALIDATORS_SLOT: Final = 0
"""Storage slot of ValidatorSet's ``address[]``: its length; items start at FIRST_VALIDATOR_SLOT."""

FIRST_VALIDATOR_SLOT: Final = 0x290DECD9548B62A8D60345A988386FC84BA6BC95484008F6362F93160EF3E563
"""keccak256 of 32 zero bytes: where Solidity puts item 0 of the dynamic array at slot 0."""

MAX_VALIDATORS: Final = 100
"""As in ValidatorSet.sol."""

_SYSTEM: Final = (BEACON_ROOTS, HISTORY_STORAGE, WITHDRAWAL_REQUESTS, CONSOLIDATION_REQUESTS)


@cache
def artifact(name: str) -> Mapping[str, Any]:
    """A committed build output by contract name: ``abi``, ``bytecode``, ``deployedBytecode``."""
    text = files("genesis").joinpath("artifacts", f"{name}.json").read_text()
    result: Mapping[str, Any] = json.loads(text)
    return result


def runtime_code(name: str) -> bytes:
    """Deployed code of a contract of ours."""
    return bytes.fromhex(artifact(name)["deployedBytecode"][2:])


def native_allocations(alias_authority: bytes | None = None) -> dict[bytes, Allocation]:
    """Stub code and nonce 1 for each native account.

    Without them an account would be deleted with its storage at the end of a transaction (EIP-161),
    and Solidity's check of ``extcodesize`` would refuse to call it.

    Args:
        alias_authority: 20-byte address that may set registry aliases; nobody may without it.
    """
    code = runtime_code("Stub")
    alloc = {account: Allocation(nonce=1, code=code) for account in NATIVE}
    if alias_authority is not None:
        storage = {ALIAS_AUTHORITY_SLOT: int.from_bytes(_address(alias_authority), "big")}
        alloc[MODEL_REGISTRY] = Allocation(nonce=1, code=code, storage=storage)
    return alloc


def validator_set_allocation(validators: Sequence[bytes]) -> Allocation:
    """The ValidatorSet predeploy with its first members, stored in ascending order.

    Raises:
        GenesisError: nobody, more than 100, a repeated or zero address.
    """
    members = sorted(_address(validator) for validator in validators)
    if not 1 <= len(members) <= MAX_VALIDATORS:
        raise GenesisError(f"{len(members)} validators, expected 1 to {MAX_VALIDATORS}")
    for first, second in pairwise(members):
        if first == second:
            raise GenesisError(f"validator 0x{first.hex()} appears twice")
    if not any(members[0]):
        raise GenesisError("the zero address cannot be a validator")
    storage = {VALIDATORS_SLOT: len(members)}
    for index, member in enumerate(members):
        storage[FIRST_VALIDATOR_SLOT + index] = int.from_bytes(member, "big")
    return Allocation(nonce=1, code=runtime_code("ValidatorSet"), storage=storage)


def system_allocations() -> dict[bytes, Allocation]:
    """EIP-4788, EIP-2935, EIP-7002 and EIP-7251 contracts, byte-identical to mainnet."""
    contracts = artifact("system_contracts")
    return {
        account: Allocation(
            nonce=1, code=bytes.fromhex(contracts["0x" + account.hex()]["code"][2:])
        )
        for account in _SYSTEM
    }


def new_genesis(
    chain_id: int,
    validators: Sequence[bytes],
    accounts: Mapping[bytes, int],
    *,
    timestamp: int = 0,
    alias_authority: bytes | None = None,
    **assay: Any,
) -> GenesisSpec:
    """A new chain.

    Its ``mix_hash`` is the SHA-256 of the file without it. All later ones follow from it, so that a
    commit seal, which covers the header only, counts on this chain alone.

    Args:
        chain_id: EIP-155 id.
        validators: 20-byte addresses of the first validators.
        accounts: 20-byte address -> wei.
        timestamp: of the genesis block, seconds since 1970.
        alias_authority: who may set registry aliases.
        assay: fields of AssayConfig that differ from its defaults.

    Raises:
        GenesisError: see ``validator_set_allocation``; or a funded account is a predeploy.
    """
    alloc = system_allocations() | native_allocations(alias_authority)
    alloc[VALIDATOR_SET] = validator_set_allocation(validators)
    for account, balance in accounts.items():
        if _address(account) in alloc:
            raise GenesisError(f"account 0x{account.hex()} is a predeploy")
        alloc[account] = Allocation(balance=balance)
    spec = GenesisSpec(
        chain_id=chain_id, timestamp=timestamp, alloc=alloc, assay=AssayConfig(**assay)
    )
    return replace(spec, mix_hash=sha256(format_genesis(spec).encode()).digest())


def _address(value: bytes) -> bytes:
    if len(value) != 20:
        raise GenesisError(f"address 0x{value.hex()} has {len(value)} bytes, expected 20")
    return value
