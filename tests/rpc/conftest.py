"""One local chain for all tests of the RPC, with the demo contract deployed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.rpc.client import Client
from tests.rpc.local_chain import ACCOUNTS, LocalChain, local_chain

ARTIFACT = json.loads((Path(__file__).parents[1] / "compat" / "Counter.json").read_text())


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalChain]:
    with local_chain(Path(tmp_path_factory.mktemp("local-chain"))) as running:
        yield running


@pytest.fixture
def rpc(chain: LocalChain) -> Client:
    return Client(chain.url)


@pytest.fixture(scope="module")
def deployed(chain: LocalChain) -> dict[str, Any]:
    """Receipt of a Counter's creation; it holds 3."""
    return Client(chain.url).send(ACCOUNTS[0], data=ARTIFACT["bytecode"] + f"{3:064x}")


@pytest.fixture
def counter(deployed: dict[str, Any]) -> str:
    """Address of the deployed Counter."""
    address: str = deployed["contractAddress"]
    return address
