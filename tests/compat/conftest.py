"""One local chain for all clients."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rpc.local_chain import LocalChain, local_chain


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalChain]:
    with local_chain(Path(tmp_path_factory.mktemp("compat-chain"))) as running:
        yield running
