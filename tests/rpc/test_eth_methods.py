"""``eth_``, ``net_``, ``txpool_`` and ``qbft_`` methods on real blocks."""

from typing import Any

import pytest
from eth_account import Account

from chain.extra_data import chain_extra_data
from chain.proof import verify_account_proof, verify_storage_proof
from precompiles.hashing import keccak256
from tests.rpc.client import Client, Refused
from tests.rpc.local_chain import ACCOUNTS, ETHER, VALIDATOR, LocalChain

SENDER = ACCOUNTS[0]
SET = "0x60fe47b1"
SET_TOPIC = "0x" + keccak256(b"Set(address,uint256,string)").hex()
UNKNOWN = "0x" + "11" * 32


def word(number: int) -> str:
    return f"{number:064x}"


@pytest.fixture(scope="module")
def written(chain: LocalChain, deployed: dict[str, Any]) -> dict[str, Any]:
    """Receipt of ``set(9)``."""
    to = deployed["contractAddress"]
    return Client(chain.url).send(SENDER, to=to, data=SET + word(9))


def test_the_receipt_of_a_creation(rpc: Client, deployed: dict[str, Any]) -> None:
    assert deployed["status"] == "0x1"
    assert deployed["to"] is None
    assert deployed["from"] == SENDER.address.lower()
    assert deployed["type"] == "0x2"
    assert deployed["cumulativeGasUsed"] == deployed["gasUsed"]
    assert len(rpc("eth_getCode", deployed["contractAddress"], "latest")) > 100
    block = rpc("eth_getBlockByHash", deployed["blockHash"], False)
    price = int(block["baseFeePerGas"], 16) + 10**9
    assert int(deployed["effectiveGasPrice"], 16) == price


def test_a_log_everywhere_alike(rpc: Client, written: dict[str, Any]) -> None:
    (log,) = written["logs"]
    assert log["topics"][0] == SET_TOPIC
    assert int(log["topics"][2], 16) == 9
    assert log["removed"] is False
    assert log["logIndex"] == "0x0"
    assert log["transactionHash"] == written["transactionHash"]
    by_hash = rpc("eth_getLogs", {"blockHash": written["blockHash"]})
    number = written["blockNumber"]
    by_range = rpc("eth_getLogs", {"fromBlock": number, "toBlock": number, "topics": [SET_TOPIC]})
    address = written["to"]
    by_address = rpc("eth_getLogs", {"fromBlock": "earliest", "address": [address]})
    assert by_hash == by_range == by_address == [log]


def test_blocks(rpc: Client, written: dict[str, Any]) -> None:
    block = rpc("eth_getBlockByNumber", written["blockNumber"], False)
    assert block["hash"] == written["blockHash"]
    assert block["transactions"] == [written["transactionHash"]]
    assert block["extraData"] == "0x" + chain_extra_data().hex()
    assert block["miner"] == "0x" + VALIDATOR.hex()
    assert block["uncles"] == block["withdrawals"] == []
    assert (block["difficulty"], block["nonce"]) == ("0x0", "0x" + "00" * 8)
    assert rpc("eth_getBlockByHash", block["hash"], False) == block
    full = rpc("eth_getBlockByNumber", written["blockNumber"], True)
    (transaction,) = full["transactions"]
    assert {**full, "transactions": None} == {**block, "transactions": None}
    assert transaction == rpc("eth_getTransactionByHash", written["transactionHash"])
    number, digest = written["blockNumber"], written["blockHash"]
    assert transaction == rpc("eth_getTransactionByBlockNumberAndIndex", number, "0x0")
    assert transaction == rpc("eth_getTransactionByBlockHashAndIndex", digest, "0x0")
    assert rpc("eth_getTransactionByBlockHashAndIndex", digest, "0x1") is None
    assert rpc("eth_getBlockTransactionCountByNumber", number) == "0x1"
    assert rpc("eth_getBlockTransactionCountByHash", digest) == "0x1"
    assert rpc("eth_getUncleCountByBlockNumber", number) == "0x0"
    assert rpc("eth_getBlockReceipts", number) == [written]
    assert rpc("eth_getBlockReceipts", digest) == [written]
    header = rpc("eth_getHeaderByNumber", number)
    assert header["hash"] == digest
    assert "transactions" not in header


def test_tags(rpc: Client, written: dict[str, Any]) -> None:
    head = rpc("eth_blockNumber")
    for tag in ("latest", "pending", "safe", "finalized"):
        assert rpc("eth_getBlockByNumber", tag, False)["number"] == head
    assert rpc("eth_getBlockByNumber", "earliest", False)["number"] == "0x0"


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("eth_getBlockByNumber", ["0xfffffff", False]),
        ("eth_getBlockByHash", [UNKNOWN, False]),
        ("eth_getBlockReceipts", ["0xfffffff"]),
        ("eth_getBlockReceipts", [UNKNOWN]),
        ("eth_getBlockTransactionCountByHash", [UNKNOWN]),
        ("eth_getTransactionByHash", [UNKNOWN]),
        ("eth_getTransactionByBlockNumberAndIndex", ["0xfffffff", "0x0"]),
        ("eth_getTransactionReceipt", [UNKNOWN]),
        ("eth_getUncleCountByBlockHash", [UNKNOWN]),
        ("qbft_getValidatorsByBlockHash", [UNKNOWN]),
        ("qbft_getCommitCertificate", ["earliest"]),
        ("inference_getReceipt", [UNKNOWN]),
    ],
)
def test_what_does_not_exist_is_null(rpc: Client, method: str, params: list[object]) -> None:
    assert rpc(method, *params) is None


@pytest.mark.parametrize(
    ("transaction", "kind"),
    [
        ({"gasPrice": 10**11}, "0x0"),
        ({"gasPrice": 10**11, "accessList": [], "type": 1}, "0x1"),
        ({}, "0x2"),
    ],
)
def test_types(rpc: Client, transaction: dict[str, Any], kind: str) -> None:
    receipt = rpc.send(SENDER, to="0x" + "02" * 20, value=7, **transaction)
    assert (receipt["status"], receipt["type"], receipt["gasUsed"]) == ("0x1", kind, hex(21_000))
    found = rpc("eth_getTransactionByHash", receipt["transactionHash"])
    assert found["type"] == kind
    assert found["chainId"] == hex(31337)
    assert ("accessList" in found) == (kind != "0x0")
    assert ("maxFeePerGas" in found) == (kind == "0x2")
    raw = rpc("eth_getRawTransactionByHash", receipt["transactionHash"])
    assert "0x" + keccak256(bytes.fromhex(raw[2:])).hex() == receipt["transactionHash"]


def test_delegation(rpc: Client) -> None:
    signer = Account.from_key(b"\x09" * 32)
    authorization = signer.sign_authorization(
        {"chainId": 31337, "address": "0x" + "a1" * 20, "nonce": 0}
    )
    plain = {"from": SENDER.address, "to": signer.address}
    listed = {
        "chainId": hex(31337),
        "address": "0x" + "a1" * 20,
        "nonce": "0x0",
        "yParity": hex(authorization.y_parity),
        "r": hex(authorization.r),
        "s": hex(authorization.s),
    }
    assert rpc("eth_estimateGas", plain) == hex(21_000)
    gas = int(rpc("eth_estimateGas", plain | {"authorizationList": [listed]}), 16)
    assert gas >= 46_000
    receipt = rpc.send(
        SENDER, to=signer.address, authorizationList=[authorization], gas=gas, type=4
    )
    assert receipt["status"] == "0x1"
    found = rpc("eth_getTransactionByHash", receipt["transactionHash"])
    assert found["authorizationList"] == [listed]
    assert rpc("eth_getCode", signer.address, "latest") == "0xef0100" + "a1" * 20


def test_state(rpc: Client, written: dict[str, Any]) -> None:
    counter, number = written["to"], written["blockNumber"]
    before = hex(int(number, 16) - 1)
    assert rpc("eth_getStorageAt", counter, "0x0", "latest") == "0x" + word(9)
    assert rpc("eth_getStorageAt", counter, "0x" + "00" * 32, before) == "0x" + word(3)
    assert rpc("eth_getStorageAt", counter, "0x5") == "0x" + word(0)
    info = rpc("eth_getAccountInfo", counter, number)
    assert info == {
        "balance": "0x0",
        "nonce": "0x1",
        "code": rpc("eth_getCode", counter, {"blockHash": written["blockHash"]}),
    }
    assert rpc("eth_getBalance", SENDER.address, "earliest") == hex(10_000 * ETHER)
    assert rpc("eth_getBalance", SENDER.address, {"blockNumber": "0x0"}) == hex(10_000 * ETHER)
    assert rpc("eth_getCode", "0x" + "99" * 20) == "0x"
    nonce = rpc("eth_getTransactionCount", SENDER.address, "latest")
    assert nonce == rpc("eth_getTransactionCount", SENDER.address, "pending")
    assert rpc("eth_accounts") == []


def test_proofs_verify(rpc: Client, written: dict[str, Any]) -> None:
    counter, number = written["to"], written["blockNumber"]
    proof = rpc("eth_getProof", counter, ["0x0", "0x" + word(5)], number)
    root = bytes.fromhex(rpc("eth_getBlockByNumber", number, False)["stateRoot"][2:])

    def nodes(items: list[str]) -> list[bytes]:
        return [bytes.fromhex(item[2:]) for item in items]

    address = bytes.fromhex(counter[2:])
    account = verify_account_proof(root, address, nodes(proof["accountProof"]))
    assert (hex(account.nonce), hex(account.balance)) == (proof["nonce"], proof["balance"])
    assert "0x" + account.storage_root.hex() == proof["storageHash"]
    present, absent = proof["storageProof"]
    assert (present["key"], present["value"], absent["value"]) == ("0x0", "0x9", "0x0")
    for slot, item in ((0, present), (5, absent)):
        value = verify_storage_proof(account.storage_root, slot, nodes(item["proof"]))
        assert hex(value) == item["value"]
    missing = rpc("eth_getProof", "0x" + "98" * 20, [], "latest")
    assert missing["codeHash"] == "0x" + keccak256(b"").hex()


def test_fees(rpc: Client, written: dict[str, Any]) -> None:
    head = int(rpc("eth_blockNumber"), 16)
    history = rpc("eth_feeHistory", "0x3", "latest", [0, 50, 100])
    assert history["oldestBlock"] == hex(head - 2)
    assert len(history["baseFeePerGas"]) == 4
    assert len(history["gasUsedRatio"]) == len(history["reward"]) == 3
    base = int(rpc("eth_baseFee"), 16)
    assert int(history["baseFeePerGas"][-1], 16) == base
    tip = int(rpc("eth_maxPriorityFeePerGas"), 16)
    assert int(rpc("eth_gasPrice"), 16) == base + tip
    number = written["blockNumber"]
    (rewards,) = rpc("eth_feeHistory", 1, number, [10, 90])["reward"]
    assert rewards == [hex(10**9)] * 2
    assert "reward" not in rpc("eth_feeHistory", "0x1", "latest")
    assert rpc("eth_feeHistory", "0x0", "latest", []) == {"oldestBlock": "0x0", "gasUsedRatio": []}
    assert rpc("eth_feeHistory", "0x400", "0x0", [])["oldestBlock"] == "0x0"
    assert rpc("eth_blobBaseFee") == "0x1"


@pytest.mark.parametrize(
    ("method", "params", "code", "text"),
    [
        ("eth_getBalance", [], -32602, "missing value for required argument 0"),
        ("eth_getBalance", ["0x12", "latest"], -32602, "invalid argument 0: address needs 20"),
        ("eth_getBalance", ["0x" + "12" * 20, "newest"], -32602, "invalid argument 1"),
        ("eth_getBalance", ["0x" + "12" * 20, "0xfffffff"], -32000, "header not found"),
        ("eth_getBalance", ["0x" + "12" * 20, UNKNOWN], -32000, "header not found"),
        (
            "eth_getBalance",
            ["0x" + "12" * 20, {}],
            -32602,
            "invalid argument 1: give either",
        ),
        ("eth_getProof", ["0x" + "12" * 20, ["0x0"] * 1025], -32602, "too many keys"),
        ("eth_getLogs", [{"fromBlock": "0x5", "toBlock": "0x1"}], -32602, "invalid block range"),
        ("eth_getLogs", [{"blockHash": UNKNOWN}], -32000, "unknown block"),
        ("eth_getLogs", [{"blockHash": UNKNOWN, "toBlock": "0x1"}], -32602, "cannot specify both"),
        ("eth_getLogs", [{"topics": [None] * 5}], -32602, "exceed max topics"),
        ("eth_getFilterChanges", ["0x1234"], -32000, "filter not found"),
        ("eth_feeHistory", ["0x1", "0xfffffff", []], -32000, "request beyond head block"),
        ("eth_feeHistory", ["0x1", "latest", [50, 10]], -32602, "invalid argument 2"),
        ("eth_feeHistory", ["0x1", "latest", [101]], -32602, "invalid argument 2"),
        ("eth_noSuchMethod", [], -32601, "the method eth_noSuchMethod does not exist"),
        ("eth_sendTransaction", [{}], -32601, "the method eth_sendTransaction does not exist"),
        ("qbft_status", [], -32000, "this node takes no part in consensus"),
    ],
)
def test_errors(rpc: Client, method: str, params: list[Any], code: int, text: str) -> None:
    with pytest.raises(Refused) as info:
        rpc(method, *params)
    assert (info.value.code, info.value.message[: len(text)]) == (code, text)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"nonce": 0}, "nonce too low: next nonce "),
        ({"value": 10**30}, "insufficient funds for gas * price + value: address 0x"),
        ({"maxFeePerGas": 1, "maxPriorityFeePerGas": 1}, "max fee per gas less than block base"),
        ({"gas": 20_000}, "intrinsic gas too low: have 20000, want 21000"),
        ({"gas": 10**9}, "exceeds block gas limit"),
        (
            {"maxFeePerGas": 10**9, "maxPriorityFeePerGas": 2 * 10**9},
            "max priority fee per gas higher than max fee per gas",
        ),
        ({"chainId": 1}, "invalid chain id for signer"),
    ],
)
def test_refused_transactions(rpc: Client, fields: dict[str, Any], text: str) -> None:
    with pytest.raises(Refused) as info:
        rpc("eth_sendRawTransaction", rpc.sign(SENDER, to="0x" + "02" * 20, **fields))
    assert info.value.code == -32000
    assert info.value.message.startswith(text)


@pytest.mark.parametrize("raw", ["0x", "0x1234", "0xc0", "0x05c0"])
def test_garbage_is_refused(rpc: Client, raw: str) -> None:
    with pytest.raises(Refused) as info:
        rpc("eth_sendRawTransaction", raw)
    assert info.value.code == -32000


def test_the_pool(chain: LocalChain, rpc: Client) -> None:
    waiting = ACCOUNTS[1]
    sender = waiting.address.lower()
    chain.pause()
    try:
        first = rpc.sign(waiting, to="0x" + "03" * 20, value=1)
        tx_hash = rpc("eth_sendRawTransaction", first)
        nonce = int(rpc("eth_getTransactionCount", sender, "latest"), 16)
        assert rpc("eth_getTransactionCount", sender, "pending") == hex(nonce + 1)
        gapped = rpc.sign(waiting, to="0x" + "03" * 20, nonce=nonce + 2)
        rpc("eth_sendRawTransaction", gapped)
        assert rpc("txpool_status") == {"pending": "0x1", "queued": "0x1"}
        content = rpc("txpool_content")
        pending = content["pending"][sender][str(nonce)]
        assert pending["hash"] == tx_hash
        assert pending["blockHash"] is pending["blockNumber"] is None
        assert pending == rpc("eth_getTransactionByHash", tx_hash)
        assert rpc("eth_getRawTransactionByHash", tx_hash) == first
        assert str(nonce + 2) in rpc("txpool_contentFrom", sender)["queued"]
        assert "1 wei + 500000 gas" in rpc("txpool_inspect")["pending"][sender][str(nonce)]
        assert rpc("eth_getTransactionReceipt", tx_hash) is None
        with pytest.raises(Refused, match="already known"):
            rpc("eth_sendRawTransaction", first)
        replacement = rpc.sign(waiting, to="0x" + "04" * 20, nonce=nonce)
        with pytest.raises(Refused, match="replacement transaction underpriced"):
            rpc("eth_sendRawTransaction", replacement)
        late = rpc.sign(waiting, to="0x" + "03" * 20, nonce=nonce + 3)
        with pytest.raises(Refused) as info:
            rpc("eth_sendRawTransactionSync", late, 50)
        assert info.value.code == 4
        assert info.value.data == "0x" + keccak256(bytes.fromhex(late[2:])).hex()
        rpc("eth_sendRawTransaction", rpc.sign(waiting, to="0x" + "03" * 20, nonce=nonce + 1))
    finally:
        chain.resume()
    rpc.wait(info.value.data)
    assert rpc("txpool_status") == {"pending": "0x0", "queued": "0x0"}
    with pytest.raises(Refused, match="nonce too low"):
        rpc("eth_sendRawTransaction", first)


def test_send_and_wait_in_one_call(rpc: Client) -> None:
    receipt = rpc("eth_sendRawTransactionSync", rpc.sign(SENDER, to="0x" + "02" * 20))
    assert receipt == rpc("eth_getTransactionReceipt", receipt["transactionHash"])


def test_who_the_node_is(rpc: Client, chain: LocalChain) -> None:
    assert rpc("web3_clientVersion") == "assay/v0.1.0/test"
    assert rpc("web3_sha3", "0x") == "0x" + keccak256(b"").hex()
    assert rpc("net_version") == "31337"
    assert rpc("net_listening") is True
    assert rpc("net_peerCount") == "0x0"
    assert rpc("eth_syncing") is False
    assert rpc("admin_nodeInfo")["protocols"]["assay"]["network"] == 31337
    assert rpc("admin_peers") == []
    assert "inference" in rpc("rpc_modules")
    assert rpc("qbft_getValidatorsByBlockNumber", "latest") == ["0x" + VALIDATOR.hex()]
    genesis = rpc("eth_getBlockByNumber", "0x0", False)["hash"]
    assert rpc("qbft_getValidatorsByBlockHash", genesis) == ["0x" + VALIDATOR.hex()]
