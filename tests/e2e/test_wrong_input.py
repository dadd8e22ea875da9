"""Wrong input over RPC: a typed error in the call, a failed transaction, and no state change."""

from dataclasses import dataclass
from typing import Any

import pytest

from genesis.addresses import INFERENCE, MODEL_REGISTRY
from precompiles.hashing import keccak256
from precompiles.model.limits import MAX_MODEL_BYTES
from precompiles.model_store import chunk_address
from precompiles.registry import MAX_CHUNK_BYTES
from tests.e2e.running import (
    ask,
    inference,
    logged_output,
    publish_small,
    receipt_at,
    sender_of,
    small_input,
    wait_for_height,
)
from tests.precompiles.native_calls import SMALL_ID, calldata
from tools.client import Client, eth_call, hex_of
from tools.devnet import Network
from tools.errors import RequestRefused
from tools.register import read_upload

pytestmark = pytest.mark.e2e
ACCOUNT = 7

BEGUN = b"\xc1 bytes that are no model" * 3
BEGUN_ID = keccak256(BEGUN)
OTHER_ID = keccak256(b"claimed for other bytes")
UNKNOWN_ID = bytes(31) + b"\x01"
CHUNK = 40


@dataclass(frozen=True, slots=True)
class Wrong:
    """A call and the error that it must give."""

    to: bytes
    data: bytes
    error: bytes


def registry(signature: str, *arguments: Any) -> tuple[bytes, bytes]:
    return MODEL_REGISTRY, calldata(signature, *arguments)


def infer(model: bytes, data: bytes) -> tuple[bytes, bytes]:
    return INFERENCE, calldata("inferAndLog(bytes32,bytes)", model, data)


UPLOAD = "upload(bytes32,uint32,bytes)"
CASES = {
    "chunk too short": Wrong(
        *registry(UPLOAD, BEGUN_ID, 0, b"x"),
        calldata("ChunkLengthMismatch(uint256,uint256)", CHUNK, 1),
    ),
    "chunk too long": Wrong(
        *registry(UPLOAD, BEGUN_ID, 0, b"x" * (CHUNK + 1)),
        calldata("ChunkLengthMismatch(uint256,uint256)", CHUNK, CHUNK + 1),
    ),
    "chunk of another place": Wrong(
        *registry(UPLOAD, BEGUN_ID, 9, b"x" * CHUNK),
        calldata("InvalidChunkIndex(uint256,uint256)", 9, 2),
    ),
    "chunk of nothing": Wrong(
        *registry(UPLOAD, UNKNOWN_ID, 0, b"x"), calldata("UploadNotBegun(bytes32)", UNKNOWN_ID)
    ),
    "publish without chunks": Wrong(
        *registry("publish(bytes32)", BEGUN_ID), calldata("ChunksMissing(uint256)", 2)
    ),
    "publish other bytes": Wrong(
        *registry("publish(bytes32)", OTHER_ID),
        calldata("ModelIdMismatch(bytes32,bytes32)", OTHER_ID, keccak256(b"spoiled")),
    ),
    "publish again": Wrong(
        *registry("publish(bytes32)", SMALL_ID), calldata("AlreadyPublished(bytes32)", SMALL_ID)
    ),
    "oversize model": Wrong(
        *registry("begin(bytes32,uint32,uint32)", UNKNOWN_ID, MAX_MODEL_BYTES + 1, 32_768),
        calldata("InvalidSize(uint256,uint256)", MAX_MODEL_BYTES + 1, MAX_MODEL_BYTES),
    ),
    "oversize chunk": Wrong(
        *registry("begin(bytes32,uint32,uint32)", UNKNOWN_ID, 1 << 20, MAX_CHUNK_BYTES + 1),
        calldata(
            "InvalidChunkSize(uint256,uint256,uint256)", MAX_CHUNK_BYTES + 1, 256, MAX_CHUNK_BYTES
        ),
    ),
    "input too short": Wrong(
        *infer(SMALL_ID, b"\1"), calldata("InputLengthMismatch(uint256,uint256)", 12, 1)
    ),
    "no input": Wrong(
        *infer(SMALL_ID, b""), calldata("InputLengthMismatch(uint256,uint256)", 12, 0)
    ),
    "unknown model": Wrong(
        *infer(UNKNOWN_ID, small_input(1)), calldata("ModelNotFound(bytes32)", UNKNOWN_ID)
    ),
    "unpublished model": Wrong(
        *infer(BEGUN_ID, small_input(1)), calldata("ModelNotFound(bytes32)", BEGUN_ID)
    ),
    "unknown function": Wrong(
        INFERENCE, b"\xde\xad\xbe\xef", calldata("UnknownFunction(bytes4)", b"\xde\xad\xbe\xef")
    ),
    "truncated calldata": Wrong(
        INFERENCE, infer(SMALL_ID, small_input(1))[1][:50], calldata("InvalidCalldata()")
    ),
}


@pytest.fixture(scope="module")
def node(network: Network) -> Network:
    """The shared network with SMALL published and two uploads begun."""
    first = network.validators[0]
    publish_small(first, chunk_size=CHUNK)
    with sender_of(first, ACCOUNT) as sender:
        begin = "begin(bytes32,uint32,uint32)"
        sender.send(MODEL_REGISTRY, calldata(begin, BEGUN_ID, len(BEGUN), CHUNK), gas=300_000)
        sender.send(MODEL_REGISTRY, calldata(begin, OTHER_ID, 7, 7), gas=300_000)
        sender.transact(MODEL_REGISTRY, calldata(UPLOAD, OTHER_ID, 0, b"spoiled"), gas=300_000)
        assert read_upload(sender.client, OTHER_ID).missing == 0
    return network


def native_state(client: Client, height: int) -> list[Any]:
    """Everything that the native accounts own: storage roots, balances, chunk code hashes."""
    chunks = [
        chunk_address(model, index)
        for model in (SMALL_ID, BEGUN_ID, OTHER_ID, UNKNOWN_ID)
        for index in range(3)
    ]
    proofs = client.batch(
        [
            ("eth_getProof", (hex_of(address), [], hex(height)))
            for address in (INFERENCE, MODEL_REGISTRY, *chunks)
        ]
    )
    fields = ("nonce", "balance", "storageHash", "codeHash")
    return [tuple(proof[field] for field in fields) for proof in proofs]


@pytest.mark.parametrize("name", CASES)
def test_a_call_tells_the_typed_error(name: str, node: Network) -> None:
    wrong = CASES[name]
    for validator in node.validators[::3]:
        with Client(validator.url) as client, pytest.raises(RequestRefused) as caught:
            eth_call(client, wrong.to, wrong.data)
        assert caught.value.code == 3
        assert caught.value.data == hex_of(wrong.error)


def test_transactions_fail_and_change_nothing(node: Network) -> None:
    first = node.validators[0]
    with sender_of(first, ACCOUNT) as sender:
        account = hex_of(sender.address)
        before = int(sender.client.request("eth_blockNumber"), 16)
        balance = int(sender.client.request("eth_getBalance", account, hex(before)), 16)
        sent = [sender.send(wrong.to, wrong.data, gas=300_000) for wrong in CASES.values()]
        receipts = [receipt_at(first, digest) for digest in sent]
        after = max(int(receipt["blockNumber"], 16) for receipt in receipts)
        for receipt in receipts:
            assert receipt["status"] == "0x0"
            assert receipt["logs"] == []
            assert int(receipt["gasUsed"], 16) < 300_000  # a revert keeps the rest
        assert native_state(sender.client, after) == native_state(sender.client, before)
        paid = sum(
            int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)
            for receipt in receipts
        )
        left = int(sender.client.request("eth_getBalance", account, hex(after)), 16)
        assert left == balance - paid
    wait_for_height(node.validators, after)


def test_out_of_gas_by_one_unit(node: Network) -> None:
    first = node.validators[0]
    data = inference(small_input(5))
    with sender_of(first, ACCOUNT) as sender:
        call = {"from": hex_of(sender.address), "to": hex_of(INFERENCE), "data": hex_of(data)}
        enough = int(sender.client.request("eth_estimateGas", call), 16)
        ask(first, "eth_call", call | {"gas": hex(enough)}, "latest")
        with pytest.raises(RequestRefused, match="out of gas"):
            ask(first, "eth_call", call | {"gas": hex(enough - 1)}, "latest")
        before = int(sender.client.request("eth_blockNumber"), 16)
        failed = receipt_at(first, sender.send(INFERENCE, data, gas=enough - 1))
        assert failed["status"] == "0x0"
        assert failed["logs"] == []
        assert int(failed["gasUsed"], 16) == enough - 1
        at = int(failed["blockNumber"], 16)
        assert native_state(sender.client, at) == native_state(sender.client, before)
        done = receipt_at(first, sender.send(INFERENCE, data, gas=enough))
        assert done["status"] == "0x1"
        assert logged_output(done)
        assert int(done["gasUsed"], 16) <= enough


def test_transactions_that_the_pool_refuses(node: Network) -> None:
    first = node.validators[0]
    with sender_of(first, ACCOUNT) as sender:
        before = sender.client.request("eth_getTransactionCount", hex_of(sender.address), "pending")
        too_long = b"\1" * (129 << 10)
        for fields, text in (
            ({"data": too_long, "gas": 10_000_000}, "oversized data"),
            ({"gas": 20_999}, "intrinsic gas too low"),
            ({"gas": 60_000_001}, "exceeds block gas limit"),
            ({"gas": (1 << 25) + 1}, "transaction gas limit too high"),
            ({"gas": 21_000, "value": 10**30}, "insufficient funds for gas"),
        ):
            with pytest.raises(RequestRefused, match=text):
                sender.send(INFERENCE, **fields)
        for raw in ("0x", "0x02c0", "0x" + "ff" * 50):
            with pytest.raises(RequestRefused) as caught:
                sender.client.request("eth_sendRawTransaction", raw)
            assert caught.value.code in (-32000, -32602)
        after = sender.client.request("eth_getTransactionCount", hex_of(sender.address), "pending")
        assert after == before
