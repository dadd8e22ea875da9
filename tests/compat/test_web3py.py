"""web3.py, as people use it: signing middleware, filters, batch, async, WebSocket."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from web3 import AsyncHTTPProvider, AsyncWeb3, Web3, WebSocketProvider
from web3.exceptions import (
    ContractCustomError,
    ContractLogicError,
    ContractPanicError,
    TransactionNotFound,
    Web3RPCError,
)
from web3.middleware import SignAndSendRawMiddlewareBuilder

from tests.rpc.local_chain import ACCOUNTS, ETHER, LocalChain

ACCOUNT = ACCOUNTS[2]
ARTIFACT = json.loads((Path(__file__).parent / "Counter.json").read_text())
NUMBER = "0x8381f58a"
RECIPIENT = Account.from_key(b"\x05" * 32).address


@pytest.fixture(scope="module")
def w3(chain: LocalChain) -> Web3:
    client = Web3(Web3.HTTPProvider(chain.url))
    client.middleware_onion.inject(SignAndSendRawMiddlewareBuilder.build(ACCOUNT), layer=0)
    client.eth.default_account = ACCOUNT.address
    return client


@pytest.fixture
def counter(w3: Web3) -> Any:
    """A fresh contract that holds 3."""
    factory = w3.eth.contract(abi=ARTIFACT["abi"], bytecode=ARTIFACT["bytecode"])
    receipt = mined(w3, factory.constructor(3).transact())
    return w3.eth.contract(address=receipt["contractAddress"], abi=ARTIFACT["abi"])


def mined(w3: Web3, tx_hash: Any) -> Any:
    receipt = w3.eth.wait_for_transaction_receipt(tx_hash, timeout=20, poll_latency=0.02)
    assert receipt["status"] == 1
    return receipt


def entries(log_filter: Any) -> list[Any]:
    for _ in range(200):
        found: list[Any] = log_filter.get_new_entries()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("no new entries")


def test_calls_and_their_errors(counter: Any) -> None:
    assert counter.functions.number().call() == 3
    with pytest.raises(ContractCustomError):
        counter.functions.set(5000).call()
    with pytest.raises(ContractLogicError, match="unlucky"):
        counter.functions.set(13).call()
    with pytest.raises(ContractPanicError):
        counter.functions.boom().call()
    with pytest.raises(ContractCustomError):
        counter.functions.set(5000).transact()  # estimate_gas fails first


def test_sending(w3: Web3, counter: Any) -> None:
    assert len(mined(w3, counter.functions.set(5).transact())["logs"]) == 1
    transaction = counter.functions.set(7).build_transaction(
        {"from": ACCOUNT.address, "nonce": w3.eth.get_transaction_count(ACCOUNT.address)}
    )
    signed = ACCOUNT.sign_transaction(transaction)
    receipt = mined(w3, w3.eth.send_raw_transaction(signed.raw_transaction))
    assert counter.functions.number().call() == 7
    assert w3.eth.get_transaction(receipt["transactionHash"])["nonce"] == transaction["nonce"]
    block = w3.eth.get_block(receipt["blockNumber"], True)
    assert block["transactions"][0]["hash"] == receipt["transactionHash"]
    assert len(w3.eth.get_block_receipts(receipt["blockNumber"])) == 1
    with pytest.raises(Web3RPCError, match="insufficient funds"):
        w3.eth.send_transaction({"to": RECIPIENT, "value": 10**30, "gas": 21_000})
    with pytest.raises(TransactionNotFound):
        w3.eth.get_transaction("0x" + "11" * 32)


@pytest.mark.parametrize("tag", ["latest", "earliest", "pending", "safe", "finalized"])
def test_blocks_need_no_middleware(w3: Web3, tag: Any) -> None:
    assert len(w3.eth.get_block(tag)["extraData"]) <= 32


def test_node_questions(w3: Web3) -> None:
    assert w3.is_connected()
    assert w3.client_version.startswith("assay/")
    assert w3.net.version == str(w3.eth.chain_id)
    assert w3.net.listening
    assert w3.net.peer_count == 0
    assert w3.eth.syncing is False
    assert w3.eth.gas_price > w3.eth.max_priority_fee > 0
    history = w3.eth.fee_history(4, "latest", [50])
    assert len(history["reward"][0]) == 1
    assert len(history["baseFeePerGas"]) == len(history["gasUsedRatio"]) + 1


def test_state(w3: Web3, counter: Any) -> None:
    slot = "0x" + "00" * 32
    proof = w3.eth.get_proof(counter.address, [slot])
    assert int.from_bytes(proof["storageProof"][0]["value"], "big") == 3
    assert w3.eth.get_proof(counter.address, [0])["balance"] == 0  # a short key
    assert int.from_bytes(w3.eth.get_storage_at(counter.address, 0), "big") == 3
    assert len(w3.eth.get_code(counter.address)) > 100
    assert w3.eth.get_balance(ACCOUNT.address) > 9_000 * ETHER
    word = "0x" + "00" * 31 + "09"
    override: Any = {counter.address: {"stateDiff": {slot: word}}}
    answer = w3.eth.call({"to": counter.address, "data": NUMBER}, "latest", override)
    assert int.from_bytes(answer, "big") == 9
    assert counter.functions.set(5).estimate_gas() > 21_000
    created = w3.eth.create_access_list({"to": counter.address, "data": NUMBER})
    assert created["accessList"][0]["address"] == counter.address


def test_filters(w3: Web3, counter: Any) -> None:
    start = w3.eth.block_number
    logs = counter.events.Set.create_filter(from_block="latest")
    blocks, pending = w3.eth.filter("latest"), w3.eth.filter("pending")
    tx_hash = counter.functions.set(8).transact()
    mined(w3, tx_hash)
    assert entries(logs)[0]["args"]["value"] == 8
    assert w3.eth.get_block(start + 1)["hash"] in entries(blocks)
    assert tx_hash in entries(pending)
    assert len(counter.events.Set().get_logs(from_block=start)) == 1
    assert len(counter.events.Set.create_filter(from_block=start).get_all_entries()) == 1
    assert w3.eth.uninstall_filter(logs.filter_id)


def test_batch(w3: Web3) -> None:
    with w3.batch_requests() as batch:
        batch.add(w3.eth.get_block("latest"))
        batch.add(w3.eth.get_balance(ACCOUNT.address))
        assert len(batch.execute()) == 2


def test_async_http(chain: LocalChain) -> None:
    async def number() -> int:
        provider = AsyncHTTPProvider(chain.url)
        found = await AsyncWeb3(provider).eth.get_block("latest")
        await provider.disconnect()
        return int(found["number"])

    assert asyncio.run(number()) >= 0


@pytest.mark.parametrize("kind", ["newHeads", "logs", "newPendingTransactions"])
def test_subscriptions(kind: Any, w3: Web3, counter: Any, chain: LocalChain) -> None:
    async def first_event() -> Any:
        async with AsyncWeb3(WebSocketProvider(chain.ws_url)) as client:
            options = [{"address": counter.address}] if kind == "logs" else []
            identity = await client.eth.subscribe(kind, *options)
            loop = asyncio.get_running_loop()
            sent = loop.run_in_executor(None, counter.functions.set(11).transact)
            async for message in client.socket.process_subscriptions():
                assert message["subscription"] == identity
                break
            mined(w3, await sent)
            assert await client.eth.unsubscribe(identity)

    asyncio.run(asyncio.wait_for(first_event(), 20))
