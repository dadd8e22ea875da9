"""``assay node``: one validator, or a node that only follows."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from tools.commands.history import history_of, history_options
from tools.config import configurable
from tools.failures import explain

EXISTING = click.Path(path_type=Path, dir_okay=False, exists=True)
PORT = click.IntRange(0, 65535)


@configurable
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
    help="Key file, keystore v3 or plain hex.  [default: DATADIR/nodekey, else the only file in "
    "DATADIR/keystore, else a new DATADIR/nodekey]",
)
@click.option("--password", "password_file", type=EXISTING, help="Password of an encrypted key.")
@click.option("--http.addr", "http_host", default="127.0.0.1", show_default=True)
@click.option("--http.port", "http_port", type=PORT, default=8545, show_default=True)
@click.option("--addr", "p2p_host", default="127.0.0.1", show_default=True, help="P2P address.")
@click.option("--port", "p2p_port", type=PORT, default=30303, show_default=True, help="P2P port.")
@click.option(
    "--bootnodes", default="", help="Comma-separated [NODEID@]HOST:PORT, to find others through."
)
@click.option(
    "--static-peers", default="", help="The same, connected for ever and never refused room."
)
@click.option(
    "--nat",
    default="any",
    show_default=True,
    help="Address to advertise: extip:IP[,IP], any (those of this machine) or none.",
)
@click.option(
    "--discovery/--nodiscover",
    default=True,
    help="Exchange addresses with peers.",
    show_default=True,
)
@click.option(
    "--discovery.private",
    "private_addresses",
    is_flag=True,
    help="Exchange addresses that are not public, too.",
)
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
@click.option("--metrics", is_flag=True, help="Serve /metrics, /livez and /readyz.")
@click.option("--metrics.addr", "metrics_host", default="127.0.0.1", show_default=True)
@click.option("--metrics.port", "metrics_port", type=PORT, default=6060, show_default=True)
@click.option(
    "--log.format",
    "log_format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="json: one object per line.",
)
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
    static_peers: str,
    nat: str,
    discovery: bool,
    private_addresses: bool,
    max_peers: int,
    readers: int,
    consensus: str,
    gcmode: str | None,
    history_state: int | None,
    metrics: bool,
    metrics_host: str,
    metrics_port: int,
    log_format: str,
    verbosity: int,
) -> None:
    """Run one node. It validates when the address of its key is in the validator set.

    \b
    Examples:
      assay node --genesis genesis.json --datadir node0 --bootnodes 10.0.0.2:30303
      assay node --consensus none --genesis genesis.json --datadir D
      assay node --config /etc/assay/node.toml --metrics
    """  # noqa: D301 - click keeps the lines after a backspace
    import asyncio

    from chain.log_format import configure_logging
    from consensus.network.discovery import DiscoverySettings
    from consensus.network.identity import parse_peer_addresses
    from consensus.network.records import parse_nat
    from tools import keys
    from tools.node import Listen, NodeOptions, node_key, run_node, serve_chain

    levels = (logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG, logging.DEBUG)
    configure_logging(log_format, levels[verbosity - 1])
    with _told_in_the_log(log_format):
        options = NodeOptions(
            genesis=genesis,
            datadir=datadir,
            node_key=(
                bytes(32)  # nobody to talk to
                if consensus == "none"
                else node_key(datadir, nodekey, keys.read_password(password_file))
            ),
            http_host=http_host,
            http_port=http_port,
            p2p_host=p2p_host,
            p2p_port=p2p_port,
            static_peers=parse_peer_addresses(static_peers),
            discovery=DiscoverySettings(
                enabled=discovery,
                bootnodes=parse_peer_addresses(bootnodes),
                external=parse_nat(nat),
                private=private_addresses,
            ),
            readers=readers,
            max_peers=max_peers,
            history=history_of(gcmode, history_state),
            metrics=Listen(metrics_host, metrics_port) if metrics else None,
        )
        asyncio.run(serve_chain(options) if consensus == "none" else run_node(options))


@contextmanager
def _told_in_the_log(log_format: str) -> Iterator[None]:
    """Log why the node ends as JSON too: whoever collects JSON does not read the last line."""
    try:
        yield
    except Exception as error:  # the process entry; the command line tells it once more
        if log_format == "json":
            text = explain(error)
            logging.getLogger("assay.node").critical(
                "node stops: %s", text or repr(error), exc_info=error if text is None else None
            )
        raise
