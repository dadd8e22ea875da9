"""The server over real HTTP and WebSocket: status codes, limits, CORS, order of messages."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType, WSServerHandshakeError

from chain.head_feed import Committed, HeadFeed
from rpc.context import NodeContext
from rpc.server import Limits, create_app, start_server
from rpc.subscriptions import MAX_SUBSCRIPTIONS
from tests.rpc.client import Client
from tests.rpc.local_chain import ACCOUNTS, LocalChain

CHAIN_ID_CALL = b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}'


@pytest.mark.parametrize("path", ["/", "/rpc", "/v1/some/key"])
def test_any_path_answers(rpc: Client, path: str) -> None:
    status, body, headers = rpc.post(CHAIN_ID_CALL, path)
    assert status == 200
    assert json.loads(body) == {"jsonrpc": "2.0", "id": 1, "result": hex(31337)}
    assert headers["Content-Type"].startswith("application/json")
    assert headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("body", [b"{oops", b"[]", b"5", b'{"id":1,"method":"eth_x"}', b""])
def test_json_rpc_errors_are_http_200(rpc: Client, body: bytes) -> None:
    status, reply, _ = rpc.post(body)
    assert status == 200
    assert "error" in json.loads(reply)


def test_a_notification_has_no_body(rpc: Client) -> None:
    status, body, _ = rpc.post(b'{"jsonrpc":"2.0","method":"eth_chainId"}')
    assert (status, body) == (204, b"")


def test_preflight(rpc: Client) -> None:
    status, _, headers = rpc.post(b"", method="OPTIONS")
    assert status == 204
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert "POST" in headers["Access-Control-Allow-Methods"]
    assert headers["Access-Control-Allow-Headers"] == "*"


def test_a_large_body_is_refused_and_a_full_one_is_not(rpc: Client) -> None:
    padding = b" " * (Limits().body_bytes - len(CHAIN_ID_CALL))
    assert rpc.post(CHAIN_ID_CALL + padding)[0] == 200
    status, body, headers = rpc.post(CHAIN_ID_CALL + padding + b" ")
    assert status == 413
    assert json.loads(body)["error"]["message"].startswith("request too large")
    assert headers["Access-Control-Allow-Origin"] == "*"


def test_health(rpc: Client) -> None:
    assert rpc.post(b"", "/liveness", "GET")[0] == 200
    assert rpc.post(b"", "/readiness", "GET")[0] == 200
    status, body, _ = rpc.post(b"", "/", "GET")
    assert (status, body.startswith(b"assay/")) == (200, True)


def test_batches(rpc: Client) -> None:
    calls = [{"jsonrpc": "2.0", "id": i, "method": "eth_chainId"} for i in range(3)]
    _, body, _ = rpc.post(json.dumps(calls).encode())
    assert [item["id"] for item in json.loads(body)] == [0, 1, 2]


@asynccontextmanager
async def socket_to(chain: LocalChain) -> AsyncIterator[ClientWebSocketResponse]:
    async with ClientSession() as session, session.ws_connect(chain.ws_url) as socket:
        yield socket


async def ask(socket: ClientWebSocketResponse, method: str, *params: object) -> Any:
    """Reply to one request; fails when something else arrives first."""
    await socket.send_json({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})
    return await socket.receive_json(timeout=10)


def run(test: Awaitable[None]) -> None:
    async def within() -> None:
        await asyncio.wait_for(test, 30)

    asyncio.run(within())


async def pay(rpc: Client) -> dict[str, Any]:
    return await asyncio.to_thread(rpc.send, ACCOUNTS[0], to="0x" + "05" * 20, value=1)


def test_websocket_calls_and_batches(chain: LocalChain) -> None:
    async def check() -> None:
        async with socket_to(chain) as socket:
            assert (await ask(socket, "eth_chainId"))["result"] == hex(31337)
            await socket.send_str("[" + CHAIN_ID_CALL.decode() + "]")
            assert len(await socket.receive_json(timeout=10)) == 1
            await socket.send_bytes(CHAIN_ID_CALL)
            assert (await socket.receive_json(timeout=10))["id"] == 1
            await socket.send_str("{oops")
            assert (await socket.receive_json(timeout=10))["error"]["code"] == -32700

    run(check())


def test_new_heads(chain: LocalChain, rpc: Client) -> None:
    async def check() -> None:
        async with socket_to(chain) as socket:
            identity = (await ask(socket, "eth_subscribe", "newHeads"))["result"]
            receipt = await pay(rpc)
            event = await socket.receive_json(timeout=10)
            assert event["method"] == "eth_subscription"
            assert event["params"]["subscription"] == identity
            head = event["params"]["result"]
            assert head["hash"] == receipt["blockHash"]
            assert "transactions" not in head
            assert (await ask(socket, "eth_unsubscribe", identity))["result"] is True
            reply = await ask(socket, "eth_unsubscribe", identity)
            assert reply["error"]["message"] == "subscription not found"
            await pay(rpc)
            assert (await ask(socket, "eth_chainId"))["id"] == 7  # no event came before

    run(check())


def test_a_receipt_is_readable_before_its_head_is_announced(chain: LocalChain, rpc: Client) -> None:
    async def check() -> None:
        async with socket_to(chain) as socket:
            await ask(socket, "eth_subscribe", "newHeads")
            raw = await asyncio.to_thread(rpc.sign, ACCOUNTS[0], to="0x" + "05" * 20)
            tx_hash = await asyncio.to_thread(rpc, "eth_sendRawTransaction", raw)
            head = (await socket.receive_json(timeout=10))["params"]["result"]
            receipt = (await ask(socket, "eth_getTransactionReceipt", tx_hash))["result"]
            assert receipt["blockHash"] == head["hash"]

    run(check())


def test_the_reply_goes_out_before_the_first_event(chain: LocalChain, rpc: Client) -> None:
    """Subscribe in a batch whose later call waits for a block: the event must wait, too."""

    async def check() -> None:
        raw = await asyncio.to_thread(rpc.sign, ACCOUNTS[0], to="0x" + "05" * 20)
        calls = [("eth_subscribe", ["newHeads"]), ("eth_sendRawTransactionSync", [raw])]
        batch = [
            {"jsonrpc": "2.0", "id": i, "method": method, "params": params}
            for i, (method, params) in enumerate(calls)
        ]
        async with socket_to(chain) as socket:
            await socket.send_json(batch)
            reply = await socket.receive_json(timeout=10)
            assert isinstance(reply, list)
            assert reply[1]["result"]["status"] == "0x1"
            await pay(rpc)
            event = await socket.receive_json(timeout=10)
            assert event["params"]["subscription"] == reply[0]["result"]

    run(check())


@pytest.mark.parametrize("full", [False, True])
def test_pending_transactions(chain: LocalChain, rpc: Client, full: bool) -> None:
    async def check() -> None:
        async with socket_to(chain) as socket:
            await ask(socket, "eth_subscribe", "newPendingTransactions", full)
            receipt = await pay(rpc)
            event = (await socket.receive_json(timeout=10))["params"]["result"]
            assert (event["hash"] if full else event) == receipt["transactionHash"]
            await asyncio.sleep(0.3)  # longer than the pool is polled: nothing comes twice
            assert (await ask(socket, "eth_chainId"))["id"] == 7

    run(check())


def test_a_waiting_transaction_is_announced_once(chain: LocalChain, rpc: Client) -> None:
    async def check() -> None:
        async with socket_to(chain) as socket:
            await ask(socket, "eth_subscribe", "newPendingTransactions")
            raw = await asyncio.to_thread(rpc.sign, ACCOUNTS[0], to="0x" + "05" * 20)
            tx_hash = await asyncio.to_thread(rpc, "eth_sendRawTransaction", raw)
            event = await socket.receive_json(timeout=10)  # announced while it waits
            assert event["params"]["result"] == tx_hash
            chain.resume()
            await asyncio.to_thread(rpc.wait, tx_hash)
            await asyncio.sleep(0.3)
            assert (await ask(socket, "eth_chainId"))["id"] == 7

    chain.pause()
    try:
        run(check())
    finally:
        chain.resume()


@pytest.mark.parametrize(
    ("params", "text"),
    [
        (["syncing"], 'no "syncing" subscription in eth namespace'),
        ([], "missing value for required argument 0"),
        (["logs", {"address": "0x12"}], "address needs 20 bytes"),
    ],
)
def test_bad_subscriptions(chain: LocalChain, params: list[object], text: str) -> None:
    async def check() -> None:
        async with socket_to(chain) as socket:
            error = (await ask(socket, "eth_subscribe", *params))["error"]
            assert error["code"] == -32602
            assert text in error["message"]

    run(check())


def test_subscriptions_are_bounded_and_end_with_the_connection(chain: LocalChain) -> None:
    async def check() -> None:
        async with socket_to(chain) as socket:
            for _ in range(MAX_SUBSCRIPTIONS):
                assert "result" in await ask(socket, "eth_subscribe", "logs")
            error = (await ask(socket, "eth_subscribe", "logs"))["error"]
            assert error["message"].startswith("too many subscriptions")
        async with socket_to(chain) as socket:
            assert "result" in await ask(socket, "eth_subscribe", "logs")

    run(check())


def test_no_subscriptions_over_http(rpc: Client) -> None:
    status, body, _ = rpc.post(b'{"id":1,"method":"eth_subscribe","params":["newHeads"]}')
    assert status == 200
    assert json.loads(body)["error"]["code"] == -32601


@asynccontextmanager
async def own_server(node: NodeContext, limits: Limits) -> AsyncIterator[str]:
    """WebSocket URL of a second server of the same node, in this loop."""
    runner = await start_server(create_app(node, limits), "127.0.0.1", 0)
    try:
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def test_a_client_that_does_not_read_is_disconnected(chain: LocalChain) -> None:
    async def check() -> None:
        feed = HeadFeed()
        node = replace(chain.node, head_feed=feed)
        async with (
            own_server(node, Limits(websocket_queue_bytes=100_000)) as url,
            ClientSession() as session,
            session.ws_connect(url, max_msg_size=0) as socket,
        ):
            for _ in range(MAX_SUBSCRIPTIONS):
                await ask(socket, "eth_subscribe", "newHeads")
            head = node.store.head()
            for number in range(head.number + 1, head.number + 401):  # 60 MB of events
                feed.publish(Committed(replace(head, number=number), (), ()))
                await asyncio.sleep(0)
            while (message := await socket.receive(timeout=20)).type is WSMsgType.TEXT:
                pass
            assert message.type in (WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.ERROR)

    run(check())


def test_answers_wait_for_a_slow_client(chain: LocalChain) -> None:
    async def check() -> None:
        batch = json.dumps([json.loads(CHAIN_ID_CALL)] * 900)
        async with (
            own_server(chain.node, Limits(websocket_queue_bytes=1)) as url,
            ClientSession() as session,
            session.ws_connect(url, max_msg_size=0) as socket,
        ):
            for _ in range(100):
                await socket.send_str(batch)
            for _ in range(100):
                assert len(await socket.receive_json(timeout=10)) == 900

    run(check())


def test_connections_are_bounded(chain: LocalChain) -> None:
    async def check() -> None:
        async with own_server(chain.node, Limits(websockets=1)) as url, ClientSession() as session:
            async with session.ws_connect(url):
                with pytest.raises(WSServerHandshakeError, match="503"):
                    await session.ws_connect(url)
            await asyncio.sleep(0.1)
            async with session.ws_connect(url):
                pass

    run(check())


def reader_processes() -> set[int]:
    children = psutil.Process().children(recursive=True)
    return {child.pid for child in children if "reader" in child.cmdline()}


def test_hanging_up_does_not_cost_a_reader(chain: LocalChain, rpc: Client) -> None:
    loop = {"data": "0x5b5f56", "gas": hex(3_000_000)}  # JUMPDEST, PUSH0, JUMP: out of gas

    async def check() -> None:
        async with socket_to(chain) as socket:
            call = {"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [loop]}
            await socket.send_json(call)
            await ask(socket, "eth_chainId")

    rpc("eth_call", {"data": "0x00"})  # a reader is there
    before = reader_processes()
    assert before
    run(check())
    rpc("eth_call", {"data": "0x00"})
    assert reader_processes() == before


def test_development_methods_are_off_unless_asked_for(chain: LocalChain, rpc: Client) -> None:
    assert json.loads(rpc.post(b'{"id":1,"method":"hardhat_metadata"}')[1])["error"]

    async def check() -> None:
        node = replace(chain.node, dev=True)
        async with (
            own_server(node, Limits()) as url,
            ClientSession() as session,
            session.ws_connect(url) as socket,
        ):
            metadata = (await ask(socket, "hardhat_metadata"))["result"]
            assert metadata["chainId"] == 31337
            assert len(metadata["instanceId"]) == 66
            assert (await ask(socket, "hardhat_getAutomine"))["result"] is False

    run(check())


def test_the_node_process_loads_no_evm_and_no_compiler() -> None:
    heavy = ("eth", "numba", "llvmlite", "onnx", "onnxruntime", "eth_account", "web3")
    program = f"import rpc.server, sys; print([name for name in {heavy} if name in sys.modules])"
    command = [sys.executable, "-c", program]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.strip() == "[]"
