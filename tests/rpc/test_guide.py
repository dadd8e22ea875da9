"""The guide names every method of the node, and no other."""

import re
from dataclasses import replace
from pathlib import Path

from rpc.hub import Hub
from rpc.methods import method_table
from rpc.subscriptions import Subscriber
from tests.rpc.local_chain import LocalChain

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "json-rpc.md"


def test_the_guide_is_complete(chain: LocalChain) -> None:
    section = GUIDE.read_text().split("## Methods")[1].split("\n\n")[0]
    listed = set(re.findall(r"`([a-z]+[0-9]?_[A-Za-z0-9]+)`", section))
    node = replace(chain.node, dev=True)
    hub = Hub(node)
    sockets = Subscriber(lambda message: None, hub.watch_pool).methods([])
    assert listed == set(method_table(node, hub)) | set(sockets)
