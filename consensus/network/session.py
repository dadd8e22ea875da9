"""Run the handshake over a WebSocket, on either side, within five seconds."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import ClientWebSocketResponse, WSMsgType
from aiohttp.web import WebSocketResponse

from consensus.network.errors import FrameError, HandshakeError, Refused
from consensus.network.handshake import (
    CLIENT,
    SERVER,
    Greeting,
    check_identity,
    check_signature,
    decode_auth,
    decode_hello,
    decode_welcome,
    encode_auth,
    encode_greeting,
    new_greeting,
    transcript,
)
from consensus.network.identity import Identity, Network
from consensus.network.wire import Code, encode_frame, split_frame

HANDSHAKE_SECONDS = 5.0
HEARTBEAT_SECONDS = 10.0

Socket = ClientWebSocketResponse | WebSocketResponse


async def receive_frame(
    socket: Socket, on_control: Callable[[], None] = lambda: None
) -> bytes | None:
    """The next binary message, or None when the connection has ended.

    Pings are answered here; ``on_control`` is told about each ping and pong, so that a flood of
    them is noticed. The socket must have been opened without aiohttp's ``autoping``.

    Raises:
        FrameError: text, or a message above the WebSocket's size limit.
    """
    message = await socket.receive()
    while message.type in (WSMsgType.PING, WSMsgType.PONG):
        on_control()
        if message.type is WSMsgType.PING:
            await socket.pong(message.data)
        await asyncio.sleep(0)  # let others run: what is buffered is read without waiting
        message = await socket.receive()
    if message.type is WSMsgType.BINARY:
        frame: bytes = message.data
        return frame
    if message.type is WSMsgType.TEXT:
        raise FrameError("text message")
    if message.type is WSMsgType.ERROR:
        raise FrameError(f"broken message: {message.data}")
    return None


async def greet_server(
    socket: ClientWebSocketResponse,
    identity: Identity,
    network: Network,
    instance: bytes,
    client_text: str,
    expected: bytes | None,
) -> Greeting:
    """Client side: returns the server's proven greeting.

    Raises:
        HandshakeError: refused by either side, cut off, or slower than five seconds.
    """
    tls = socket.get_extra_info("ssl_object")
    certificate = tls.getpeercert(binary_form=True) if isinstance(tls, ssl.SSLObject) else None
    if certificate is None:
        raise HandshakeError("no TLS certificate seen")
    ours = new_greeting(identity, network, instance, client_text)
    async with _limit():
        await socket.send_bytes(encode_frame(Code.HELLO, encode_greeting(ours)))
        body = await _expect(socket, Code.WELCOME)
        try:
            theirs, signature = decode_welcome(body, network)
            check_identity(theirs, identity.node_id, expected)
            check_signature(SERVER, ours, theirs, certificate, signature)
        except HandshakeError as error:
            await refuse(socket, str(error))
            raise
        own = identity.sign(transcript(CLIENT, ours, theirs, certificate))
        await socket.send_bytes(encode_frame(Code.AUTH, encode_auth(own)))
        await _expect(socket, Code.READY)
    return theirs


async def greet_client(
    socket: WebSocketResponse,
    identity: Identity,
    network: Network,
    instance: bytes,
    client_text: str,
) -> Greeting:
    """Server side up to AUTH: the caller admits the peer with READY or refuses it.

    Raises:
        HandshakeError: the client was refused (and told why), left, or was too slow.
    """
    async with _limit():
        body = await _expect(socket, Code.HELLO)
        try:
            theirs = decode_hello(body, network)
            check_identity(theirs, identity.node_id, None)
            ours = new_greeting(identity, network, instance, client_text)
            own = identity.sign(transcript(SERVER, theirs, ours, identity.certificate))
            await socket.send_bytes(encode_frame(Code.WELCOME, encode_greeting(ours, own)))
            signature = decode_auth(await _expect(socket, Code.AUTH))
            check_signature(CLIENT, theirs, ours, identity.certificate, signature)
        except HandshakeError as error:
            await refuse(socket, str(error))
            raise
    return theirs


async def refuse(socket: Socket, reason: str) -> None:
    """Tell the other side why, if it still listens; the caller closes the socket."""
    body = reason.encode("ascii", "replace")[:512]
    try:
        await socket.send_bytes(encode_frame(Code.REFUSE, body))
    except (ConnectionError, RuntimeError):
        return  # it has left already; our own error says enough


async def accept(socket: Socket) -> None:
    """Send READY: from here on ordinary frames flow."""
    await socket.send_bytes(encode_frame(Code.READY, b""))


@asynccontextmanager
async def _limit() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(HANDSHAKE_SECONDS):
            yield
    except TimeoutError:
        raise HandshakeError(f"handshake took longer than {HANDSHAKE_SECONDS:g} s") from None
    except (ConnectionError, RuntimeError) as error:
        raise HandshakeError(f"connection lost during the handshake: {error}") from None


async def _expect(socket: Socket, expected: Code) -> bytes:
    try:
        frame = await receive_frame(socket)
        if frame is None:
            raise HandshakeError(f"connection closed while waiting for {expected.name}")
        code, body = split_frame(frame)
    except FrameError as error:
        raise HandshakeError(str(error)) from None
    if code is Code.REFUSE:
        raise Refused(f"refused by the other side: {_printable(body)}")
    if code is not expected:
        raise HandshakeError(f"{code.name} where {expected.name} belongs")
    return body


def _printable(body: bytes) -> str:
    text = body.decode("ascii", "replace")
    return "".join(c if c.isprintable() else "?" for c in text)
