"""kill -9 of one validator under load: the chain goes on, it catches up, nothing is lost."""

import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.conftest import Networks
from tests.e2e.running import (
    ask,
    block_hash,
    height,
    sender_of,
    start,
    wait_for,
    wait_for_height,
)
from tools import keys
from tools.client import Client, Sender, hex_of
from tools.devnet import Validator
from tools.errors import ToolError

pytestmark = pytest.mark.e2e
VICTIM = 3
RECIPIENT = b"\xee" * 20
PAUSE_SECONDS = 0.02
BATCH = 500


class Load:
    """Sends one wei at a time from one account to one validator until stopped."""

    def __init__(self, validator: Validator, account: int) -> None:
        self.validator, self.account = validator, account
        self.accepted: list[bytes] = []
        self.failure: BaseException | None = None
        self.stopping = threading.Event()

    def run(self) -> None:
        """Body of the thread; an error ends it and is kept."""
        try:
            with Client(self.validator.url) as client:
                sender = Sender(client, keys.dev_key(self.account))
                while not self.stopping.is_set():
                    self.accepted.append(sender.send(RECIPIENT, value=1, gas=21_000))
                    time.sleep(PAUSE_SECONDS)
        except BaseException as error:
            self.failure = error


@contextmanager
def load(validators: list[Validator]) -> Iterator[list[Load]]:
    """One sender for each validator; every one must come through without an error."""
    loads = [Load(validator, index) for index, validator in enumerate(validators)]
    threads = [threading.Thread(target=item.run) for item in loads]
    for thread in threads:
        thread.start()
    try:
        yield loads
    finally:
        for item in loads:
            item.stopping.set()
        for thread in threads:
            thread.join(60)
    for item in loads:
        if item.failure is not None:
            raise item.failure


def test_kill_under_load(new_network: Networks) -> None:
    network = new_network()
    start(network)
    *others, victim = network.validators
    with sender_of(victim, account=5) as sender:
        gossiped = [sender.send(RECIPIENT, value=1, gas=21_000) for _ in range(5)]
    with load(others) as loads:
        wait_for(lambda: min(len(item.accepted) for item in loads) > 20, 60, "load")
        wait_for(lambda: height(victim) >= 3, 60, "blocks under load")
        network.kill(VICTIM)
        stopped_at = height(others[0])
        wait_for(lambda: height(others[0]) >= stopped_at + 4, 60, "blocks without the victim")
        network.start(VICTIM)
        wait_for(lambda: height(victim) > stopped_at, 60, "the victim catches up")
        wait_for(lambda: ask(victim, "qbft_status")["voting"], 60, "the victim votes again")
        target = height(victim) + 2
        wait_for_height(network.validators, target)

    sent = gossiped + [digest for item in loads for digest in item.accepted]
    assert len(sent) > 100
    for validator in network.validators:
        with Client(validator.url) as client:

            def mined(client: Client = client) -> bool:
                calls = [("eth_getTransactionReceipt", (hex_of(digest),)) for digest in sent]
                batches = [calls[i : i + BATCH] for i in range(0, len(calls), BATCH)]
                receipts = [receipt for batch in batches for receipt in client.batch(batch)]
                return all(receipt and receipt["status"] == "0x1" for receipt in receipts)

            wait_for(mined, 60, f"every accepted transaction at validator {validator.index}")
            balance = client.request("eth_getBalance", hex_of(RECIPIENT), "latest")
            assert int(balance, 16) == len(sent)
            assert client.request("txpool_status") == {"pending": "0x0", "queued": "0x0"}
    last = min(height(validator) for validator in network.validators)
    for number in range(last + 1):
        assert len({block_hash(validator, number) for validator in network.validators}) == 1
    assert ask(victim, "inference_nodeStatus")["diverged"] is False


@pytest.mark.slow
def test_a_power_cut(new_network: Networks) -> None:
    """All four die at once under load, three times: no block is lost and none is decided twice."""
    network = new_network()
    start(network)
    known: dict[int, str | None] = {}
    for _ in range(3):
        with contextlib.suppress(ToolError), load(list(network.validators)) as loads:
            wait_for(lambda running=loads: all(len(x.accepted) > 9 for x in running), 60, "load")
            top = max(height(validator) for validator in network.validators)
            wait_for(lambda h=top: height(network.validators[0]) > h, 60, "a block under load")
            for validator in network.validators:
                for number in range(height(validator) + 1):
                    found = block_hash(validator, number)
                    assert known.setdefault(number, found) == found
            for validator in network.validators:
                network.kill(validator.index)
        network.start_all()
        wait_for_height(network.validators, max(known) + 2)
    for validator in network.validators:
        for number, expected in known.items():
            assert block_hash(validator, number) == expected
