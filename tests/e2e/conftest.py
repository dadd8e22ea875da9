"""Networks of real processes, on free ports of the loopback address."""

import random
import socket
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.running import log_of, start
from tools.devnet import DevnetOptions, Network, compile_kernels, prepare

LOG_TAIL = 40


def free_ports(count: int) -> int:
    """First of ``count`` neighbouring ports that nobody uses now."""
    first = 20_000 + 16 * int(750 * random.random())  # below those given to outgoing connections
    for base in (*range(first, 32_000, 16), *range(20_000, first, 16)):
        sockets = [socket.socket() for _ in range(count)]
        try:
            for offset, probe in enumerate(sockets):
                probe.bind(("127.0.0.1", base + offset))
        except OSError:
            continue
        else:
            return int(base)
        finally:
            for probe in sockets:
                probe.close()
    raise AssertionError("no free ports")


class Networks:
    """Makes networks of any size (not started) and stops every process at the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: list[Network] = []

    def __call__(self, name: str = "net", validators: int = 4, **options: Any) -> Network:
        base = free_ports(2 * validators)
        network = Network(
            DevnetOptions(
                folder=self.folder / name,
                validators=validators,
                http_port=base,
                p2p_port=base + validators,
                **options,
            )
        )
        prepare(network.options, network.validators)
        self.made.append(network)
        return network

    def stop(self) -> None:
        """Stop every network."""
        for network in self.made:
            network.stop()


@pytest.fixture(scope="session")
def kernels() -> None:
    """Compile once what several processes would compile at once."""
    compile_kernels()


@pytest.fixture
def new_network(tmp_path: Path, kernels: None) -> Iterator[Networks]:
    networks = Networks(tmp_path)
    yield networks
    networks.stop()


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory, kernels: None) -> Iterator[Network]:
    """Four running validators for all tests that leave them running."""
    networks = Networks(Path(tmp_path_factory.mktemp("shared")))
    shared = networks()
    try:
        start(shared)
        yield shared
    finally:
        networks.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Show the ends of the nodes' logs with a test that failed."""
    report: Any = yield
    arguments = getattr(item, "funcargs", {})
    networks = [arguments["network"]] if "network" in arguments else []
    if "new_network" in arguments:
        networks += arguments["new_network"].made
    if report.when != "teardown" and report.failed:
        for running in networks:
            for validator in running.validators:
                if validator.log_file.exists():
                    lines = [line for line in log_of(validator).splitlines() if "txs=0" not in line]
                    tail = "\n".join(lines[-LOG_TAIL:])
                    report.sections.append((str(validator.log_file), tail))
    return report
