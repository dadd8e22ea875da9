"""Four validators in their own processes, on free ports of the loopback address."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tools.devnet import DevnetOptions, Network, prepare

StartNetwork = Callable[..., Network]


def free_ports(count: int) -> int:
    """First of ``count`` neighbouring ports that nobody uses now."""
    for base in range(20_000, 60_000, 16):
        sockets = [socket.socket() for _ in range(count)]
        try:
            for offset, probe in enumerate(sockets):
                probe.bind(("127.0.0.1", base + offset))
        except OSError:
            continue
        else:
            return base
        finally:
            for probe in sockets:
                probe.close()
    raise AssertionError("no free ports")


@pytest.fixture
def new_network(tmp_path: Path) -> Iterator[StartNetwork]:
    """Make networks of any size (not started); every process is stopped at the end."""
    networks: list[Network] = []

    def make(name: str = "net", validators: int = 4, **options: object) -> Network:
        base = free_ports(2 * validators)
        network = Network(
            DevnetOptions(
                folder=tmp_path / name,
                validators=validators,
                http_port=base,
                p2p_port=base + validators,
                **options,  # type: ignore[arg-type]
            )
        )
        prepare(network.options, network.validators)
        networks.append(network)
        return network

    yield make
    for network in networks:
        network.stop()
