"""``assay node``: one validator, or a node that only follows."""

import logging
from pathlib import Path

import click

from tools.commands.history import history_of, history_options

EXISTING = click.Path(path_type=Path, dir_okay=False, exists=True)
PORT = click.IntRange(0, 65535)


@click.command()
@click.option("--genesis", type=EXISTING, required=True, help="Genesis file.")
@click.option(
    "--datadir",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder of the node: database, journal, keys.",
)
@click.option(
    "--nodekey",
    type=EXISTING,
    help="Key file (plain hex or keystore v3); default: DATADIR/nodekey, made when missing.",
)
@click.option("--password", "password_file", type=EXISTING, help="Password of an encrypted key.")
@click.option("--http.addr", "http_host", default="127.0.0.1", show_default=True)
@click.option("--http.port", "http_port", type=PORT, default=8545, show_default=True)
@click.option("--addr", "p2p_host", default="127.0.0.1", show_default=True, help="P2P address.")
@click.option("--port", "p2p_port", type=PORT, default=30303, show_default=True, help="P2P port.")
@click.option("--bootnodes", default="", help="Comma-separated [NODEID@]HOST:PORT.")
@click.option(
    "--maxpeers", "max_peers", type=click.IntRange(1, 1000), default=50, show_default=True
)
@click.option(
    "--rpc.readers",
    "readers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Processes for eth_call.",
)
@click.option(
    "--consensus",
    type=click.Choice(["qbft", "none"]),
    default="qbft",
    show_default=True,
    help="none: serve what was imported; no peers, no blocks.",
)
@history_options
@click.option(
    "--verbosity",
    type=click.IntRange(1, 5),
    default=3,
    show_default=True,
    help="1 error, 2 warn, 3 info, 4-5 debug.",
)
def node(
    genesis: Path,
    datadir: Path,
    nodekey: Path | None,
    password_file: Path | None,
    http_host: str,
    http_port: int,
    p2p_host: str,
    p2p_port: int,
    bootnodes: str,
    max_peers: int,
    readers: int,
    consensus: str,
    gcmode: str | None,
    history_state: int | None,
    verbosity: int,
) -> None:
    """Run one node. It validates when the address of its key is in the validator set.

    \b
    Examples:
      assay node --genesis genesis.json --datadir node0 --bootnodes 10.0.0.2:30303
      assay node --consensus none --genesis genesis.json --datadir D
    """  # noqa: D301 - click keeps the lines after a backspace
    import asyncio

    from consensus.network.identity import parse_peer_address
    from tools import keys
    from tools.node import NodeOptions, own_node_key, run_node, serve_chain

    levels = (logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG, logging.DEBUG)
    logging.basicConfig(
        level=levels[verbosity - 1],
        format="%(asctime)s %(levelname)-8s %(name)s: %(message)s",
    )
    if consensus == "none":
        key = bytes(32)  # nobody to talk to
    elif nodekey is None:
        key = own_node_key(datadir)
    else:
        key = keys.load_key(nodekey, keys.read_password(password_file))
    options = NodeOptions(
        genesis=genesis,
        datadir=datadir,
        node_key=key,
        http_host=http_host,
        http_port=http_port,
        p2p_host=p2p_host,
        p2p_port=p2p_port,
        peers=tuple(parse_peer_address(text) for text in bootnodes.split(",") if text.strip()),
        readers=readers,
        max_peers=max_peers,
        history=history_of(gcmode, history_state),
    )
    asyncio.run(serve_chain(options) if consensus == "none" else run_node(options))
