"""``txpool_``: the pool of this node."""

from functools import partial

from chain.transactions import Transaction
from rpc import decode, encode
from rpc.context import NodeContext
from rpc.decode import Params, argument
from rpc.encode import Json
from rpc.jsonrpc import Handler

_Part = dict[bytes, dict[int, Transaction]]


def table(node: NodeContext) -> dict[str, Handler]:
    """The methods of this module."""
    handlers = {
        "txpool_status": _status,
        "txpool_content": _content,
        "txpool_contentFrom": _content_from,
        "txpool_inspect": _inspect,
    }
    return {name: partial(handler, node) for name, handler in handlers.items()}


def _status(node: NodeContext, _: Params) -> Json:
    pending, queued = node.mempool.counts()
    return {"pending": hex(pending), "queued": hex(queued)}


async def _content(node: NodeContext, _: Params) -> Json:
    pending, queued = node.mempool.content()
    return {
        "pending": await node.chain.background(_by_sender, pending),
        "queued": await node.chain.background(_by_sender, queued),
    }


def _by_sender(part: _Part) -> Json:
    return {encode.data(sender): _by_nonce(waiting) for sender, waiting in part.items()}


def _by_nonce(waiting: dict[int, Transaction]) -> Json:
    return {str(nonce): encode.transaction(tx) for nonce, tx in waiting.items()}


def _content_from(node: NodeContext, params: Params) -> Json:
    sender = argument(params, 0, decode.address)
    pending, queued = node.mempool.content()
    return {
        "pending": _by_nonce(pending.get(sender, {})),
        "queued": _by_nonce(queued.get(sender, {})),
    }


async def _inspect(node: NodeContext, _: Params) -> Json:
    pending, queued = node.mempool.content()
    return {
        "pending": await node.chain.background(_summaries, pending),
        "queued": await node.chain.background(_summaries, queued),
    }


def _summaries(part: _Part) -> Json:
    return {
        encode.data(sender): {str(nonce): _summary(tx) for nonce, tx in waiting.items()}
        for sender, waiting in part.items()
    }


def _summary(tx: Transaction) -> str:
    """Geth's text."""
    to = "contract creation" if tx.to is None else encode.data(tx.to)
    return f"{to}: {tx.value} wei + {tx.gas_limit} gas × {tx.gas_price} wei"
