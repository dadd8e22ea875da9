"""HTTP and WebSocket listeners on one port, at any path.

POST is JSON-RPC; GET with an upgrade is a WebSocket; /liveness and /readiness are for operators.
Every JSON-RPC failure is HTTP 200 with an error object; a body over the limit is refused (413).
"""

import ipaddress
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import orjson
from aiohttp import WSCloseCode, web

from rpc.context import NodeContext
from rpc.errors import INVALID_REQUEST, RpcError
from rpc.health import unready
from rpc.hub import Hub
from rpc.jsonrpc import Methods, answer
from rpc.methods import method_table
from rpc.metrics import Metrics
from rpc.websocket import WebSocketConnection

WS_PING_SECONDS: Final = 20.0

_LOG = logging.getLogger("assay.rpc")
_JSON: Final = "application/json"
_CORS: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, GET, OPTIONS",
    "Access-Control-Allow-Headers": "*",
    "Access-Control-Max-Age": "600",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one server takes.

    Attributes:
        body_bytes: of one HTTP body or WebSocket message; geth's, and more than the largest
            transaction (128 KiB) or a call with large overrides needs.
        websockets: connections at the same time.
        websocket_queue_bytes: undelivered messages of one WebSocket.
    """

    body_bytes: int = 5 * 1024 * 1024
    websockets: int = 1_000
    websocket_queue_bytes: int = 16 * 1024 * 1024


_CONTEXT: Final = web.AppKey("context", NodeContext)
_METHODS: Final[web.AppKey[Methods]] = web.AppKey("methods", Methods)
_LIMITS: Final = web.AppKey("limits", Limits)
_HUB: Final = web.AppKey("hub", Hub)
_SOCKETS: Final[web.AppKey[set[web.WebSocketResponse]]] = web.AppKey("sockets")


def create_app(
    context: NodeContext, limits: Limits | None = None, metrics: Metrics | None = None
) -> web.Application:
    """The application: method table, subscription hub, routes; ``metrics`` counts the requests.

    The hub follows the head feed from start-up to clean-up of the application.
    """
    limits = limits or Limits()
    app = web.Application(client_max_size=limits.body_bytes, middlewares=[_cors])
    hub = Hub(context)
    app[_CONTEXT] = context
    app[_LIMITS] = limits
    app[_HUB] = hub
    methods = method_table(context, hub)
    app[_METHODS] = methods if metrics is None else metrics.measured(methods)
    app[_SOCKETS] = set()
    app.router.add_get("/liveness", _liveness)
    app.router.add_get("/readiness", _readiness)
    app.router.add_post("/{path:.*}", _post)
    app.router.add_get("/{path:.*}", _get)
    app.router.add_options("/{path:.*}", _options)
    app.cleanup_ctx.append(_run_hub)
    app.on_shutdown.append(_close_sockets)
    return app


async def start_server(app: web.Application, host: str, port: int) -> web.AppRunner:
    """Listen; the caller stops it with ``await runner.cleanup()``.

    Args:
        app: from `create_app`.
        host: address to bind; 127.0.0.1 unless the operator chose otherwise.
        port: 0 picks a free one (``runner.addresses``).

    Raises:
        OSError: the port is taken.
    """
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=75.0, shutdown_timeout=2.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=512).start()
    except OSError:
        await runner.cleanup()
        raise
    if not _is_loopback(host):
        _LOG.warning("listening on %s:%d for HTTP, open to other machines", host, port)
    return runner


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@web.middleware
async def _cors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    response = await handler(request)
    if not response.prepared:
        response.headers.update(_CORS)
    return response


async def _options(_: web.Request) -> web.Response:
    return web.Response(status=204)


async def _post(request: web.Request) -> web.Response:
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        limit = request.app[_LIMITS].body_bytes
        error = RpcError(INVALID_REQUEST, f"request too large: limit {limit} bytes")
        failure = {"jsonrpc": "2.0", "id": None, "error": error.to_json()}
        return web.Response(status=413, body=orjson.dumps(failure), content_type=_JSON)
    reply = await answer(body, request.app[_METHODS].get)
    if reply is None:
        return web.Response(status=204)
    return web.Response(body=reply, content_type=_JSON)


async def _get(request: web.Request) -> web.StreamResponse:
    if request.headers.get("Upgrade", "").lower() == "websocket":
        return await _websocket(request)
    text = f"{request.app[_CONTEXT].version}: JSON-RPC over POST or WebSocket\n"
    return web.Response(text=text)


async def _liveness(_: web.Request) -> web.Response:
    return web.json_response({"status": "UP"})


async def _readiness(request: web.Request) -> web.Response:
    """200 while the node follows the network; 503 while it lags, lacks peers or diverged.

    Query: ``minPeers`` (default 1; a network of one validator needs none).
    """
    given = request.query.get("minPeers")
    try:
        wanted = None if given is None else int(given)
    except ValueError:
        return web.json_response({"error": "minPeers must be a number"}, status=400)
    down = unready(request.app[_CONTEXT], wanted)
    body: dict[str, object] = {"status": "DOWN" if down else "UP", "reasons": down}
    return web.json_response(body, status=503 if down else 200)


async def _websocket(request: web.Request) -> web.StreamResponse:
    sockets, limits = request.app[_SOCKETS], request.app[_LIMITS]
    if len(sockets) >= limits.websockets:
        return web.Response(status=503, text="too many WebSocket connections\n")
    socket = web.WebSocketResponse(
        heartbeat=WS_PING_SECONDS, max_msg_size=limits.body_bytes, compress=False
    )
    await socket.prepare(request)
    sockets.add(socket)
    try:
        await WebSocketConnection(
            socket, request.app[_METHODS], request.app[_HUB], limits.websocket_queue_bytes
        ).serve()
    finally:
        sockets.discard(socket)
    return socket


async def _run_hub(app: web.Application) -> AsyncIterator[None]:
    async with app[_HUB]:
        yield


async def _close_sockets(app: web.Application) -> None:
    sockets = app[_SOCKETS]
    for socket in tuple(sockets):
        await socket.close(code=WSCloseCode.GOING_AWAY, message=b"the node stops")
