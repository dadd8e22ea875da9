"""Whether this node is alive, and whether it should get requests; the listener for operators."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from rpc.context import NodeContext
from rpc.metrics import CONTENT_TYPE, Metrics

MAX_LAG: Final = 8
"""Blocks that a ready node may be behind the best of its peers."""


@dataclass(slots=True)
class Health:
    """What the probes tell; the composition root fills it in as the node comes up.

    Attributes:
        node: None until its database is open.
        started: the executor has passed its self-test and consensus runs.
        stopping: a signal came; no more requests should be sent here.
        executor_alive: False once the executor is of no use any more.
        max_lag: blocks.
    """

    node: NodeContext | None = None
    started: bool = False
    stopping: bool = False
    executor_alive: Callable[[], bool] = lambda: True
    max_lag: int = MAX_LAG

    def problems(self) -> list[str]:
        """Why the node is not ready; empty when it is."""
        if self.stopping:
            return ["stopping"]
        if self.node is None or not self.started:
            return ["starting"]
        alive = [] if self.executor_alive() else ["the executor process has ended"]
        return alive + unready(self.node, None, self.max_lag)


def unready(node: NodeContext, min_peers: int | None, max_lag: int = MAX_LAG) -> list[str]:
    """Reasons why a node does not follow its network; none for a chain that is only read.

    Args:
        node: running.
        min_peers: wanted connections; None for 1, or 0 in a network of one validator.
        max_lag: blocks that it may be behind the best of its peers.
    """
    consensus = node.consensus
    if consensus is None:
        return []
    if min_peers is None:
        others = set(consensus.validators) - {consensus.address}
        min_peers = min(1, len(others))
    peers = consensus.peers
    head = node.store.head().number
    lag = max([head, *(peer.height for peer in peers if peer.height is not None)]) - head
    found: Sequence[tuple[bool, str]] = (
        (consensus.syncing is not None and lag > max_lag, "syncing"),
        (lag > max_lag, f"{lag} blocks behind, at most {max_lag}"),
        (consensus.diverged, "own results differ from the network's"),
        (len(peers) < min_peers, f"{len(peers)} peers, want {min_peers}"),
    )
    return [text for failed, text in found if failed]


def create_operations_app(health: Health, metrics: Metrics) -> web.Application:
    """``/metrics``, ``/livez`` and ``/readyz``: for the operator's own network, never the public.

    ``/livez`` is 200 as long as the event loop answers, ``/readyz`` 200 or 503 with the reasons.
    """

    async def exposition(_: web.Request) -> web.Response:
        return web.Response(body=metrics.exposition(), headers={"Content-Type": CONTENT_TYPE})

    async def live(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def ready(_: web.Request) -> web.Response:
        problems = health.problems()
        text = "".join(f"{problem}\n" for problem in problems) or "ok\n"
        return web.Response(text=text, status=503 if problems else 200)

    app = web.Application()
    app.router.add_get("/metrics", exposition)
    app.router.add_get("/livez", live)
    app.router.add_get("/readyz", ready)
    return app
