"""``net_``, ``web3_`` and ``admin_``: who this node is and whom it knows."""

from functools import partial

from precompiles.hashing import keccak256
from rpc import decode, encode
from rpc.context import NodeContext
from rpc.decode import Params, argument
from rpc.encode import Json
from rpc.jsonrpc import Handler


def table(node: NodeContext) -> dict[str, Handler]:
    """The methods of this module."""
    handlers = {
        "net_version": _version,
        "net_listening": _listening,
        "net_peerCount": _peer_count,
        "web3_clientVersion": _client_version,
        "web3_sha3": _sha3,
        "admin_nodeInfo": _node_info,
        "admin_peers": _peers,
    }
    return {name: partial(handler, node) for name, handler in handlers.items()}


def _version(node: NodeContext, _: Params) -> str:
    return str(node.spec.chain_id)


def _listening(_: NodeContext, __: Params) -> bool:
    return True


def _peer_count(node: NodeContext, _: Params) -> str:
    return hex(0 if node.consensus is None else len(node.consensus.peers))


def _client_version(node: NodeContext, _: Params) -> str:
    return node.version


def _sha3(_: NodeContext, params: Params) -> str:
    return encode.data(keccak256(argument(params, 0, decode.data)))


def _node_info(node: NodeContext, _: Params) -> Json:
    """Geth's shape. ``enode`` is ``enode://NODE-ID@host:port``; the id is our 20-byte address."""
    address = "" if node.consensus is None else node.consensus.address.hex()
    head = node.chain.head()
    return {
        "id": address,
        "name": node.version,
        "enode": f"enode://{address}@{node.endpoint}",
        "listenAddr": node.endpoint,
        "protocols": {
            "assay": {
                "network": node.spec.chain_id,
                "genesis": encode.data(node.store.genesis_hash()),
                "head": encode.data(head.hash),
                "protocolVersion": node.spec.qbft.protocol_version,
            }
        },
    }


def _peers(node: NodeContext, _: Params) -> list[Json]:
    peers = () if node.consensus is None else node.consensus.peers
    return [
        {
            "id": peer.node_id.hex(),
            "name": peer.client,
            "network": {"remoteAddress": peer.address, "inbound": not peer.outbound},
            "protocols": {
                "assay": {
                    "height": peer.height,
                    "head": None if peer.head_hash is None else encode.data(peer.head_hash),
                }
            },
        }
        for peer in peers
    ]
