"""``qbft_``: validators and commit certificates (Besu's names where Besu has them)."""

from functools import partial
from typing import Final

from chain.extra_data import sealed_extra_data
from chain.header import Header
from rpc import decode, encode
from rpc.context import NodeContext
from rpc.decode import Params, argument
from rpc.encode import Json
from rpc.errors import LIMIT_EXCEEDED, SERVER_ERROR, InvalidParams, RpcError
from rpc.jsonrpc import Handler

SIGNER_BLOCKS: Final = 100
"""Blocks that ``qbft_getSignerMetrics`` looks at unless it is told otherwise, as Besu."""
MAX_SIGNER_BLOCKS: Final = 10_000


def table(node: NodeContext) -> dict[str, Handler]:
    """The methods of this module."""
    handlers = {
        "qbft_getValidatorsByBlockNumber": _validators_by_number,
        "qbft_getValidatorsByBlockHash": _validators_by_hash,
        "qbft_getCommitCertificate": _certificate,
        "qbft_getSignerMetrics": _signer_metrics,
        "qbft_getRequestTimeoutSeconds": _request_timeout,
        "qbft_status": _status,
    }
    return {name: partial(handler, node) for name, handler in handlers.items()}


def _validators_by_number(node: NodeContext, params: Params) -> list[str] | None:
    return _validators(node, node.chain.header(argument(params, 0, decode.block_tag)))


def _validators_by_hash(node: NodeContext, params: Params) -> list[str] | None:
    return _validators(node, node.store.header(argument(params, 0, decode.hash32)))


def _validators(node: NodeContext, header: Header | None) -> list[str] | None:
    """The set after a block: who decides the next one; null for an unknown block."""
    if header is None:
        return None
    _qbft_only(node)
    return [encode.data(address) for address in node.store.validators(header.number)]


def _certificate(node: NodeContext, params: Params) -> Json | None:
    """Round, seals and SEALED extraData of a block (number, tag or hash); else null.

    Null for genesis and unknown blocks. ``extraData`` in place of the header's own gives the SEALED
    header (docs/spec/header-and-seals.md).
    """
    header = argument(params, 0, node.chain.find)
    found = None if header is None else node.store.certificate(header.hash)
    if header is None or found is None:
        return None
    return {
        "blockHash": encode.data(header.hash),
        "blockNumber": hex(header.number),
        "round": hex(found.round),
        "seals": [encode.data(seal) for seal in found.seals],
        "extraData": encode.data(sealed_extra_data(header, found)),
    }


async def _signer_metrics(node: NodeContext, params: Params) -> list[Json]:
    """Who proposed how many of the blocks ``[from, to)``; Besu's default is the last 100.

    The validators after the last of these blocks are listed even if they proposed none.
    """
    head = node.chain.head().number
    first = argument(params, 0, decode.block_tag, max(0, head - SIGNER_BLOCKS))
    end = argument(params, 1, decode.block_tag, head)
    start, stop = node.chain.number(first), min(node.chain.number(end), head)
    if start >= stop:
        raise InvalidParams(f"from block {start} is not before block {stop}")
    if stop - start > MAX_SIGNER_BLOCKS:
        text = f"query exceeds max block range {MAX_SIGNER_BLOCKS}, got {stop - start}"
        raise RpcError(LIMIT_EXCEEDED, text)
    _qbft_only(node)
    return await node.chain.background(_count_proposers, node, start, stop)


def _count_proposers(node: NodeContext, start: int, stop: int) -> list[Json]:
    counts: dict[bytes, int] = {}
    last: dict[bytes, int] = {}
    for number in range(start, stop):
        header = node.store.header_by_number(number)
        if header is not None:
            counts[header.coinbase] = counts.get(header.coinbase, 0) + 1
            last[header.coinbase] = number
    members = dict.fromkeys(node.store.validators(stop - 1), 0)
    return [
        {
            "address": encode.data(address),
            "proposedBlockCount": hex(count),
            "lastProposedBlockNumber": hex(last.get(address, 0)),
        }
        for address, count in sorted((members | counts).items())
    ]


def _request_timeout(node: NodeContext, _: Params) -> int:
    """Time of round 0 in whole seconds, a plain number as in Besu; at least 1."""
    _qbft_only(node)
    return max(1, node.spec.qbft.request_timeout_ms // 1000)


def _qbft_only(node: NodeContext) -> None:
    if node.spec.assay is None:
        raise RpcError(SERVER_ERROR, "this chain has Ethereum's own rules and no validators")


def _status(node: NodeContext, _: Params) -> Json:
    """What consensus does right now."""
    consensus = node.consensus
    if consensus is None:
        raise RpcError(SERVER_ERROR, "this node takes no part in consensus")
    return {
        "address": encode.data(consensus.address),
        "height": hex(consensus.height),
        "round": hex(consensus.round),
        "validators": [encode.data(address) for address in consensus.validators],
        "voting": consensus.voting,
        "syncing": consensus.syncing is not None,
        "diverged": consensus.diverged,
        "peers": hex(len(consensus.peers)),
    }
