"""Keep one connection to one configured address, for ever, with growing pauses."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

import aiohttp

from consensus.network.errors import HandshakeError
from consensus.network.identity import PeerAddress
from consensus.network.peer import Peer

log = logging.getLogger(__name__)

FIRST_PAUSE = 0.25
LONGEST_PAUSE = 8.0


class Dialer:
    """Dials while the node behind the address is not connected.

    Args:
        address: where, and optionally who.
        connect: dials once, serves the connection and returns the node id when it has ended.
        connected: the current connection to a node id, if any (it may have dialled us).
        wanted: asked before every dial; False waits.
    """

    def __init__(
        self,
        address: PeerAddress,
        connect: Callable[[PeerAddress], Awaitable[bytes]],
        connected: Callable[[bytes], Peer | None],
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        self._address = address
        self._connect = connect
        self._connected = connected
        self._wanted = wanted
        self._node_id = address.node_id
        self._pause = FIRST_PAUSE
        self._reported = ""

    async def run(self) -> None:
        """Dial until cancelled, or until the address turns out to be this node."""
        while True:
            peer = self._connected(self._node_id) if self._node_id else None
            if peer is not None:
                await peer.ended.wait()
                self._pause = FIRST_PAUSE
            elif self._wanted() and await self._dial_once():
                return
            await asyncio.sleep(self._pause * random.uniform(0.7, 1.0))  # noqa: S311 - not a secret

    async def _dial_once(self) -> bool:
        """True when dialling makes no sense any more."""
        try:
            self._node_id = await self._connect(self._address)
        except HandshakeError as error:
            if str(error) == "connected to itself":
                log.info("peer address %s is this node", self._address)
                return True
            self._failed(str(error))
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self._failed(str(error) or type(error).__name__)
        else:
            self._reported = ""
            self._pause = FIRST_PAUSE
            return False
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        return False

    def _failed(self, reason: str) -> None:
        """Log a new reason once; repetitions, and lost races with the other side, for debugging."""
        won = self._node_id is not None and self._connected(self._node_id) is not None
        level = logging.DEBUG if won or reason == self._reported else logging.INFO
        self._reported = reason
        log.log(level, "cannot connect to %s: %s; trying again", self._address, reason)
