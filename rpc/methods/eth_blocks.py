"""``eth_``: blocks, transactions, receipts, fees. Read in the node process; no EVM is needed."""

from functools import partial
from typing import Final

from chain.blobs import blob_fee_of
from chain.blocks import Block
from chain.fees import next_base_fee
from chain.header import Header
from chain.transactions import Transaction
from rpc import decode, encode
from rpc.context import NodeContext
from rpc.decode import Params, argument
from rpc.encode import Json
from rpc.errors import InvalidParams
from rpc.fees import fee_history, gas_price, suggest_tip
from rpc.jsonrpc import Handler

MAX_PERCENTILES: Final = 100


def table(node: NodeContext) -> dict[str, Handler]:
    """The methods of this module."""
    handlers = {
        "eth_chainId": _chain_id,
        "eth_blockNumber": _block_number,
        "eth_getBlockByNumber": _block_by_number,
        "eth_getBlockByHash": _block_by_hash,
        "eth_getHeaderByNumber": _header_by_number,
        "eth_getHeaderByHash": _header_by_hash,
        "eth_getBlockTransactionCountByNumber": _count_by_number,
        "eth_getBlockTransactionCountByHash": _count_by_hash,
        "eth_getUncleCountByBlockNumber": _uncles_by_number,
        "eth_getUncleCountByBlockHash": _uncles_by_hash,
        "eth_getUncleByBlockNumberAndIndex": _uncle_by_number,
        "eth_getUncleByBlockHashAndIndex": _uncle_by_hash,
        "eth_getTransactionByHash": _transaction_by_hash,
        "eth_getRawTransactionByHash": _raw_transaction_by_hash,
        "eth_getTransactionByBlockNumberAndIndex": _transaction_by_number,
        "eth_getTransactionByBlockHashAndIndex": _transaction_by_block_hash,
        "eth_getTransactionReceipt": _receipt,
        "eth_getBlockReceipts": _block_receipts,
        "eth_gasPrice": _gas_price,
        "eth_maxPriorityFeePerGas": _max_priority_fee,
        "eth_baseFee": _base_fee,
        "eth_blobBaseFee": _blob_base_fee,
        "eth_feeHistory": _fee_history,
    }
    return {name: partial(handler, node) for name, handler in handlers.items()}


def _chain_id(node: NodeContext, _: Params) -> str:
    return hex(node.spec.chain_id)


def _block_number(node: NodeContext, _: Params) -> str:
    return hex(node.store.head().number)


def _by_number(node: NodeContext, params: Params) -> Block | None:
    header = _find_by_number(node, params)
    return None if header is None else node.chain.block(header.hash)


def _find_by_number(node: NodeContext, params: Params) -> Header | None:
    return node.chain.header(argument(params, 0, decode.block_tag))


def _by_hash(node: NodeContext, params: Params) -> Block | None:
    return node.chain.block(argument(params, 0, decode.hash32))


def _block_by_number(node: NodeContext, params: Params) -> Json | None:
    full = argument(params, 1, decode.flag, False)
    block = _by_number(node, params)
    return None if block is None else encode.block(block, full)


def _block_by_hash(node: NodeContext, params: Params) -> Json | None:
    full = argument(params, 1, decode.flag, False)
    block = _by_hash(node, params)
    return None if block is None else encode.block(block, full)


def _header_by_number(node: NodeContext, params: Params) -> Json | None:
    header = _find_by_number(node, params)
    return None if header is None else encode.header(header)


def _header_by_hash(node: NodeContext, params: Params) -> Json | None:
    header = node.store.header(argument(params, 0, decode.hash32))
    return None if header is None else encode.header(header)


def _count_by_number(node: NodeContext, params: Params) -> str | None:
    block = _by_number(node, params)
    return None if block is None else hex(len(block.transactions))


def _count_by_hash(node: NodeContext, params: Params) -> str | None:
    block = _by_hash(node, params)
    return None if block is None else hex(len(block.transactions))


def _uncles_by_number(node: NodeContext, params: Params) -> str | None:
    block = _by_number(node, params)
    return None if block is None else hex(len(block.ommers))


def _uncles_by_hash(node: NodeContext, params: Params) -> str | None:
    block = _by_hash(node, params)
    return None if block is None else hex(len(block.ommers))


def _uncle_by_number(node: NodeContext, params: Params) -> Json | None:
    block, index = _by_number(node, params), argument(params, 1, decode.uint64)
    return None if block is None else encode.uncle(block, index)


def _uncle_by_hash(node: NodeContext, params: Params) -> Json | None:
    block, index = _by_hash(node, params), argument(params, 1, decode.uint64)
    return None if block is None else encode.uncle(block, index)


def _find_transaction(node: NodeContext, tx_hash: bytes) -> tuple[Transaction, Block, int] | None:
    location = node.store.transaction_location(tx_hash)
    block = None if location is None else node.chain.block(location[0])
    if location is None or block is None:
        return None
    return block.transactions[location[1]], block, location[1]


def _transaction_by_hash(node: NodeContext, params: Params) -> Json | None:
    tx_hash = argument(params, 0, decode.hash32)
    mined = _find_transaction(node, tx_hash)
    if mined is not None:
        tx, block, index = mined
        return encode.transaction(tx, block.header, index)
    pending = node.mempool.get(tx_hash)
    return None if pending is None else encode.transaction(pending)


def _raw_transaction_by_hash(node: NodeContext, params: Params) -> str | None:
    tx_hash = argument(params, 0, decode.hash32)
    mined = _find_transaction(node, tx_hash)
    tx = node.mempool.get(tx_hash) if mined is None else mined[0]
    return None if tx is None else encode.data(tx.raw)


def _transaction_in(block: Block | None, params: Params) -> Json | None:
    index = argument(params, 1, decode.uint64)
    if block is None or index >= len(block.transactions):
        return None
    return encode.transaction(block.transactions[index], block.header, index)


def _transaction_by_number(node: NodeContext, params: Params) -> Json | None:
    return _transaction_in(_by_number(node, params), params)


def _transaction_by_block_hash(node: NodeContext, params: Params) -> Json | None:
    return _transaction_in(_by_hash(node, params), params)


def receipt_of(node: NodeContext, tx_hash: bytes) -> Json | None:
    """Receipt of a mined transaction; None when it is pending or unknown."""
    location = node.store.transaction_location(tx_hash)
    executed = None if location is None else node.chain.executed(location[0])
    if location is None or executed is None:
        return None
    return encode.receipt(*executed, location[1], node.spec.schedule)


def _receipt(node: NodeContext, params: Params) -> Json | None:
    return receipt_of(node, argument(params, 0, decode.hash32))


def _block_receipts(node: NodeContext, params: Params) -> list[Json] | None:
    header = argument(params, 0, node.chain.find, None)
    executed = None if header is None else node.chain.executed(header.hash)
    return None if executed is None else encode.receipts(*executed, node.spec.schedule)


def _gas_price(node: NodeContext, _: Params) -> str:
    return hex(gas_price(node.chain))


def _max_priority_fee(node: NodeContext, _: Params) -> str:
    return hex(suggest_tip(node.chain))


def _base_fee(node: NodeContext, _: Params) -> str:
    return hex(next_base_fee(node.store.head()))


def _blob_base_fee(node: NodeContext, _: Params) -> str:
    return hex(blob_fee_of(node.spec.schedule, node.store.head()))


async def _fee_history(node: NodeContext, params: Params) -> Json:
    count = argument(params, 0, decode.uint64)
    newest = node.chain.number(argument(params, 1, decode.block_tag))
    percentiles = argument(params, 2, _percentiles, ())
    return await node.chain.background(
        fee_history, node.chain, node.spec.schedule, count, newest, percentiles
    )


def _percentiles(value: object) -> tuple[float, ...]:
    """Ascending percentages in [0, 100]."""
    numbers = decode.sequence(value)
    if len(numbers) > MAX_PERCENTILES:
        raise InvalidParams(f"{len(numbers)} percentiles, limit {MAX_PERCENTILES}")
    previous, result = 0.0, []
    for number in numbers:
        if not isinstance(number, int | float) or not previous <= number <= 100:
            raise InvalidParams(
                f"invalid reward percentile {decode.shorten(number)}: ascending, 0 to 100"
            )
        previous = float(number)
        result.append(previous)
    return tuple(result)
