"""``hardhat_``: what Hardhat Ignition asks a development chain. Off on every other chain."""

from functools import partial

from precompiles.hashing import keccak256
from rpc import encode
from rpc.context import NodeContext
from rpc.decode import Params
from rpc.encode import Json
from rpc.jsonrpc import Handler


def table(node: NodeContext) -> dict[str, Handler]:
    """The methods of this module."""
    return {
        "hardhat_getAutomine": partial(_automine, node),
        "hardhat_metadata": partial(_metadata, node),
    }


def _automine(_: NodeContext, __: Params) -> bool:
    return False  # validators make blocks, no request does


def _metadata(node: NodeContext, _: Params) -> Json:
    """Equal ``instanceId`` means the same chain, also after a restart."""
    head, genesis = node.chain.head(), node.store.genesis_hash()
    return {
        "clientVersion": node.version,
        "chainId": node.spec.chain_id,
        "instanceId": encode.data(keccak256(b"assay instance" + genesis)),
        "latestBlockNumber": head.number,
        "latestBlockHash": encode.data(head.hash),
    }
