"""``eth_config``: what this node holds for the rules of the current, next and last fork (EIP-7910).

Beyond Ethereum's own, an Assay chain names its native accounts among the precompiled contracts and
its validator set among the system contracts.
"""

from functools import partial
from typing import Final
from zlib import crc32

from genesis.addresses import (
    BEACON_ROOTS,
    CONSOLIDATION_REQUESTS,
    HISTORY_STORAGE,
    INFERENCE,
    MODEL_REGISTRY,
    VALIDATOR_SET,
    WITHDRAWAL_REQUESTS,
)
from genesis.forks import Fork, ForkSchedule
from genesis.spec import GenesisSpec
from rpc import encode
from rpc.context import NodeContext
from rpc.decode import Params
from rpc.encode import Json
from rpc.jsonrpc import Handler

_PRECOMPILES: Final = (
    (Fork.FRONTIER, 0x01, "ECREC"),
    (Fork.FRONTIER, 0x02, "SHA256"),
    (Fork.FRONTIER, 0x03, "RIPEMD160"),
    (Fork.FRONTIER, 0x04, "ID"),
    (Fork.BYZANTIUM, 0x05, "MODEXP"),
    (Fork.BYZANTIUM, 0x06, "BN254_ADD"),
    (Fork.BYZANTIUM, 0x07, "BN254_MUL"),
    (Fork.BYZANTIUM, 0x08, "BN254_PAIRING"),
    (Fork.ISTANBUL, 0x09, "BLAKE2F"),
    (Fork.CANCUN, 0x0A, "KZG_POINT_EVALUATION"),
    (Fork.PRAGUE, 0x0B, "BLS12_G1ADD"),
    (Fork.PRAGUE, 0x0C, "BLS12_G1MSM"),
    (Fork.PRAGUE, 0x0D, "BLS12_G2ADD"),
    (Fork.PRAGUE, 0x0E, "BLS12_G2MSM"),
    (Fork.PRAGUE, 0x0F, "BLS12_PAIRING_CHECK"),
    (Fork.PRAGUE, 0x10, "BLS12_MAP_FP_TO_G1"),
    (Fork.PRAGUE, 0x11, "BLS12_MAP_FP2_TO_G2"),
    (Fork.OSAKA, 0x100, "P256VERIFY"),
)


def table(node: NodeContext) -> dict[str, Handler]:
    """The methods of this module."""
    return {"eth_config": partial(_config, node)}


def _config(node: NodeContext, _: Params) -> Json:
    return fork_configs(node.spec, node.store.genesis_hash(), node.store.head().timestamp)


def fork_configs(spec: GenesisSpec, genesis_hash: bytes, timestamp: int) -> Json:
    """``current``, ``next`` and ``last``; the latter two are null when no fork is scheduled.

    Args:
        spec: the genesis.
        genesis_hash: of block 0.
        timestamp: of the newest block.
    """
    times = spec.schedule.change_times()
    later = [start for start in times if start > timestamp]
    current = max((start for start in times if start <= timestamp), default=0)
    return {
        "current": _fork_config(spec, genesis_hash, current),
        "next": _fork_config(spec, genesis_hash, later[0]) if later else None,
        "last": _fork_config(spec, genesis_hash, later[-1]) if later else None,
    }


def fork_hash(genesis_hash: bytes, schedule: ForkSchedule, genesis_time: int, time: int) -> bytes:
    """FORK_HASH once every fork by block number and every one up to ``time`` holds (EIP-6122).

    Args:
        genesis_hash: 32 bytes.
        schedule: block numbers and timestamps; those of one block or time count once, those of
            the genesis block not at all.
        genesis_time: timestamp of the genesis block.
        time: Unix seconds.

    Returns:
        4 bytes.
    """
    blocks = sorted({start for start, _ in schedule.blocks if start})
    times = [start for start in schedule.change_times() if genesis_time < start <= time]
    checksum = crc32(genesis_hash)
    for start in (*blocks, *times):
        checksum = crc32(start.to_bytes(8, "big"), checksum)
    return checksum.to_bytes(4, "big")


def _fork_config(spec: GenesisSpec, genesis_hash: bytes, start: int) -> Json:
    """Rules in force from the timestamp ``start`` on, long after the last fork by block number."""
    fork = spec.schedule.fork(spec.schedule.blocks[-1][0], start)
    blobs = spec.schedule.blob_parameters(start)
    return {
        "activationTime": 0 if start <= spec.timestamp else start,
        "blobSchedule": None
        if blobs is None
        else {
            "baseFeeUpdateFraction": blobs.base_fee_update_fraction,
            "max": blobs.max,
            "target": blobs.target,
        },
        "chainId": hex(spec.chain_id),
        "forkId": encode.data(fork_hash(genesis_hash, spec.schedule, spec.timestamp, start)),
        "precompiles": _named(_precompiles(spec, fork)),
        "systemContracts": _named(_system_contracts(spec, fork)),
    }


def _precompiles(spec: GenesisSpec, fork: Fork) -> dict[str, bytes]:
    names = {
        name: number.to_bytes(20, "big") for first, number, name in _PRECOMPILES if fork >= first
    }
    if spec.assay is not None:
        names |= {"INFERENCE": INFERENCE, "MODEL_REGISTRY": MODEL_REGISTRY}
    return names


def _system_contracts(spec: GenesisSpec, fork: Fork) -> dict[str, bytes]:
    names: dict[str, bytes] = {}
    if fork >= Fork.CANCUN:
        names["BEACON_ROOTS_ADDRESS"] = BEACON_ROOTS
    if fork >= Fork.PRAGUE:
        names["CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS"] = CONSOLIDATION_REQUESTS
        if spec.deposit_contract is not None:
            names["DEPOSIT_CONTRACT_ADDRESS"] = spec.deposit_contract
        names["HISTORY_STORAGE_ADDRESS"] = HISTORY_STORAGE
        names["WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS"] = WITHDRAWAL_REQUESTS
    if spec.assay is not None:
        names["VALIDATOR_SET_ADDRESS"] = VALIDATOR_SET
    return names


def _named(addresses: dict[str, bytes]) -> Json:
    return {name: encode.data(addresses[name]) for name in sorted(addresses)}
