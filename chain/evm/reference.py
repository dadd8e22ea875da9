"""The reference switch: one block through py-evm as well, and every result compared.

Slow (one to two orders of magnitude) and complete: state, receipts, gas, bloom, requests. py-evm is
imported here and in its neighbours only, and only when somebody asks for the comparison.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

import rlp
from eth.db.atomic import AtomicDB
from eth.db.backends.base import BaseDB
from eth.db.chain import ChainDB
from eth.exceptions import PyEVMError
from eth.vm.chain_context import ChainContext
from eth.vm.execution_context import ExecutionContext
from eth_utils.exceptions import ValidationError

from chain.blobs import blob_fee_of
from chain.blocks import Block
from chain.errors import ChainError
from chain.evm.precompiled.native import default_natives
from chain.evm.reference_vm import machine_class
from chain.header import Header
from chain.machine import NodeSource, ancestors_of
from chain.requests import ExecutedBlock
from chain.trie import ordered_root
from genesis.forks import Fork
from genesis.spec import GenesisSpec
from precompiles.context import NativeAccount
from precompiles.hashing import keccak256

_FARTHEST_ANCESTOR: Final = 256
_DEPOSIT_EVENT: Final = keccak256(b"DepositEvent(bytes,bytes,bytes,bytes,bytes)")
_DEPOSIT_PARTS: Final = ((192, 240), (288, 320), (352, 360), (416, 512), (544, 552))


class ReferenceMismatch(ChainError):
    """Our execution and py-evm's differ; the text gives both values, ours first."""


def check_against_reference(
    spec: GenesisSpec,
    parent: Header,
    block: Block,
    source: NodeSource,
    executed: ExecutedBlock,
    natives: Mapping[bytes, NativeAccount] | None = None,
) -> None:
    """Run ``block`` through py-evm and compare; call it in a thread with a deep stack.

    Args:
        spec: the genesis.
        parent: header of the block before; its state is read from ``source``.
        block: valid, with its transactions.
        source: trie nodes, codes and ancestors up to the parent.
        executed: what our own EVM made of the block.
        natives: native accounts; None for this chain's.

    Raises:
        ReferenceMismatch: naming the field and both values.
    """
    own = executed.block.header
    try:
        theirs = reference_results(spec, parent, block, source, natives)
    except (PyEVMError, ValidationError, rlp.exceptions.RLPException) as error:
        raise ReferenceMismatch(
            f"block {block.number}: ours is valid, py-evm: {type(error).__name__}: {error}"
        ) from error
    for name, value in theirs.items():
        ours = getattr(own, name)
        if ours != value:
            raise ReferenceMismatch(
                f"block {block.number}: {name}: ours {_show(ours)}, py-evm {_show(value)}"
            )


def reference_results(
    spec: GenesisSpec,
    parent: Header,
    block: Block,
    source: NodeSource,
    natives: Mapping[bytes, NativeAccount] | None = None,
) -> dict[str, int | bytes]:
    """Header fields as py-evm computes them: gas, roots, bloom and, from Prague, requests.

    Raises:
        ValidationError, PyEVMError, RLPException: py-evm does not take the block.
    """
    header = block.header
    fork = spec.schedule.fork(header.number, header.timestamp)
    if natives is None:
        natives = {} if spec.assay is None else default_natives()
    machine = machine_class(fork, natives, blob_fee_of(spec.schedule, header))
    theirs = rlp.decode(block.rlp, sedes=machine.block_class)
    database = AtomicDB(_ReadThrough(source))
    start = theirs.header.copy(gas_used=0, state_root=parent.state_root)
    if fork >= Fork.CANCUN:
        start = start.copy(blob_gas_used=0)
    vm = machine(start, ChainDB(database), ChainContext(spec.chain_id), None)
    vm._state = machine._state_class(
        database, _context(spec, parent, header, source), parent.state_root
    )
    vm.block_preprocessing(theirs)
    end, receipts, _ = vm.apply_all_transactions(theirs.transactions, start)
    if block.withdrawals:
        vm.apply_all_withdrawals(theirs.withdrawals)
    if fork < Fork.PARIS:
        vm._assign_block_rewards(theirs)
    results: dict[str, int | bytes] = {}
    if fork >= Fork.PRAGUE:
        results["requests_hash"] = _requests_hash(spec, vm, theirs, receipts)
    vm.state.persist()
    if fork >= Fork.CANCUN:
        results["blob_gas_used"] = end.blob_gas_used
    return results | {
        "gas_used": end.gas_used,
        "logs_bloom": end.bloom.to_bytes(256, "big"),
        "receipts_root": ordered_root([receipt.encode() for receipt in receipts]),
        "state_root": vm.state.state_root,
    }


def _context(spec: GenesisSpec, parent: Header, header: Header, source: NodeSource) -> Any:
    return ExecutionContext(
        coinbase=header.coinbase,
        timestamp=header.timestamp,
        block_number=header.number,
        difficulty=header.difficulty,
        mix_hash=header.mix_hash,
        gas_limit=header.gas_limit,
        prev_hashes=_ancestors(parent, source),
        chain_id=spec.chain_id,
        base_fee_per_gas=header.base_fee_per_gas,
        excess_blob_gas=header.excess_blob_gas,
    )


def _ancestors(parent: Header, source: NodeSource) -> Iterator[bytes]:
    """Hashes from the parent backwards, read as far as BLOCKHASH asks."""
    ancestor_hash = ancestors_of(parent, source)
    for number in range(parent.number, max(parent.number - _FARTHEST_ANCESTOR, -1), -1):
        yield ancestor_hash(number)


def _requests_hash(spec: GenesisSpec, vm: Any, block: Any, receipts: Any) -> bytes:
    """Requests of the block as py-evm collects them, at this chain's deposit contract."""
    deposits = b"".join(
        [
            log.data[start:stop]
            for receipt in receipts
            for log in receipt.logs
            if log.address == spec.deposit_contract
            and log.topics
            and log.topics[0] == int.from_bytes(_DEPOSIT_EVENT, "big")
            for start, stop in _DEPOSIT_PARTS
        ]
    )
    vm.process_withdrawal_request_data(block)
    vm.process_consolidation_request_data(block)
    requests = [b"\x00" + deposits, *block.block_requests]
    digests = [hashlib.sha256(item).digest() for item in requests if len(item) > 1]
    return hashlib.sha256(b"".join(digests)).digest()


class _ReadThrough(BaseDB):  # type: ignore[misc]  # py-evm ships no types
    """Trie nodes and codes of a source; what py-evm writes stays in memory."""

    def __init__(self, source: NodeSource) -> None:
        self._source, self._written = source, dict[bytes, bytes]()

    def __getitem__(self, key: bytes) -> bytes:
        if key in self._written:
            return self._written[key]
        if len(key) != 32:
            raise KeyError(key)
        return self._source.node(key)

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self._written[key] = value

    def __delitem__(self, key: bytes) -> None:
        self._written.pop(key, None)

    def _exists(self, key: bytes) -> bool:
        try:
            self[key]
        except KeyError:
            return False
        return True


def _show(value: int | bytes) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)
