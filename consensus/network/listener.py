"""Sockets and host texts."""

import socket

BACKLOG = 64


def bind(host: str, port: int) -> socket.socket:
    """A bound, not yet listening TCP socket for an IPv4 or IPv6 literal or a name.

    Raises:
        OSError: unknown host, or the port is in use (the message names both).
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"cannot listen on {host}:{port}: {error.strerror}") from None
    return listener


def host_of(address: str) -> str:
    """The host of ``host:port``, ``[v6]:port`` or a bare host."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    if address.count(":") == 1:
        return address.partition(":")[0]
    return address
