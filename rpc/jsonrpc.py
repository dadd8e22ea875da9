"""JSON-RPC 2.0: parse, batch, dispatch through an explicit table, serialise. No HTTP here."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import orjson

from rpc.decode import Params
from rpc.errors import (
    INVALID_REQUEST,
    PARSE_ERROR,
    SERVER_ERROR,
    InvalidParams,
    MethodNotFound,
    RpcError,
    error_of,
)

Handler = Callable[[Params], object | Awaitable[object]]
"""Takes the positional parameters, gives a JSON value (or an awaitable of one)."""

Methods = Mapping[str, Handler]

Lookup = Callable[[str], Handler | None]
"""Gives the handler of a method, None when there is no such method."""

MAX_BATCH: Final = 1_000
MAX_RESPONSE_BYTES: Final = 25 * 1024 * 1024
"""Of a whole batch; as geth's batch-response-max-size."""


async def answer(body: bytes | str, methods: Lookup) -> bytes | None:
    """Answer one HTTP body or WebSocket message.

    Calls of a batch run one after the other, in order, so that transactions of one sender keep
    their nonces' order.

    Args:
        body: JSON text: one request or a batch of at most `MAX_BATCH`.
        methods: finds the handler of a method.

    Returns:
        The response as JSON, or None when there were only notifications.
    """
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _failure(None, RpcError(PARSE_ERROR, "parse error: invalid JSON"))
    if isinstance(request, list):
        return await _answer_batch(request, methods)
    return await _answer_one(request, methods)


async def _answer_batch(requests: list[object], methods: Lookup) -> bytes | None:
    if not requests:
        return _failure(None, RpcError(INVALID_REQUEST, "empty batch"))
    if len(requests) > MAX_BATCH:
        text = f"batch too large: {len(requests)} requests, limit {MAX_BATCH}"
        return _failure(None, RpcError(INVALID_REQUEST, text))
    responses: list[bytes] = []
    size = 0
    for request in requests:
        if size > MAX_RESPONSE_BYTES:
            error = RpcError(SERVER_ERROR, f"response too large: limit {MAX_RESPONSE_BYTES} bytes")
            responses.append(_failure(_id_of(request), error))
            continue
        response = await _answer_one(request, methods)
        if response is not None:
            responses.append(response)
            size += len(response)
        await asyncio.sleep(0)  # consensus runs in this loop, too
    return b"[" + b",".join(responses) + b"]" if responses else None


async def _answer_one(request: object, methods: Lookup) -> bytes | None:
    identity = _id_of(request)
    try:
        method, params = _parse(request)
        handler = methods(method)
        if handler is None:
            raise MethodNotFound(method)
        result = handler(params)
        if inspect.isawaitable(result):
            result = await result
        response = orjson.dumps({"jsonrpc": "2.0", "id": identity, "result": result})
    except Exception as error:  # the boundary: a request must never stop the server
        response = _failure(identity, error_of(error))
    if isinstance(request, dict) and "id" not in request and "method" in request:
        return None  # a notification
    return response


def _parse(request: object) -> tuple[str, Params]:
    """Method and positional parameters; ``params`` absent, null and [] are the same."""
    if not isinstance(request, dict):
        raise RpcError(INVALID_REQUEST, "invalid request: expected an object")
    method = request.get("method")
    if not isinstance(method, str) or not isinstance(request.get("id"), str | int | float | None):
        raise RpcError(INVALID_REQUEST, "invalid request: needs a method and a plain id")
    params = request.get("params")
    if params is None:
        return method, ()
    if not isinstance(params, list):
        raise InvalidParams("non-array args")
    return method, params


def _id_of(request: object) -> object:
    """The id to echo: only strings and numbers can be one."""
    identity = request.get("id") if isinstance(request, dict) else None
    return identity if isinstance(identity, str | int | float) else None


def _failure(identity: object, error: RpcError) -> bytes:
    return orjson.dumps({"jsonrpc": "2.0", "id": identity, "error": error.to_json()})
