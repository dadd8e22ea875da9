"""What runs messages on a state: block environment, limits, precompiles, interpreter.

Blocks (``chain.execution``) and simulated calls (``chain.simulation``) both start here.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Protocol

from chain.blobs import GAS_PER_BLOB, blob_fee_of
from chain.blocks import Block
from chain.errors import ExecutorFault
from chain.evm.environment import BlockEnvironment
from chain.evm.frame import Interpret, Precompile
from chain.evm.interpreter import interpret
from chain.evm.precompiled.table import precompiles_of
from chain.evm.state import WorldState
from chain.evm.state_cache import StateCache
from chain.evm.transition import BlockMachine
from chain.header import Header
from genesis.forks import Fork
from genesis.spec import GenesisSpec
from precompiles.context import NativeAccount


class NodeSource(Protocol):
    """What execution reads; ``chain.store.Store`` is one."""

    def node(self, digest: bytes) -> bytes:
        """Trie node or code by keccak256; raises KeyError when absent."""

    def canonical_hash(self, number: int) -> bytes | None:
        """Hash of the block at a height, None above the head."""

    def block(self, block_hash: bytes) -> Block | None:
        """A block by hash, None when it is unknown."""


def environment_of(
    spec: GenesisSpec, header: Header, ancestor_hash: Callable[[int], bytes]
) -> BlockEnvironment:
    """What opcodes see of the block with this (draft) header."""
    fork = spec.schedule.fork(header.number, header.timestamp)
    mix = int.from_bytes(header.mix_hash, "big")
    return BlockEnvironment(
        chain_id=spec.chain_id,
        fork=fork,
        number=header.number,
        timestamp=header.timestamp,
        gas_limit=header.gas_limit,
        coinbase=header.coinbase,
        prev_randao=mix if fork >= Fork.PARIS else header.difficulty,
        base_fee_per_gas=header.base_fee_per_gas,
        blob_base_fee=blob_fee_of(spec.schedule, header),
        ancestor_hash=ancestor_hash,
    )


def ancestors_of(parent: Header, source: NodeSource) -> Callable[[int], bytes]:
    """Hashes of ``parent`` and the canonical blocks before it, by height."""

    def ancestor_hash(number: int) -> bytes:
        if number == parent.number:
            return parent.hash
        if number == parent.number - 1:
            return parent.parent_hash
        found = source.canonical_hash(number)
        if found is None:
            raise ExecutorFault(f"block {number} is not in the database")
        return found

    return ancestor_hash


def blob_gas_limit(spec: GenesisSpec, timestamp: int) -> int | None:
    """Blob gas of a block at most; None on chains without blobs and before Cancun."""
    blobs = spec.schedule.blob_parameters(timestamp)
    return None if spec.assay is not None or blobs is None else blobs.max * GAS_PER_BLOB


def machine_of(
    spec: GenesisSpec,
    environment: BlockEnvironment,
    source: NodeSource,
    state_root: bytes,
    natives: Mapping[bytes, NativeAccount] | None = None,
    interpreter: Interpret = interpret,
    cache: StateCache | None = None,
) -> BlockMachine:
    """State at a root and everything that runs messages on it.

    Args:
        spec: the genesis.
        environment: of the block.
        source: trie nodes and codes.
        state_root: state to start from.
        natives: native accounts; None for this chain's.
        interpreter: of bytecode; another one traces.
        cache: what earlier blocks of this process left; None for none.
    """
    table = _precompiles(spec, environment.fork, natives)
    return BlockMachine(
        WorldState(source.node, state_root, table, cache), environment, table, interpreter
    )


def _precompiles(
    spec: GenesisSpec, fork: Fork, natives: Mapping[bytes, NativeAccount] | None
) -> Mapping[bytes, Precompile]:
    if natives is not None:
        return precompiles_of(fork, natives)
    return _own_precompiles(fork, spec.assay is not None)


@cache
def _own_precompiles(fork: Fork, is_assay: bool) -> Mapping[bytes, Precompile]:
    if not is_assay:
        return precompiles_of(fork, {})
    from precompiles.table import NATIVE_ACCOUNTS  # loads numba

    return precompiles_of(fork, NATIVE_ACCOUNTS)
