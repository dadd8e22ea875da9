"""Sockets, the server behind them, and which addresses of this machine others can dial."""

import asyncio
import errno
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from consensus.network.records import Endpoint, plain_ip

BACKLOG = 64
GREETING_SECONDS = 5.0
"""For TLS, and again for the HTTP request after it; the handshake has its own limit."""
DOCUMENTATION = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}


def bind(host: str, port: int) -> list[socket.socket]:
    """Bound, not yet listening TCP sockets on one port.

    An IPv4 or IPv6 literal gives one socket, a name one per address of it. ``0.0.0.0`` is IPv4
    only; ``::`` is both families, by one socket for each where IPv6 is available.

    Raises:
        OSError: unknown host, or the port is in use (the message names both).
    """
    both = ["::", "0.0.0.0"] if socket.has_ipv6 else ["0.0.0.0"]  # noqa: S104 - asked for
    hosts = both if host == "::" else [host]
    bound: list[socket.socket] = []
    try:
        for name in hosts:
            found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
            for family, _, _, _, address in dict.fromkeys(found):
                wanted = bound[0].getsockname()[1] if bound else port
                bound.append(_bind_one(family, (address[0], wanted, *address[2:])))
    except OSError as error:
        for listener in bound:
            listener.close()
        reason = error.strerror or str(error)
        raise OSError(error.errno, f"cannot listen on {host}:{port}: {reason}") from None
    return bound


class Listener:
    """WebSocket server on ``/`` over TLS, on every socket given.

    Whoever is connected and asks for nothing is cut off after ``GREETING_SECONDS``.
    """

    def __init__(self, serve: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> None:
        application = web.Application()
        application.router.add_get("/", serve)
        self._runner = web.AppRunner(
            application,
            access_log=None,
            shutdown_timeout=1.0,
            keepalive_timeout=GREETING_SECONDS,
        )
        self._servers: list[asyncio.Server] = []

    async def start(self, sockets: Sequence[socket.socket], context: ssl.SSLContext) -> None:
        """Accept connections."""
        await self._runner.setup()
        server = self._runner.server
        assert server is not None  # noqa: S101 - set by setup
        loop = asyncio.get_running_loop()
        for listener in sockets:
            self._servers.append(
                await loop.create_server(
                    server,
                    sock=listener,
                    ssl=context,
                    backlog=BACKLOG,
                    ssl_handshake_timeout=GREETING_SECONDS,
                    ssl_shutdown_timeout=GREETING_SECONDS,
                )
            )

    async def close(self) -> None:
        """Stop accepting and close what is open."""
        for server in self._servers:
            server.close()
        await self._runner.cleanup()


def advertised(
    listen_host: str, port: int, external: Sequence[str] | None, *, private: bool
) -> tuple[Endpoint, ...]:
    """Where others can dial this node; empty when it does not know.

    Args:
        listen_host: as given to ``bind``.
        port: the port that is open.
        external: addresses that the operator names, they alone count then; None: not even those.
        private: whether addresses that are not public may be named.
    """
    if external is None:
        return ()
    hosts = list(external)
    if not hosts:
        own = plain_ip(listen_host)
        if own is None:
            return ()
        hosts = _interface_addresses(own) if own.is_unspecified else [str(own)]
    found = [Endpoint(ip, port) for ip in map(plain_ip, hosts) if ip is not None]
    return tuple(dict.fromkeys(item for item in found if private or item.is_public))


def _bind_one(family: int, address: tuple[object, ...]) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def _interface_addresses(
    unspecified: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> list[str]:
    """The addresses from which this machine reaches the rest of the world; sends nothing."""
    families = [socket.AF_INET]
    if unspecified.version == 6:
        families.insert(0, socket.AF_INET6)
    found = []
    for family in families:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect((DOCUMENTATION[family], 9))
            except OSError as error:
                if error.errno not in (errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise
                continue
            found.append(probe.getsockname()[0])
    return found
