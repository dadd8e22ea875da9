"""One local chain for all tests of the RPC, with the demo contract deployed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rpc.client import Client
from tests.rpc.local_chain import LocalChain, local_chain


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalChain]:
    with local_chain(Path(tmp_path_factory.mktemp("local-chain"))) as running:
        yield running


@pytest.fixture
def rpc(chain: LocalChain) -> Client:
    return Client(chain.url)
