"""``eth_``: sending transactions; sync status; methods without a meaning on this chain."""

from functools import partial
from typing import Final

from rpc import decode, encode
from rpc.context import NodeContext
from rpc.decode import Params, argument
from rpc.encode import Json
from rpc.errors import SYNC_TIMEOUT, RpcError
from rpc.hub import Hub
from rpc.jsonrpc import Handler
from rpc.methods.eth_blocks import receipt_of

DEFAULT_SYNC_TIMEOUT_MS: Final = 20_000
MAX_SYNC_TIMEOUT_MS: Final = 60_000


def table(node: NodeContext, hub: Hub) -> dict[str, Handler]:
    """The methods of this module."""
    return {
        "eth_sendRawTransaction": partial(_send_raw, node),
        "eth_sendRawTransactionSync": partial(_send_raw_sync, node, hub),
        "eth_pendingTransactions": partial(_pending_transactions, node),
        "eth_syncing": partial(_syncing, node),
        "eth_protocolVersion": partial(_protocol_version, node),
    }


async def _send_raw(node: NodeContext, params: Params) -> str:
    return encode.data(await node.submit(argument(params, 0, decode.data)))


async def _send_raw_sync(node: NodeContext, hub: Hub, params: Params) -> Json:
    """EIP-7966: answers with the receipt, or with error 4 and the hash when the time is over."""
    raw = argument(params, 0, decode.data)
    wanted = argument(params, 1, decode.uint64, DEFAULT_SYNC_TIMEOUT_MS)
    tx_hash = await node.submit(raw)
    timeout_ms = min(wanted or DEFAULT_SYNC_TIMEOUT_MS, MAX_SYNC_TIMEOUT_MS)
    await hub.included(tx_hash, timeout_ms / 1_000)
    receipt = receipt_of(node, tx_hash)
    if receipt is None:
        text = f"the transaction was added to the pool but not included within {timeout_ms} ms"
        raise RpcError(SYNC_TIMEOUT, text, encode.data(tx_hash))
    return receipt


def _pending_transactions(_: NodeContext, __: Params) -> list[Json]:
    return []  # of the node's own accounts, and it has none


def _syncing(node: NodeContext, _: Params) -> Json | bool:
    sync = None if node.consensus is None else node.consensus.syncing
    if sync is None:
        return False
    return {
        "startingBlock": hex(sync.starting),
        "currentBlock": hex(sync.current),
        "highestBlock": hex(sync.highest),
    }


def _protocol_version(node: NodeContext, _: Params) -> str:
    return hex(node.spec.qbft.protocol_version)
