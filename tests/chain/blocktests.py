"""Runs official ``blockchain_tests`` fixtures of Prague on chain.evm, mainnet rules around it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chain import rlp
from chain.blocks import Block, decode_block
from chain.errors import InvalidBlock, InvalidTransaction
from chain.evm.fork import computation_class
from chain.evm.precompiles import precompile_table
from chain.evm.requests import MAINNET_DEPOSIT_CONTRACT, collect_requests, requests_hash
from chain.evm.rules import GAS_PER_BLOB, MAX_BLOB_GAS, GasAvailable
from chain.evm.old_state import BlockEnvironment, WorldState
from chain.evm.transition import apply_transaction, system_call
from chain.execution import receipt_of
from chain.fees import next_base_fee
from chain.genesis_block import genesis_block
from chain.header import Header
from chain.receipts import receipts_root, transactions_root, union_bloom, withdrawals_root
from genesis.addresses import BEACON_ROOTS, HISTORY_STORAGE
from genesis.spec import Allocation, GenesisSpec
from precompiles.hashing import keccak256

TARGET_BLOB_GAS = 6 * GAS_PER_BLOB
COMPUTATION = computation_class(precompile_table({}))
_MAX_BLOCKS_BACK = 256


class Chain:
    """A chain of one fixture: nodes, headers and hashes in memory."""

    def __init__(self, fixture: dict[str, Any]) -> None:
        self.chain_id = int(fixture.get("config", {}).get("chainid", "0x1"), 16)
        spec = GenesisSpec(chain_id=self.chain_id, alloc=_allocations(fixture["pre"]))
        block, self.nodes = genesis_block(spec)
        genesis = decode_block(bytes.fromhex(fixture["genesisRLP"][2:]))
        assert genesis.header.state_root == block.header.state_root, "genesis state root"
        self.headers = {genesis.hash: genesis.header}
        self.head = genesis.header

    def import_block(self, encoded: bytes) -> None:
        """Execute a block and make it the head; InvalidBlock when it is not valid."""
        block = decode_block(encoded)
        parent = self.headers.get(block.header.parent_hash)
        if parent is None:
            raise InvalidBlock("unknown parent")
        _check_header(parent, block)
        results, nodes = self._execute(parent, block)
        for name, value in results.items():
            if getattr(block.header, name) != value:
                raise InvalidBlock(f"{name}: {getattr(block.header, name)!r} != {value!r}")
        self.nodes.update(nodes)
        self.headers[block.hash] = self.head = block.header

    def _execute(self, parent: Header, block: Block) -> tuple[dict[str, Any], dict[bytes, bytes]]:
        header = block.header
        environment = BlockEnvironment(
            self.chain_id,
            header.number,
            header.timestamp,
            header.gas_limit,
            header.coinbase,
            header.mix_hash,
            header.base_fee_per_gas,
            header.excess_blob_gas,
            lambda number: self._ancestor(parent, number),
        )
        state = WorldState(
            self.nodes.__getitem__, parent.state_root, environment, COMPUTATION.table
        )
        system_call(COMPUTATION, state, BEACON_ROOTS, header.parent_beacon_block_root)
        system_call(COMPUTATION, state, HISTORY_STORAGE, header.parent_hash)
        receipts, used, blob_gas = [], 0, 0
        for transaction in block.transactions:
            room = GasAvailable(header.gas_limit - used, 1 << 64, MAX_BLOB_GAS - blob_gas)
            try:
                outcome = apply_transaction(COMPUTATION, state, transaction, room)
            except InvalidTransaction as error:
                raise InvalidBlock(f"transaction: {error}") from None
            used += outcome.gas_used
            blob_gas += GAS_PER_BLOB * len(transaction.blob_versioned_hashes)
            receipts.append(receipt_of(transaction, outcome, used))
        state.begin_transaction()
        for withdrawal in block.withdrawals:
            state.delta_balance(withdrawal.address, withdrawal.amount * 10**9)
        state.finish_transaction()
        logs = [log for receipt in receipts for log in receipt.logs]
        requests = collect_requests(COMPUTATION, state, logs, MAINNET_DEPOSIT_CONTRACT)
        root, nodes, _, _ = state.change()
        results: dict[str, Any] = {
            "gas_used": used,
            "blob_gas_used": blob_gas,
            "transactions_root": transactions_root([tx.raw for tx in block.transactions]),
            "withdrawals_root": withdrawals_root([w.rlp for w in block.withdrawals]),
            "receipts_root": receipts_root(receipts),
            "logs_bloom": union_bloom([receipt.logs_bloom for receipt in receipts]),
            "requests_hash": requests_hash(requests),
            "state_root": root,
        }
        return results, nodes

    def _ancestor(self, parent: Header, number: int) -> bytes:
        header = parent
        for _ in range(_MAX_BLOCKS_BACK):
            if header.number == number:
                return header.hash
            header = self.headers[header.parent_hash]
        raise AssertionError(f"no ancestor {number}")


def run_fixture(fixture: dict[str, Any]) -> None:
    """Import all blocks; AssertionError when one is wrongly accepted, refused or computed."""
    chain = Chain(fixture)
    for index, block in enumerate(fixture["blocks"]):
        encoded = bytes.fromhex(block["rlp"][2:])
        if "expectException" not in block:
            chain.import_block(encoded)
            continue
        try:
            chain.import_block(encoded)
        except InvalidBlock:
            continue
        raise AssertionError(f"block {index} was accepted: {block['expectException']}")
    assert chain.head.hash.hex() == fixture["lastblockhash"][2:]


def fixtures_of(document: dict[str, Any], network: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Fixtures of one file for one network."""
    for name, fixture in document.items():
        if isinstance(fixture, dict) and fixture.get("network") == network:
            yield name, fixture


def fixture_folder() -> Path | None:
    """Folder of official fixtures beside the repository, None where there is none."""
    folder = Path(__file__).parents[3] / "shared" / "conformance" / "eest" / "blockchain_tests"
    return folder if folder.is_dir() else None


def _allocations(pre: dict[str, Any]) -> dict[bytes, Allocation]:
    return {
        bytes.fromhex(address[2:]): Allocation(
            balance=int(account["balance"], 16),
            nonce=int(account["nonce"], 16),
            code=bytes.fromhex(account["code"][2:]),
            storage={int(k, 16): int(v, 16) for k, v in account["storage"].items()},
        )
        for address, account in pre.items()
    }


def _check_header(parent: Header, block: Block) -> None:
    header = block.header
    excess = max(parent.excess_blob_gas + parent.blob_gas_used - TARGET_BLOB_GAS, 0)
    bound = parent.gas_limit // 1024
    rules = {
        "number": header.number == parent.number + 1,
        "timestamp": header.timestamp > parent.timestamp,
        "base fee": header.base_fee_per_gas == next_base_fee(parent),
        "gas limit": abs(header.gas_limit - parent.gas_limit) < bound and header.gas_limit >= 5000,
        "gas used": header.gas_used <= header.gas_limit,
        "excess blob gas": header.excess_blob_gas == excess,
        "difficulty": header.difficulty == 0 and header.nonce == bytes(8),
        "extra data": len(header.extra_data) <= 32,
        "ommers": header.ommers_hash == keccak256(rlp.encode([])),
    }
    for name, holds in rules.items():
        if not holds:
            raise InvalidBlock(name)
