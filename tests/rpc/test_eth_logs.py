"""Logs of several transactions in a block, and filters."""

import pytest

from tests.rpc.client import Client, Refused
from tests.rpc.local_chain import ACCOUNTS, LocalChain

SENDER = ACCOUNTS[0]
SET = "0x60fe47b1"


def word(number: int) -> str:
    return f"{number:064x}"


def test_several_logs_count_through_the_block(chain: LocalChain, rpc: Client, counter: str) -> None:
    chain.pause()
    try:
        hashes = [
            rpc("eth_sendRawTransaction", rpc.sign(account, to=counter, data=SET + word(20 + i)))
            for i, account in enumerate(ACCOUNTS)
        ]
    finally:
        chain.resume()
    receipts = [rpc.wait(tx_hash) for tx_hash in hashes]
    assert len({receipt["blockHash"] for receipt in receipts}) == 1
    block = receipts[0]["blockHash"]
    logs = rpc("eth_getLogs", {"blockHash": block})
    assert [log["logIndex"] for log in logs] == [hex(i) for i in range(len(ACCOUNTS))]
    assert [log["transactionIndex"] for log in logs] == [log["logIndex"] for log in logs]
    ordered = rpc("eth_getBlockReceipts", block)
    assert [log for receipt in ordered for log in receipt["logs"]] == logs
    gas = [int(receipt["gasUsed"], 16) for receipt in ordered]
    assert int(ordered[-1]["cumulativeGasUsed"], 16) == sum(gas)
    by_sender = {receipt["transactionHash"]: receipt for receipt in ordered}
    assert all(by_sender[receipt["transactionHash"]] == receipt for receipt in receipts)
    topic = "0x" + "00" * 12 + ACCOUNTS[2].address[2:].lower()
    (own,) = rpc("eth_getLogs", {"blockHash": block, "topics": [None, [topic]]})
    assert int(own["topics"][2], 16) == 22


def test_filters(rpc: Client, counter: str) -> None:
    logs = rpc("eth_newFilter", {"address": counter})
    blocks, pending = rpc("eth_newBlockFilter"), rpc("eth_newPendingTransactionFilter")
    past = rpc("eth_newFilter", {"address": counter, "fromBlock": "0x0", "toBlock": "0x0"})
    future = rpc("eth_newFilter", {"fromBlock": "0xffffff"})
    assert all(rpc("eth_getFilterChanges", one) == [] for one in (logs, blocks, pending, future))
    receipt = rpc.send(SENDER, to=counter, data=SET + word(30))
    assert rpc("eth_getFilterChanges", logs) == receipt["logs"]
    assert rpc("eth_getFilterChanges", blocks) == [receipt["blockHash"]]
    assert rpc("eth_getFilterChanges", pending) == [receipt["transactionHash"]]
    for one in (logs, blocks, pending, past, future):
        assert rpc("eth_getFilterChanges", one) == []
    assert receipt["logs"][0] in rpc("eth_getFilterLogs", logs)
    assert rpc("eth_getFilterLogs", past) == rpc("eth_getFilterLogs", future) == []
    for one in (logs, blocks, pending, past, future):
        assert rpc("eth_uninstallFilter", one) is True
        assert rpc("eth_uninstallFilter", one) is False
        with pytest.raises(Refused, match="filter not found"):
            rpc("eth_getFilterChanges", one)
    with pytest.raises(Refused, match="invalid block range params"):
        rpc("eth_newFilter", {"fromBlock": "0x2", "toBlock": "0x1"})


def test_too_many_logs(rpc: Client, counter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A query is refused whole; a filter hands its logs out in parts and loses none."""
    identity = rpc("eth_newFilter", {"address": counter})
    receipts = [rpc.send(SENDER, to=counter, data=SET + word(40 + i)) for i in range(5)]
    logs = [log for receipt in receipts for log in receipt["logs"]]
    span = {"fromBlock": receipts[0]["blockNumber"], "toBlock": receipts[4]["blockNumber"]}
    assert rpc("eth_getLogs", span) == logs
    monkeypatch.setattr("rpc.logs.MAX_LOGS", 2)
    with pytest.raises(Refused) as info:
        rpc("eth_getLogs", span)
    assert info.value.code == -32005
    assert "narrow the block range" in info.value.message
    parts = [rpc("eth_getFilterChanges", identity) for _ in range(4)]
    assert [len(part) for part in parts] == [2, 2, 1, 0]
    assert [log for part in parts for log in part] == logs


def test_filters_reach_back_in_parts(rpc: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    identity = rpc("eth_newBlockFilter")
    receipts = [rpc.send(SENDER, to="0x" + "02" * 20) for _ in range(3)]
    monkeypatch.setattr("rpc.methods.eth_logs.MAX_BLOCKS", 2)
    parts = [rpc("eth_getFilterChanges", identity) for _ in range(3)]
    assert [len(part) for part in parts] == [2, 1, 0]
    assert parts[0] + parts[1] == [receipt["blockHash"] for receipt in receipts]
