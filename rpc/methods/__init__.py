"""One table of thin handlers per namespace; `method_table` joins them."""

from rpc.context import NodeContext
from rpc.hub import Hub
from rpc.jsonrpc import Methods
from rpc.methods import (
    dev,
    eth_blocks,
    eth_call,
    eth_config,
    eth_logs,
    eth_send,
    eth_state,
    inference,
    net,
    qbft,
    txpool,
)


def method_table(node: NodeContext, hub: Hub) -> Methods:
    """Every method of this node by name. What is not here answers -32601."""
    return {
        **(dev.table(node) if node.dev else {}),
        **eth_blocks.table(node),
        **eth_state.table(node),
        **eth_call.table(node),
        **eth_config.table(node),
        **eth_logs.table(node, hub),
        **eth_send.table(node, hub),
        **net.table(node),
        **txpool.table(node),
        **qbft.table(node),
        **inference.table(node),
        "rpc_modules": lambda _: {
            name: "1.0" for name in ("admin", "eth", "inference", "net", "qbft", "txpool", "web3")
        },
    }
