"""Questions to a running network, each with a time limit and its own words on failure."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from genesis.addresses import INFERENCE
from precompiles.abi import decode
from precompiles.hashing import keccak256
from precompiles.model.types import DType
from tests.precompiles.native_calls import SMALL, SMALL_ID, calldata, words
from tools import keys
from tools.client import Client, Sender, bytes_of, hex_of
from tools.devnet import Network, Validator
from tools.errors import ToolError
from tools.register import publish_model

LOGGED = ("bytes32", "bytes32", "bytes", "bytes")


def wait_for(predicate: Callable[[], Any], seconds: float, what: str) -> Any:
    """First true answer; a node that does not answer yet is no answer."""
    deadline = time.monotonic() + seconds
    while True:
        answer, error = None, ""
        try:
            answer = predicate()
        except ToolError as problem:
            error = f" ({problem})"
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}{error}"
        time.sleep(0.05)


def ask(validator: Validator, method: str, *params: Any) -> Any:
    """One request on its own connection."""
    with Client(validator.url, timeout_seconds=30) as client:
        return client.request(method, *params)


def height(validator: Validator) -> int:
    return int(ask(validator, "eth_blockNumber"), 16)


def block_hash(validator: Validator, number: int) -> str | None:
    block = ask(validator, "eth_getBlockByNumber", hex(number), False)
    return None if block is None else str(block["hash"])


def start(network: Network, environments: Mapping[int, Mapping[str, str]] = {}) -> None:
    """Start every validator and wait until they are connected and a block is made."""
    for validator in network.validators:
        network.start(validator.index, environments.get(validator.index))
    quorum_of_peers = (2 * len(network.validators) - 1) // 3

    def connected() -> bool:
        assert not list(network.dead()), "a validator ended by itself"
        return all(
            int(ask(validator, "net_peerCount"), 16) >= quorum_of_peers and height(validator) >= 1
            for validator in network.validators
        )

    wait_for(connected, 90, "connected validators and the first block")


def wait_for_height(validators: Iterable[Validator], number: int, seconds: float = 60) -> None:
    """Wait until every one of them has block ``number``, and check that it is the same block."""
    found = {
        wait_for(
            partial(block_hash, validator, number),
            seconds,
            f"block {number} at validator {validator.index}",
        )
        for validator in validators
    }
    assert len(found) == 1, f"block {number}: {found}"


def log_of(validator: Validator) -> str:
    return validator.log_file.read_text(errors="replace")


@contextmanager
def sender_of(validator: Validator, account: int = 0) -> Iterator[Sender]:
    """Sends transactions of a development account through one node."""
    with Client(validator.url) as client:
        yield Sender(client, keys.dev_key(account))


def publish_small(validator: Validator, chunk_size: int = 40) -> bytes:
    """Publish ``native_calls.SMALL``; returns its id."""
    with Client(validator.url) as client:
        return publish_model(
            client,
            keys.dev_key(0),
            SMALL,
            progress=lambda stage, done, total: None,
            chunk_size=chunk_size,
        )


def small_input(number: int) -> bytes:
    """An input of SMALL; different numbers give different outputs."""
    return words(DType.S32, [number, 2 * number, -number])


def inference(data: bytes) -> bytes:
    """Calldata of a logged inference of SMALL."""
    return calldata("inferAndLog(bytes32,bytes)", SMALL_ID, data)


def logged_output(receipt: dict[str, Any]) -> bytes:
    """Output in the only Inference log of a receipt, held to its hash."""
    (log,) = receipt["logs"]
    assert bytes_of(log["address"]) == INFERENCE
    _, output_hash, _, output = decode(LOGGED, bytes_of(log["data"]))
    assert keccak256(output) == output_hash
    return bytes(output)


def receipt_at(validator: Validator, transaction: bytes, seconds: float = 30) -> dict[str, Any]:
    """The receipt as this validator computed it."""
    receipt: dict[str, Any] = wait_for(
        lambda: ask(validator, "eth_getTransactionReceipt", hex_of(transaction)),
        seconds,
        f"receipt of {hex_of(transaction)} at validator {validator.index}",
    )
    return receipt
