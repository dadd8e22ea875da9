"""``eth_call`` and ``eth_estimateGas`` through reader processes."""

import asyncio
from typing import Any

import pytest

from chain.requests import CallRequest, CallResult
from genesis.addresses import INFERENCE
from precompiles import abi
from rpc.call_queue import CallQueue
from tests.rpc.client import Client, Refused
from tests.rpc.local_chain import ACCOUNTS, LocalChain

SENDER = ACCOUNTS[0]
NUMBER, SET, BOOM, HITS = "0x8381f58a", "0x60fe47b1", "0xa169ce09", "0xbc1eb91c"
TOO_BIG = "0x6ad9cdfc"


def word(number: int) -> str:
    return f"{number:064x}"


def test_calls_at_blocks(rpc: Client, counter: str) -> None:
    call = {"to": counter, "data": NUMBER}
    before = rpc("eth_blockNumber")
    receipt = rpc.send(SENDER, to=counter, data=SET + word(4))
    assert rpc("eth_call", call) == "0x" + word(4)
    for tag in ("latest", "pending", "safe", receipt["blockNumber"], receipt["blockHash"]):
        assert rpc("eth_call", call, tag) == "0x" + word(4)
    assert rpc("eth_call", call, before) == "0x" + word(3)
    assert rpc("eth_call", call, {"blockHash": receipt["blockHash"]}) == "0x" + word(4)
    assert rpc("eth_call", call, "earliest") == "0x"


def test_input_and_data(rpc: Client, counter: str) -> None:
    both = {"to": counter, "data": NUMBER, "input": NUMBER, "chainId": "0x7a69", "type": "0x2"}
    assert rpc("eth_call", both) == rpc("eth_call", {"to": counter, "input": NUMBER})


def test_deployless(rpc: Client) -> None:
    """A creation gives back the code: ``PUSH1 2a, PUSH0, MSTORE, PUSH1 20, PUSH0, RETURN``."""
    assert rpc("eth_call", {"data": "0x602a5f5260205ff3", "to": None}) == "0x" + word(42)


def test_overrides(rpc: Client, counter: str) -> None:
    call = {"to": counter, "data": NUMBER}
    diff = {counter: {"stateDiff": {"0x" + word(0): "0x" + word(77)}}}
    assert rpc("eth_call", call, "latest", diff) == "0x" + word(77)
    emptied = {counter: {"state": {}}}
    assert rpc("eth_call", call, "latest", emptied) == "0x" + word(0)
    code = {"0x" + "ab" * 20: {"code": "0x602a5f5260205ff3"}}
    assert rpc("eth_call", {"to": "0x" + "ab" * 20}, "latest", code) == "0x" + word(42)
    poor = "0x" + "cd" * 20
    rich = {poor: {"balance": "0x10"}}
    value = {"from": poor, "to": counter, "value": "0x10"}
    assert rpc("eth_call", value, "latest", rich) == "0x"
    with pytest.raises(Refused, match="insufficient funds"):
        rpc("eth_call", value)
    number = {"data": "0x435f5260205ff3"}  # NUMBER, PUSH0, MSTORE, PUSH1 20, PUSH0, RETURN
    assert rpc("eth_call", number, "latest", {}, {"number": "0x1234"}) == "0x" + word(0x1234)
    assert rpc("eth_call", call) != "0x" + word(77)


@pytest.mark.parametrize("method", ["eth_call", "eth_estimateGas"])
@pytest.mark.parametrize(
    ("data", "text", "prefix"),
    [
        (SET + word(5000), "execution reverted", TOO_BIG),
        (SET + word(13), "execution reverted: unlucky", "0x08c379a0"),
        (BOOM, "execution reverted: assert(false)", "0x4e487b71"),
        ("0xdeadbeef", "execution reverted", "0x"),
    ],
)
def test_reverts(rpc: Client, counter: str, method: str, data: str, text: str, prefix: str) -> None:
    with pytest.raises(Refused) as info:
        rpc(method, {"to": counter, "data": data, "from": SENDER.address})
    assert (info.value.code, info.value.message) == (3, text)
    assert info.value.data.startswith(prefix)


def test_native_accounts_revert_with_typed_errors(rpc: Client) -> None:
    unknown = b"\x99" * 32
    data = abi.selector("gasFor(bytes32,uint256)") + abi.encode(
        ("bytes32", "uint256"), (unknown, 1)
    )
    with pytest.raises(Refused) as info:
        rpc("eth_call", {"to": "0x" + INFERENCE.hex(), "data": "0x" + data.hex()})
    assert info.value.code == 3
    assert info.value.message == f"execution reverted: ModelNotFound(0x{unknown.hex()})"
    assert info.value.data == "0x" + (abi.selector("ModelNotFound(bytes32)") + unknown).hex()


@pytest.mark.parametrize(
    ("call", "code", "text"),
    [
        ({"gas": "0x5800", "data": SET + word(5)}, -32000, "out of gas"),
        ({"gasPrice": "0x1"}, -32000, "max fee per gas less than block base fee"),
        ({"value": "0x1", "from": "0x" + "12" * 20}, -32000, "insufficient funds"),
        ({"gasPrice": "0x1", "maxFeePerGas": "0x1"}, -32602, "invalid argument: both gasPrice"),
        ({"data": "0xfff"}, -32602, "invalid argument: data: invalid hex data"),
        ({"from": "me"}, -32602, "invalid argument: from: expected hex data"),
    ],
)
def test_refused_calls(
    rpc: Client, counter: str, call: dict[str, Any], code: int, text: str
) -> None:
    with pytest.raises(Refused) as info:
        rpc("eth_call", {"to": counter} | call)
    assert info.value.code == code
    assert text in info.value.message


def test_parameters(rpc: Client) -> None:
    for params in ([], [None], [None, "latest"]):
        with pytest.raises(Refused, match="missing value for required argument 0"):
            rpc("eth_call", *params)
    with pytest.raises(Refused, match="header not found"):
        rpc("eth_call", {}, "0xfffffff")
    with pytest.raises(Refused, match="expected an object"):
        rpc("eth_call", "0x")


def test_an_estimate_is_exact(rpc: Client, counter: str) -> None:
    """Used as the gas limit it succeeds; one unit less fails."""
    transfer = {"from": SENDER.address, "to": "0x" + "55" * 20, "value": "0x1"}
    assert rpc("eth_estimateGas", transfer) == hex(21_000)
    data = SET + word(6)
    call = {"from": SENDER.address, "to": counter, "data": data}
    gas = int(rpc("eth_estimateGas", call, "latest"), 16)
    with pytest.raises(Refused, match="gas"):
        rpc("eth_call", call | {"gas": hex(gas - 1)})
    receipt = rpc.send(SENDER, to=counter, data=data, gas=gas)
    assert receipt["status"] == "0x1"


def test_an_estimate_that_no_limit_satisfies(rpc: Client, counter: str) -> None:
    call = {"from": SENDER.address, "to": counter, "data": SET + word(6), "gas": "0x5300"}
    with pytest.raises(Refused, match=r"gas required exceeds allowance \(21248\)"):
        rpc("eth_estimateGas", call)


def test_waiting_calls_are_bounded(chain: LocalChain) -> None:
    queue = CallQueue(chain.node.reader, limit=2)
    request = CallRequest(block_hash=chain.node.store.genesis_hash(), to=b"\x01" * 20)

    async def flood() -> list[object]:
        calls = [queue.call(request) for _ in range(5)]
        first = await asyncio.gather(*calls, return_exceptions=True)
        return [*first, await queue.call(request)]

    results = asyncio.run_coroutine_threadsafe(flood(), chain.loop).result(30)
    kinds = [isinstance(result, CallResult) for result in results]
    assert kinds == [True, True, False, False, False, True]
    assert "too many calls are waiting: limit 2" in str(results[2])


def test_access_lists(rpc: Client, counter: str) -> None:
    call = {"from": SENDER.address, "to": counter, "data": SET + word(7)}
    created = rpc("eth_createAccessList", call)
    (entry,) = created["accessList"]  # the recipient, because of its slots
    assert entry["address"] == counter
    assert entry["storageKeys"][0] == "0x" + word(0)
    assert len(entry["storageKeys"]) == 2  # number and hits[sender]
    with_list = call | {"accessList": created["accessList"]}
    assert rpc("eth_createAccessList", with_list) == created
    receipt = rpc.send(SENDER, to=counter, data=SET + word(7), accessList=created["accessList"])
    assert receipt["gasUsed"] == created["gasUsed"]


def test_access_lists_name_other_accounts(rpc: Client) -> None:
    """``BALANCE`` of one account and ``SLOAD`` of a creation; nothing of precompiles."""
    other = "77" * 20
    data = "0x73" + other + "31" + "600454" + "600131" + "00"
    (entry,) = rpc("eth_createAccessList", {"data": data})["accessList"][:1]
    assert entry == {"address": "0x" + other, "storageKeys": []}
    addresses = [
        item["address"] for item in rpc("eth_createAccessList", {"data": data})["accessList"]
    ]
    assert "0x" + "00" * 19 + "01" not in addresses


def test_access_lists_of_failing_calls(rpc: Client, counter: str) -> None:
    failed = rpc("eth_createAccessList", {"to": counter, "data": SET + word(13)})
    assert failed["error"] == "execution reverted"
    assert int(failed["gasUsed"], 16) > 21_000
