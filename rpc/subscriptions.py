"""``eth_subscribe``: new heads, logs, pending transactions; one `Subscriber` per connection."""

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

import orjson

from rpc import decode
from rpc.decode import Params
from rpc.errors import LIMIT_EXCEEDED, InvalidParams, RpcError
from rpc.jsonrpc import Methods
from rpc.logs import LogQuery, decode_log_query

MAX_SUBSCRIPTIONS: Final = 100
"""Of one connection."""


class Topic(Enum):
    """What can be subscribed to, by its name on the wire."""

    NEW_HEADS = "newHeads"
    LOGS = "logs"
    PENDING = "newPendingTransactions"


@dataclass(frozen=True, slots=True)
class Subscription:
    """One subscription.

    Attributes:
        topic: what it is about.
        query: which logs; matches all for other topics.
        full: pending transactions as objects instead of hashes.
    """

    topic: Topic
    query: LogQuery
    full: bool = False


class Subscriber:
    """The subscriptions of one connection.

    Args:
        send: takes one serialised message; never blocks.
        watch_pool: called when pending transactions are wanted from now on.
    """

    def __init__(self, send: Callable[[bytes], None], watch_pool: Callable[[], None]) -> None:
        self._send = send
        self._watch_pool = watch_pool
        self._created: dict[str, Subscription] = {}
        self._started: dict[str, Subscription] = {}

    def methods(self, created: list[str]) -> Methods:
        """The two methods of a connection.

        Args:
            created: takes the ids of subscriptions made; pass it to `start` after the reply.
        """

        def subscribe(params: Params) -> str:
            identity = self._subscribe(params)
            created.append(identity)
            return identity

        return {"eth_subscribe": subscribe, "eth_unsubscribe": self._unsubscribe}

    def start(self, created: Iterable[str]) -> None:
        """Let events flow: the reply that names these subscriptions has been sent."""
        for identity in created:
            subscription = self._created.pop(identity, None)
            if subscription is not None:
                self._started[identity] = subscription

    def started(self, topic: Topic) -> list[tuple[str, Subscription]]:
        """Running subscriptions to a topic."""
        return [item for item in self._started.items() if item[1].topic is topic]

    def wants_pending(self) -> bool:
        """Whether pending transactions are to be watched for this connection."""
        known = (*self._created.values(), *self._started.values())
        return any(item.topic is Topic.PENDING for item in known)

    def notify(self, identity: str, result: bytes) -> None:
        """Send one event.

        Args:
            identity: subscription id.
            result: JSON text.
        """
        event = {"subscription": identity, "result": orjson.Fragment(result)}
        self._send(orjson.dumps({"jsonrpc": "2.0", "method": "eth_subscription", "params": event}))

    def _subscribe(self, params: Params) -> str:
        if len(self._created) + len(self._started) >= MAX_SUBSCRIPTIONS:
            raise RpcError(LIMIT_EXCEEDED, f"too many subscriptions: limit {MAX_SUBSCRIPTIONS}")
        name = decode.argument(params, 0, decode.text)
        try:
            topic = Topic(name)
        except ValueError:
            raise InvalidParams(f'no "{name}" subscription in eth namespace') from None
        query, full = decode_log_query({}), False
        if topic is Topic.LOGS:
            query = decode.argument(params, 1, decode_log_query, query)
        elif topic is Topic.PENDING:
            full = decode.argument(params, 1, decode.flag, False)
            self._watch_pool()
        identity = "0x" + secrets.token_hex(16)
        self._created[identity] = Subscription(topic, query, full)
        return identity

    def _unsubscribe(self, params: Params) -> bool:
        identity = decode.argument(params, 0, decode.text)
        found = self._started.pop(identity, None) or self._created.pop(identity, None)
        if found is None:
            raise RpcError(-32000, "subscription not found")
        return True
