"""The client and the upload of models, against a real node that mines on demand."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from genesis.addresses import INFERENCE, MODEL_REGISTRY
from genesis.predeploys import artifact
from precompiles.abi import decode, encode
from precompiles.hashing import keccak256
from precompiles.model_store import chunk_address
from tests.precompiles.native_calls import (
    SMALL,
    SMALL_ID,
    SMALL_INPUT,
    SMALL_OUTPUT,
    calldata,
)
from tests.rpc.local_chain import ACCOUNTS, LocalChain, local_chain
from tools.client import Client, Sender, bytes_of, deploy, eth_call, hex_of
from tools.errors import NodeUnreachable, RequestRefused, ToolError, TransactionFailed
from tools.register import download_model, publish_model, read_upload, registry_call

pytestmark = pytest.mark.e2e
KEY = bytes(ACCOUNTS[0].key)
OTHER_KEY = bytes(ACCOUNTS[1].key)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalChain]:
    with local_chain(Path(tmp_path_factory.mktemp("register"))) as running:
        yield running


@pytest.fixture
def client(node: LocalChain) -> Iterator[Client]:
    with Client(node.url) as client:
        yield client


class Stages:
    """Records what the progress bar would show."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int, int]] = []

    def __call__(self, stage: str, done: int, total: int) -> None:
        self.seen.append((stage, done, total))


def test_a_model_is_uploaded_published_called_and_fetched(client: Client) -> None:
    stages = Stages()
    assert publish_model(client, KEY, SMALL, progress=stages, chunk_size=40) == SMALL_ID
    assert stages.seen == [
        ("upload", 0, 3),
        ("upload", 1, 3),
        ("upload", 2, 3),
        ("upload", 3, 3),
        ("publish", 0, 1),
        ("publish", 1, 1),
    ]
    data = eth_call(client, INFERENCE, calldata("infer(bytes32,bytes)", SMALL_ID, SMALL_INPUT))
    assert decode(("bytes",), data) == (SMALL_OUTPUT,)
    assert download_model(client, SMALL_ID, progress=Stages()) == SMALL
    before = client.request("eth_blockNumber")
    publish_model(client, KEY, SMALL, progress=Stages())
    assert client.request("eth_blockNumber") == before


def test_an_interrupted_upload_continues_with_what_is_missing(client: Client) -> None:
    data = b"\xc0" + b"resumed" * 20
    model_id = keccak256(data)
    sender = Sender(client, OTHER_KEY)
    begin = registry_call("begin(bytes32,uint32,uint32)", model_id, len(data), 50)
    sender.transact(MODEL_REGISTRY, begin)
    upload = "upload(bytes32,uint32,bytes)"
    sender.transact(MODEL_REGISTRY, registry_call(upload, model_id, 1, data[50:100]))
    sender.transact(MODEL_REGISTRY, registry_call(upload, model_id, 0, b"x" * 50))  # spoiled
    stages = Stages()
    with pytest.raises(RequestRefused, match="InvalidModel"):
        publish_model(client, KEY, data, progress=stages)
    assert stages.seen[0] == ("upload", 1, 3)
    assert read_upload(client, model_id).missing == 0
    assert (
        bytes_of(client.request("eth_getCode", hex_of(chunk_address(model_id, 0)), "latest"))
        == b"\0" + data[:50]
    )


def test_an_unpublished_model_cannot_be_fetched(client: Client) -> None:
    with pytest.raises(ToolError, match="is not published"):
        download_model(client, bytes(32), progress=Stages())


def test_a_refused_estimate_carries_the_typed_error(client: Client) -> None:
    sender = Sender(client, KEY)
    with pytest.raises(RequestRefused) as caught:
        sender.send(MODEL_REGISTRY, registry_call("publish(bytes32)", bytes(32)))
    assert caught.value.code == 3
    assert "UploadNotBegun" in caught.value.message


def test_a_transaction_that_fails_in_its_block(client: Client) -> None:
    sender = Sender(client, KEY)
    call = registry_call("publish(bytes32)", bytes(32))
    with pytest.raises(TransactionFailed, match="failed in block"):
        sender.transact(MODEL_REGISTRY, call, gas=100_000)


def test_a_deployed_contract_asks_the_native_account(client: Client) -> None:
    publish_model(client, KEY, SMALL, progress=Stages())
    code = bytes_of(artifact("RiskPool")["bytecode"])
    arguments = encode(("bytes32", "uint256", "int256"), (SMALL_ID, 1, 10**18))
    pool = deploy(Sender(client, KEY), code, arguments)
    call = calldata("riskOf(int256[])", [10**18 // 2, 10**18, 3 * 10**18 // 2])
    assert decode(("int256",), eth_call(client, pool, call)) == (10**18 // 4,)
    with pytest.raises(RequestRefused) as caught:
        eth_call(client, pool, calldata("riskOf(int256[])", [1]))
    expected = calldata("InputLengthMismatch(uint256,uint256)", 3, 1)
    assert caught.value.data == hex_of(expected)


def test_errors_of_a_batch(client: Client) -> None:
    assert client.batch([]) == []
    assert client.batch([("eth_chainId", ()), ("web3_sha3", ("0x",))]) == [
        hex(31337),
        hex_of(keccak256(b"")),
    ]
    with pytest.raises(RequestRefused, match="no_such_method"):
        client.batch([("eth_chainId", ()), ("no_such_method", ())])


def test_nobody_listens() -> None:
    with (
        Client("http://127.0.0.1:1") as client,
        pytest.raises(NodeUnreachable, match=r"127\.0\.0\.1:1"),
    ):
        client.request("eth_chainId")


@pytest.mark.parametrize("url", ["127.0.0.1:8545", "ws://127.0.0.1:8545", "http://"])
def test_urls_that_are_not_http(url: str) -> None:
    with pytest.raises(ToolError, match="is not an http"):
        Client(url)


@pytest.mark.parametrize(
    "answer", [b"<html>", b"[]", b'{"id": 1}', b'{"jsonrpc": "2.0", "id": 9, "result": 1}']
)
def test_something_else_listens(answer: bytes) -> None:
    class Page(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        client = Client(f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(NodeUnreachable):
            client.request("eth_chainId")
        client.close()
        thread.join()


@pytest.mark.parametrize("text", [None, 5, "12", "0xzz", "0x1"])
def test_hex_from_a_node(text: object) -> None:
    with pytest.raises(NodeUnreachable, match="expected a 0x hex string"):
        bytes_of(text)
