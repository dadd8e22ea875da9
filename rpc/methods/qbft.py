"""``qbft_``: validators and commit certificates (Besu's names where Besu has them)."""

from functools import partial

from chain.header import Header
from rpc import decode, encode
from rpc.context import NodeContext
from rpc.decode import Params, argument
from rpc.encode import Json
from rpc.errors import SERVER_ERROR, RpcError
from rpc.jsonrpc import Handler


def table(node: NodeContext) -> dict[str, Handler]:
    """The methods of this module."""
    handlers = {
        "qbft_getValidatorsByBlockNumber": _validators_by_number,
        "qbft_getValidatorsByBlockHash": _validators_by_hash,
        "qbft_getCommitCertificate": _certificate,
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
    if node.spec.assay is None:
        raise RpcError(SERVER_ERROR, "this chain has Ethereum's own rules and no validators")
    return [encode.data(address) for address in node.store.validators(header.number)]


def _certificate(node: NodeContext, params: Params) -> Json | None:
    """``{round, seals}`` of a block (number, tag or hash); null for genesis and unknown blocks."""
    header = argument(params, 0, node.chain.find)
    found = None if header is None else node.store.certificate(header.hash)
    if header is None or found is None:
        return None
    return {
        "blockHash": encode.data(header.hash),
        "blockNumber": hex(header.number),
        "round": hex(found.round),
        "seals": [encode.data(seal) for seal in found.seals],
    }


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
