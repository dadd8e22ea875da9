"""The genesis file: everything that decides which chain this is.

The format is geth's: ``config`` with ``chainId`` and forks, the header fields, ``alloc``. Ours is
the object ``config.assay``; a file without it is a chain with Ethereum's own rules. The file is
complete in itself: code and storage of native accounts, validators and system contracts stand in
``alloc``, so equal files are equal chains on any version.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from genesis.errors import GenesisError
from genesis.fields import address, boolean, data, nesting, number, object_of, refuse_unknown
from genesis.forks import OSAKA_FROM_GENESIS, Fork, ForkSchedule
from genesis.schedule import CONFIG_FIELDS, format_schedule, parse_schedule

__all__ = [
    "Allocation",
    "AssayConfig",
    "GenesisError",
    "GenesisSpec",
    "format_genesis",
    "parse_genesis",
]

DEFAULT_GAS_LIMIT: Final = 60_000_000
DEFAULT_BASE_FEE: Final = 10**9
"""Wei per gas of the first block; geth's default as well."""

CHAIN_EXTRA_DATA: Final = bytes.fromhex("ca85") + b"assay" + bytes.fromhex("c0c080c0")
"""``rlp([b"assay", [], [], 0, []])``: the stored form of a header's extra data, without seals."""

EMPTY_NONCE: Final = bytes(8)
ZERO_HASH: Final = bytes(32)
ZERO_ADDRESS: Final = bytes(20)
_MAX_NESTING: Final = 16
_MAX_CHAIN_ID: Final = (1 << 53) - 1  # JavaScript clients read it into a number


@dataclass(frozen=True, slots=True)
class Allocation:
    """One account of the first state.

    Attributes:
        balance: wei, 0 to 2**256 - 1.
        nonce: 0 to 2**64 - 2.
        code: runtime code.
        storage: slot -> word, both 0 to 2**256 - 1; words that are 0 are not stored.
    """

    balance: int = 0
    nonce: int = 0
    code: bytes = b""
    storage: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AssayConfig:
    """Rules of this chain that Ethereum has no field for.

    Attributes:
        protocol_version: of consensus messages; validators of different versions do not talk.
        block_period_seconds: least distance of two timestamps, >= 1.
        empty_blocks: whether a block is made when no transaction waits.
        request_timeout_ms: timer of consensus round 0, counted from the end of the period.
        request_timeout_cap_ms: no round's timer is longer, >= request_timeout_ms.
        transaction_gas_cap: largest gas limit of one transaction (EIP-7825).
    """

    protocol_version: int = 1
    block_period_seconds: int = 1
    empty_blocks: bool = True
    request_timeout_ms: int = 4_000
    request_timeout_cap_ms: int = 30_000
    transaction_gas_cap: int = 1 << 25


@dataclass(frozen=True, slots=True)
class GenesisSpec:
    """A parsed genesis file.

    Attributes:
        chain_id: EIP-155 id, 1 to 2**53 - 1.
        timestamp: seconds since 1970.
        gas_limit: of the first block; on an Assay chain of every block.
        base_fee_per_gas: wei, of the first block; without meaning before London.
        difficulty, nonce (8 bytes), mix_hash (32), coinbase (20), extra_data: header fields.
        alloc: 20-byte address -> account.
        assay: rules of this chain; None: a chain with Ethereum's own rules, see ``qbft``.
        schedule: when each fork begins.
        deposit_contract: 20-byte address whose logs are deposit requests (EIP-6110), or None.
        excess_blob_gas, blob_gas_used: header fields of the first block, from Cancun on.
    """

    chain_id: int
    timestamp: int = 0
    gas_limit: int = DEFAULT_GAS_LIMIT
    base_fee_per_gas: int = DEFAULT_BASE_FEE
    difficulty: int = 0
    nonce: bytes = EMPTY_NONCE
    mix_hash: bytes = ZERO_HASH
    coinbase: bytes = ZERO_ADDRESS
    extra_data: bytes = CHAIN_EXTRA_DATA
    alloc: Mapping[bytes, Allocation] = field(default_factory=dict)
    assay: AssayConfig | None = AssayConfig()
    schedule: ForkSchedule = OSAKA_FROM_GENESIS
    deposit_contract: bytes | None = None
    excess_blob_gas: int = 0
    blob_gas_used: int = 0

    @property
    def qbft(self) -> AssayConfig:
        """Rules of an Assay chain; GenesisError where there are none (``assay`` is None)."""
        if self.assay is None:
            raise GenesisError(
                "config.assay: absent, so the chain has Ethereum's rules: its blocks can be "
                "imported and served, but not made by consensus"
            )
        return self.assay


def parse_genesis(text: str | bytes) -> GenesisSpec:
    """Read a genesis file.

    Numbers may be JSON integers, decimal strings or 0x hex strings, as in geth; null is absent.

    Raises:
        GenesisError: not JSON, a missing, malformed, repeated or unknown field, a fork schedule
            that contradicts itself or is not followed here, or an Assay chain (``config.assay``)
            without every fork up to Prague from the first block.
    """
    if nesting(text) > _MAX_NESTING:
        raise GenesisError(f"genesis file: nested deeper than {_MAX_NESTING}")
    try:
        document = json.loads(text, object_pairs_hook=_unique, parse_float=_no_float)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise GenesisError(f"genesis file is not JSON: {error}") from error
    root = object_of(document, "genesis file")
    refuse_unknown(root, _ROOT_FIELDS, "genesis file")
    root = {name: value for name, value in root.items() if value is not None}
    for name in ("number", "gasUsed", "parentHash"):
        if name in root and number(root[name], name) != 0:
            raise GenesisError(f"{name}: {root[name]!r}, expected 0")
    config = object_of(root.get("config"), "config")
    refuse_unknown(config, _CONFIG_FIELDS, "config")
    schedule = parse_schedule(config)
    assay = None if config.get("assay") is None else _assay(config, schedule)
    return GenesisSpec(
        chain_id=number(config.get("chainId"), "config.chainId", 1, _MAX_CHAIN_ID),
        timestamp=number(root.get("timestamp", 0), "timestamp"),
        gas_limit=number(root.get("gasLimit"), "gasLimit", 5_000, (1 << 63) - 1),
        base_fee_per_gas=number(
            root.get("baseFeePerGas", DEFAULT_BASE_FEE), "baseFeePerGas", 0, 1 << 63
        ),
        difficulty=number(root.get("difficulty"), "difficulty", 0, (1 << 256) - 1),
        nonce=number(root.get("nonce", 0), "nonce").to_bytes(8, "big"),
        mix_hash=data(root.get("mixHash", "0x" + "00" * 32), "mixHash", 32),
        coinbase=address(root.get("coinbase", "0x" + "00" * 20), "coinbase"),
        extra_data=_extra_data(root, assay),
        alloc=_alloc(object_of(root.get("alloc"), "alloc")),
        assay=assay,
        schedule=schedule,
        deposit_contract=_deposit_contract(config, assay),
        excess_blob_gas=_blob_gas(root, "excessBlobGas", assay),
        blob_gas_used=_blob_gas(root, "blobGasUsed", assay),
    )


def format_genesis(spec: GenesisSpec) -> str:
    """The file that ``parse_genesis`` reads back to an equal spec; equal specs give equal text."""
    config: dict[str, Any] = {"chainId": spec.chain_id, **format_schedule(spec.schedule)}
    if spec.deposit_contract is not None:
        config["depositContractAddress"] = "0x" + spec.deposit_contract.hex()
    if spec.assay is not None:
        config["assay"] = _format_assay(spec.assay)
    document = {
        "config": config,
        "nonce": "0x" + spec.nonce.hex(),
        "timestamp": hex(spec.timestamp),
        "extraData": "0x" + spec.extra_data.hex(),
        "gasLimit": hex(spec.gas_limit),
        "baseFeePerGas": hex(spec.base_fee_per_gas),
        "difficulty": hex(spec.difficulty),
        "mixHash": "0x" + spec.mix_hash.hex(),
        "coinbase": "0x" + spec.coinbase.hex(),
        "alloc": {
            "0x" + account.hex(): _format_allocation(spec.alloc[account])
            for account in sorted(spec.alloc)
        },
    }
    if spec.excess_blob_gas or spec.blob_gas_used:
        document |= {
            "excessBlobGas": hex(spec.excess_blob_gas),
            "blobGasUsed": hex(spec.blob_gas_used),
        }
    return json.dumps(document, indent=2) + "\n"


_ROOT_FIELDS: Final = frozenset(
    {"config", "nonce", "timestamp", "extraData", "gasLimit", "baseFeePerGas", "difficulty"}
    | {"mixHash", "coinbase", "alloc", "number", "gasUsed", "parentHash"}
    | {"excessBlobGas", "blobGasUsed"}
)
_CONFIG_FIELDS: Final = CONFIG_FIELDS | {
    "chainId",
    "assay",
    "depositContractAddress",
    "ethash",  # proofs of work are not checked, nor are clique's signatures
    "clique",
}


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise GenesisError(f"field {key!r} appears twice")
        result[key] = value
    return result


def _no_float(text: str) -> Any:
    raise GenesisError(f"{text} is not an integer")


def _extra_data(root: Mapping[str, Any], assay: AssayConfig | None) -> bytes:
    if assay is None:
        return data(root.get("extraData", "0x"), "extraData")
    extra = data(root.get("extraData", "0x" + CHAIN_EXTRA_DATA.hex()), "extraData")
    if len(extra) > 32:
        raise GenesisError(f"extraData: {len(extra)} bytes, at most 32")
    return extra


def _blob_gas(root: Mapping[str, Any], name: str, assay: AssayConfig | None) -> int:
    return number(root.get(name, 0), name, 0, 0 if assay else (1 << 64) - 1)


def _deposit_contract(config: Mapping[str, Any], assay: AssayConfig | None) -> bytes | None:
    value = config.get("depositContractAddress")
    if value is None:
        return None
    contract = address(value, "config.depositContractAddress")
    if assay is not None and contract != ZERO_ADDRESS:
        raise GenesisError(f"config.depositContractAddress: {value!r}, expected it to be absent")
    return None if contract == ZERO_ADDRESS else contract


def _assay(config: Mapping[str, Any], schedule: ForkSchedule) -> AssayConfig:
    first = schedule.fork(0, 0)
    if first < Fork.PRAGUE:
        name = Fork(first + 1).name.replace("_", " ").title()
        raise GenesisError(f"config: {name} is not active at 0, expected all forks up to Prague")
    fields = object_of(config["assay"], "config.assay")
    known = {
        "protocolVersion": (1, 1 << 16),
        "blockPeriodSeconds": (1, 3600),
        "requestTimeoutMs": (100, 60_000),
        "requestTimeoutCapMs": (100, 60_000),
        "transactionGasCap": (21_000, (1 << 63) - 1),
    }
    refuse_unknown(fields, {*known, "emptyBlocks"}, "config.assay")
    values = {
        name: number(fields.get(name), f"config.assay.{name}", low, high)
        for name, (low, high) in known.items()
    }
    if values["requestTimeoutCapMs"] < values["requestTimeoutMs"]:
        raise GenesisError(
            f"config.assay.requestTimeoutCapMs: {values['requestTimeoutCapMs']}, "
            f"expected at least requestTimeoutMs, {values['requestTimeoutMs']}"
        )
    return AssayConfig(
        protocol_version=values["protocolVersion"],
        block_period_seconds=values["blockPeriodSeconds"],
        empty_blocks=boolean(fields.get("emptyBlocks"), "config.assay.emptyBlocks"),
        request_timeout_ms=values["requestTimeoutMs"],
        request_timeout_cap_ms=values["requestTimeoutCapMs"],
        transaction_gas_cap=values["transactionGasCap"],
    )


def _format_assay(assay: AssayConfig) -> dict[str, Any]:
    return {
        "protocolVersion": assay.protocol_version,
        "blockPeriodSeconds": assay.block_period_seconds,
        "emptyBlocks": assay.empty_blocks,
        "requestTimeoutMs": assay.request_timeout_ms,
        "requestTimeoutCapMs": assay.request_timeout_cap_ms,
        "transactionGasCap": assay.transaction_gas_cap,
    }


def _alloc(accounts: Mapping[str, Any]) -> Mapping[bytes, Allocation]:
    alloc: dict[bytes, Allocation] = {}
    for key, value in accounts.items():
        where = f"alloc.{key}"
        account = address(key if key[:2] in ("0x", "0X") else "0x" + key, where)
        if account in alloc:
            raise GenesisError(f"{where}: the account appears twice")
        fields = object_of(value, where)
        refuse_unknown(fields, {"balance", "nonce", "code", "storage"}, where)
        alloc[account] = Allocation(
            balance=number(fields.get("balance", 0), f"{where}.balance", 0, (1 << 256) - 1),
            nonce=number(fields.get("nonce", 0), f"{where}.nonce", 0, (1 << 64) - 2),
            code=data(fields.get("code", "0x"), f"{where}.code"),
            storage=_storage(object_of(fields.get("storage", {}), f"{where}.storage"), where),
        )
    return MappingProxyType(alloc)


def _storage(words: Mapping[str, Any], where: str) -> Mapping[int, int]:
    storage: dict[int, int] = {}
    for key, value in words.items():
        slot = number(key, f"{where}.storage", 0, (1 << 256) - 1)
        if slot in storage:
            raise GenesisError(f"{where}.storage: slot {key} appears twice")
        storage[slot] = number(value, f"{where}.storage.{key}", 0, (1 << 256) - 1)
    return MappingProxyType({slot: word for slot, word in storage.items() if word})


def _format_allocation(account: Allocation) -> dict[str, Any]:
    result: dict[str, Any] = {"balance": hex(account.balance)}
    if account.nonce:
        result["nonce"] = hex(account.nonce)
    if account.code:
        result["code"] = "0x" + account.code.hex()
    words = {slot: word for slot, word in sorted(account.storage.items()) if word}
    if words:
        result["storage"] = {f"0x{slot:064x}": f"0x{word:064x}" for slot, word in words.items()}
    return result
