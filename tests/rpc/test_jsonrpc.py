"""The envelope: parsing, batches, notifications, errors. No HTTP."""

import asyncio
import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.errors import CallFailed, InvalidTransaction
from rpc.decode import Params
from rpc.errors import RpcError
from rpc.jsonrpc import MAX_BATCH, Handler, answer


async def slow_echo(params: Params) -> object:
    await asyncio.sleep(0)
    return list(params)


def fail(error: Exception) -> Handler:
    def handler(params: Params) -> object:
        raise error

    return handler


METHODS: dict[str, Handler] = {
    "echo": lambda params: list(params),
    "slow": slow_echo,
    "typed": fail(RpcError(3, "execution reverted: x", "0x01")),
    "transaction": fail(InvalidTransaction("nonce too low: next nonce 2, tx nonce 1")),
    "failed": fail(CallFailed("gas required exceeds allowance (5)")),
    "reverted": fail(CallFailed("revert", bytes.fromhex("4e487b71") + (0x11).to_bytes(32, "big"))),
    "bug": fail(ZeroDivisionError("secret detail")),
    "unserialisable": lambda params: {1, 2},
}


def ask(body: object) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    reply = asyncio.run(answer(raw, METHODS.get))
    return None if reply is None else json.loads(reply)


def error(body: object) -> tuple[int, str]:
    reply = ask(body)
    assert isinstance(reply, dict)
    return reply["error"]["code"], reply["error"]["message"]


def request(method: str, **fields: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, **fields}


@pytest.mark.parametrize("params", [{}, {"params": None}, {"params": []}])
def test_params_absent_null_and_empty_are_the_same(params: dict[str, object]) -> None:
    assert ask(request("echo", **params)) == {"jsonrpc": "2.0", "id": 1, "result": []}


@pytest.mark.parametrize("identity", [0, 7, "a", "", 1.5, None])
def test_the_id_is_echoed(identity: object) -> None:
    reply = ask({"jsonrpc": "2.0", "id": identity, "method": "echo", "params": [1]})
    assert reply == {"jsonrpc": "2.0", "id": identity, "result": [1]}


def test_awaitable_results_are_awaited() -> None:
    assert ask(request("slow", params=["x"])) == {"jsonrpc": "2.0", "id": 1, "result": ["x"]}


def test_a_batch_keeps_its_order_and_answers_each() -> None:
    batch = [request("echo", params=[i]) | {"id": i} for i in range(5)] + [request("nothing")]
    reply = ask(batch)
    assert isinstance(reply, list)
    assert [item.get("result") for item in reply] == [[0], [1], [2], [3], [4], None]
    assert reply[5]["error"]["code"] == -32601


def test_a_long_batch_lets_others_run() -> None:
    async def race() -> list[str]:
        order: list[str] = []

        async def other() -> None:
            order.append("other")

        batch = json.dumps([request("echo")] * 50)
        waiting = asyncio.create_task(other())
        await answer(batch, METHODS.get)
        order.append("batch")
        await waiting
        return order

    assert asyncio.run(race()) == ["other", "batch"]


def test_notifications_get_no_answer() -> None:
    silent = {"jsonrpc": "2.0", "method": "echo"}
    assert ask(silent) is None
    assert ask([silent, silent]) is None
    assert ask([silent, request("echo")]) == [{"jsonrpc": "2.0", "id": 1, "result": []}]


@pytest.mark.parametrize(
    ("body", "code", "text"),
    [
        (b"{oops", -32700, "parse error"),
        (b"", -32700, "parse error"),
        (b"\xff\xfe", -32700, "parse error"),
        (b"[" * 2000, -32700, "parse error"),
        ([], -32600, "empty batch"),
        ([request("echo")] * (MAX_BATCH + 1), -32600, "batch too large"),
        ("text", -32600, "invalid request"),
        (5, -32600, "invalid request"),
        ({"id": 1}, -32600, "invalid request"),
        ({"id": 1, "method": 5}, -32600, "invalid request"),
        ({"id": {}, "method": "echo"}, -32600, "invalid request"),
        (request("echo", params={"a": 1}), -32602, "non-array args"),
        (request("eth_nothing"), -32601, "the method eth_nothing does not exist/is not available"),
        (request("transaction"), -32000, "nonce too low: next nonce 2, tx nonce 1"),
        (request("failed"), -32000, "gas required exceeds allowance (5)"),
        (request("reverted"), 3, "execution reverted: arithmetic underflow or overflow"),
    ],
)
def test_errors(body: object, code: int, text: str) -> None:
    got_code, got_text = error(body)
    assert got_code == code
    assert got_text.startswith(text)


def test_typed_errors_carry_their_data() -> None:
    assert ask(request("typed")) == {
        "jsonrpc": "2.0",
        "id": 1,
        "error": {"code": 3, "message": "execution reverted: x", "data": "0x01"},
    }


@pytest.mark.parametrize("method", ["bug", "unserialisable"])
def test_a_bug_is_logged_and_told_without_details(
    method: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        assert error(request(method)) == (-32603, "internal error")
    assert "bug in a request handler" in caplog.text


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["id", "method", "params", "jsonrpc"]) | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(_JSON)
def test_any_json_gets_an_answer_or_silence(body: object) -> None:
    reply = ask(body)
    for item in reply if isinstance(reply, list) else [reply] if reply else []:
        assert ("result" in item) != ("error" in item)
        assert item["jsonrpc"] == "2.0"


@given(st.binary(max_size=64))
def test_any_bytes_get_an_answer(body: bytes) -> None:
    ask(body)
