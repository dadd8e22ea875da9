"""Domain values -> JSON values, with the field names of the execution API specification.

A quantity is the shortest hex number, data is hex bytes of full length; addresses are lower case.
"""

from collections.abc import Sequence

from chain import rlp
from chain.blobs import GAS_PER_BLOB, blob_fee_of
from chain.blocks import Block, Withdrawal
from chain.header import FIELDS, Header
from chain.receipts import Receipt
from chain.transactions import AccessList, Authorization, Transaction
from genesis.forks import ForkSchedule
from precompiles.hashing import keccak256
from rpc.logs import LocatedLog

Json = dict[str, object]

_HEADER_NAMES = (
    "parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot",
    "logsBloom", "difficulty", "number", "gasLimit", "gasUsed", "timestamp", "extraData", "mixHash",
    "nonce", "baseFeePerGas", "withdrawalsRoot", "blobGasUsed", "excessBlobGas",
    "parentBeaconBlockRoot", "requestsHash",
)  # fmt: skip
"""In the order of ``chain.header.FIELDS``."""

_SHANGHAI_FIELDS = 17
_BLOB_TYPE = 3


def quantity(number: int) -> str:
    """Hex quantity without leading zeros."""
    return hex(number)


def data(value: bytes) -> str:
    """Hex bytes."""
    return "0x" + value.hex()


def word(number: int) -> str:
    """A 32-byte big-endian word."""
    return f"0x{number:064x}"


def header(value: Header) -> Json:
    """Fields of a block header, as in ``eth_subscribe`` newHeads; those that its fork has."""
    fields: Json = {"hash": data(value.hash)}
    for name, field in zip(_HEADER_NAMES, FIELDS[: value.field_count], strict=False):
        content = getattr(value, field)
        fields[name] = hex(content) if isinstance(content, int) else data(content)
    return fields


def block(value: Block, full: bool) -> Json:
    """A block as in ``eth_getBlockByNumber``.

    Args:
        value: a canonical block.
        full: transactions as objects instead of hashes.
    """
    transactions: list[object] = (
        [transaction(tx, value.header, i) for i, tx in enumerate(value.transactions)]
        if full
        else [data(tx.hash) for tx in value.transactions]
    )
    fields: Json = {
        **header(value.header),
        "size": hex(len(value.rlp)),
        "uncles": [data(ommer.hash) for ommer in value.ommers],
        "transactions": transactions,
    }
    if value.header.field_count >= _SHANGHAI_FIELDS:
        fields["withdrawals"] = [_withdrawal(entry) for entry in value.withdrawals]
    return fields


def uncle(value: Block, index: int) -> Json | None:
    """An ommer of a block, as a block without transactions; None beyond the last one."""
    if index >= len(value.ommers):
        return None
    ommer = value.ommers[index]
    return {**header(ommer), "size": hex(len(Block(ommer, ()).rlp)), "uncles": []}


def _withdrawal(value: Withdrawal) -> Json:
    return {
        "index": hex(value.index),
        "validatorIndex": hex(value.validator_index),
        "address": data(value.address),
        "amount": hex(value.amount),
    }


def transaction(tx: Transaction, included: Header | None = None, index: int = 0) -> Json:
    """A transaction with its place.

    Args:
        tx: any type.
        included: header of its block; None while it is pending.
        index: position in the block.
    """
    base_fee = None if included is None else included.base_fee_per_gas
    price = tx.gas_price if base_fee is None else tx.effective_gas_price(base_fee)
    fields: Json = {
        "blockHash": None if included is None else data(included.hash),
        "blockNumber": None if included is None else hex(included.number),
        "blockTimestamp": None if included is None else hex(included.timestamp),
        "transactionIndex": None if included is None else hex(index),
        "hash": data(tx.hash),
        "type": hex(tx.type),
        "nonce": hex(tx.nonce),
        "from": data(tx.sender),
        "to": None if tx.to is None else data(tx.to),
        "value": hex(tx.value),
        "gas": hex(tx.gas_limit),
        "gasPrice": hex(price),
        "input": data(tx.data),
        "v": hex(tx.v),
        "r": hex(tx.r),
        "s": hex(tx.s),
    }
    if tx.chain_id is not None:
        fields["chainId"] = hex(tx.chain_id)
    if tx.type >= 1:
        fields["accessList"] = access_list(tx.access_list)
        fields["yParity"] = hex(tx.y_parity)
    if tx.type >= 2:
        fields["maxFeePerGas"] = hex(tx.max_fee_per_gas)
        fields["maxPriorityFeePerGas"] = hex(tx.max_priority_fee_per_gas)
    if tx.type == _BLOB_TYPE:
        fields["maxFeePerBlobGas"] = hex(tx.max_fee_per_blob_gas)
        fields["blobVersionedHashes"] = [data(item) for item in tx.blob_versioned_hashes]
    if tx.type == 4:
        fields["authorizationList"] = [_authorization(item) for item in tx.authorization_list]
    return fields


def access_list(entries: AccessList) -> list[Json]:
    """An EIP-2930 access list."""
    return [
        {"address": data(address), "storageKeys": [word(slot) for slot in slots]}
        for address, slots in entries
    ]


def _authorization(item: Authorization) -> Json:
    return {
        "chainId": hex(item.chain_id),
        "address": data(item.address),
        "nonce": hex(item.nonce),
        "yParity": hex(item.y_parity),
        "r": hex(item.r),
        "s": hex(item.s),
    }


def log(value: LocatedLog) -> Json:
    """A log with its place."""
    return {
        "address": data(value.log.address),
        "topics": [data(topic) for topic in value.log.topics],
        "data": data(value.log.data),
        "blockHash": data(value.header.hash),
        "blockNumber": hex(value.header.number),
        "blockTimestamp": hex(value.header.timestamp),
        "transactionHash": data(value.transaction_hash),
        "transactionIndex": hex(value.transaction_index),
        "logIndex": hex(value.log_index),
        "removed": False,
    }


def receipt(value: Block, receipts: Sequence[Receipt], index: int, schedule: ForkSchedule) -> Json:
    """The receipt of one transaction.

    Args:
        value: its block.
        receipts: of the whole block: gas used and log indexes are differences.
        index: of the transaction.
        schedule: knows what blob gas cost.
    """
    first_log = sum(len(earlier.logs) for earlier in receipts[:index])
    return _receipt(value, receipts, index, first_log, schedule)


def receipts(value: Block, entries: Sequence[Receipt], schedule: ForkSchedule) -> list[Json]:
    """All receipts of a block; ``schedule`` knows what blob gas cost."""
    result, first_log = [], 0
    for index, entry in enumerate(entries):
        result.append(_receipt(value, entries, index, first_log, schedule))
        first_log += len(entry.logs)
    return result


def _receipt(
    value: Block, receipts: Sequence[Receipt], index: int, first_log: int, schedule: ForkSchedule
) -> Json:
    tx, own = value.transactions[index], receipts[index]
    before = receipts[index - 1].cumulative_gas_used if index else 0
    logs = [
        log(LocatedLog(entry, value.header, tx.hash, index, first_log + i))
        for i, entry in enumerate(own.logs)
    ]
    fields: Json = {
        "transactionHash": data(tx.hash),
        "transactionIndex": hex(index),
        "blockHash": data(value.header.hash),
        "blockNumber": hex(value.header.number),
        "from": data(tx.sender),
        "to": None if tx.to is None else data(tx.to),
        "cumulativeGasUsed": hex(own.cumulative_gas_used),
        "gasUsed": hex(own.cumulative_gas_used - before),
        "effectiveGasPrice": hex(tx.effective_gas_price(value.header.base_fee_per_gas)),
        "contractAddress": None
        if tx.to is not None
        else data(created_address(tx.sender, tx.nonce)),
        "logs": logs,
        "logsBloom": data(own.logs_bloom),
        "type": hex(own.type),
    }
    if own.post_state:
        fields["root"] = data(own.post_state)
    else:
        fields["status"] = hex(own.status)
    if tx.type == _BLOB_TYPE:
        fields["blobGasUsed"] = hex(GAS_PER_BLOB * len(tx.blob_versioned_hashes))
        fields["blobGasPrice"] = hex(blob_fee_of(schedule, value.header))
    return fields


def created_address(sender: bytes, nonce: int) -> bytes:
    """Address of the contract that a creation makes: keccak256(rlp([sender, nonce]))[12:]."""
    return keccak256(rlp.encode([sender, rlp.uint(nonce)]))[12:]
