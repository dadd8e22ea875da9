"""``inference_`` methods with a model that is published by transactions."""

from typing import Any

import pytest

from consensus.inference_certificate import check_certificate
from genesis.addresses import INFERENCE, MODEL_REGISTRY
from precompiles import abi
from precompiles.hashing import keccak256
from precompiles.model.codec import encode_model, model_id
from precompiles.runner import run_reference
from precompiles.selftest import KERNEL_DIGEST
from precompiles.selftest_models import sample_models
from tests.rpc.client import Client, Refused
from tests.rpc.local_chain import ACCOUNTS, LocalChain

SENDER = ACCOUNTS[1]
MODEL = dict(sample_models())["linear_integer"]  # s32[6] -> s64[19], scale 1
BYTES = encode_model(MODEL)
ID = model_id(BYTES)
ID_HEX = "0x" + ID.hex()
UNKNOWN = b"\x99" * 32
NUMBERS = [3, -2, 0, 7, 1_000, -5]
RAW = b"".join(n.to_bytes(4, "little", signed=True) for n in NUMBERS)


def calldata(signature: str, *values: object) -> str:
    return "0x" + (abi.selector(signature) + abi.encode(abi.arguments_of(signature), values)).hex()


def send(rpc: Client, to: bytes, signature: str, *values: object) -> dict[str, Any]:
    data = calldata(signature, *values)
    receipt = rpc.send(SENDER, to="0x" + to.hex(), data=data, gas=5_000_000)
    assert receipt["status"] == "0x1"
    return receipt


@pytest.fixture(scope="module")
def published(chain: LocalChain) -> dict[str, Any]:
    """Receipt of the publication."""
    rpc = Client(chain.url)
    send(rpc, MODEL_REGISTRY, "begin(bytes32,uint32,uint32)", ID, len(BYTES), 32_768)
    assert rpc("inference_getModel", ID_HEX)["status"] == "uploading"
    assert ID_HEX not in [model["id"] for model in rpc("inference_listModels")]
    send(rpc, MODEL_REGISTRY, "upload(bytes32,uint32,bytes)", ID, 0, BYTES)
    return send(rpc, MODEL_REGISTRY, "publish(bytes32)", ID)


@pytest.fixture(scope="module")
def logged(chain: LocalChain, published: dict[str, Any]) -> dict[str, Any]:
    """Receipt of one inference that left a log."""
    return send(Client(chain.url), INFERENCE, "inferAndLog(bytes32,bytes)", ID, RAW)


def test_the_model_and_the_list(rpc: Client, published: dict[str, Any]) -> None:
    model = rpc("inference_getModel", ID_HEX)
    assert model["status"] == "published"
    assert model["publishedBlock"] == published["blockNumber"]
    assert model["uploader"] == SENDER.address.lower()
    assert int(model["size"], 16) == len(BYTES)
    assert model["inputs"] == [
        {
            "name": "x0",
            "dtype": "s32",
            "shape": [6],
            "scaleNum": "1",
            "scaleDen": "1",
            "zeroPoint": 0,
        }
    ]
    assert model["outputs"][0]["shape"] == [19]
    listed = rpc("inference_listModels")
    assert listed == [model | {"publisher": SENDER.address.lower()}]
    assert rpc("inference_listModels", "0x1") == []
    assert rpc("inference_listModels", 0, 0) == []
    before = hex(int(published["blockNumber"], 16) - 1)
    assert rpc("inference_getModel", ID_HEX, before)["status"] == "uploading"
    assert rpc("inference_getModel", ID_HEX, "earliest") is None
    assert rpc("inference_getModel", "0x" + UNKNOWN.hex()) is None


def test_a_logged_inference(rpc: Client, logged: dict[str, Any]) -> None:
    (found,) = rpc("inference_getReceipt", logged["transactionHash"])
    output = run_reference(MODEL, RAW, 1)
    assert found["model"] == ID_HEX
    assert found["caller"] == SENDER.address.lower()
    assert bytes.fromhex(found["input"][2:]) == RAW
    assert bytes.fromhex(found["output"][2:]) == output
    assert found["outputHash"] == "0x" + keccak256(output).hex()
    assert found["logIndex"] == logged["logs"][0]["logIndex"]
    assert rpc("inference_getReceipt", logged["transactionHash"]) == [found]


def test_the_certificate_verifies(
    rpc: Client, chain: LocalChain, logged: dict[str, Any], published: dict[str, Any]
) -> None:
    certificate = rpc("inference_getCertificate", logged["transactionHash"])
    assert check_certificate(certificate, chain.node.spec)
    small = rpc("inference_getCertificate", logged["transactionHash"], None, False)
    assert len(str(small)) < len(str(certificate))
    assert check_certificate(small, chain.node.spec, BYTES)
    seals = rpc("qbft_getCommitCertificate", logged["blockNumber"])
    assert (seals["blockHash"], seals["round"], len(seals["seals"])) == (
        logged["blockHash"],
        "0x0",
        1,
    )
    for tx_hash in ("0x" + UNKNOWN.hex(), published["transactionHash"]):
        with pytest.raises(Refused) as info:
            rpc("inference_getCertificate", tx_hash)
        assert info.value.code == -32001


def test_raw_call(rpc: Client, published: dict[str, Any]) -> None:
    answer = rpc("inference_call", {"model": ID_HEX, "input": "0x" + RAW.hex()})
    assert answer["model"] == ID_HEX
    assert bytes.fromhex(answer["output"][2:]) == run_reference(MODEL, RAW, 1)
    data = calldata("infer(bytes32,bytes)", ID, RAW)
    same = rpc("eth_call", {"to": "0x" + INFERENCE.hex(), "data": data})
    assert answer["output"][2:] in same


def test_decimal_calls(rpc: Client, published: dict[str, Any]) -> None:
    output = run_reference(MODEL, RAW, 1)
    values = [
        int.from_bytes(output[i : i + 8], "little", signed=True) for i in range(0, len(output), 8)
    ]
    answer = rpc("inference_call", {"model": ID_HEX, "input": NUMBERS})
    assert answer["values"] == [str(value) for value in values]
    texts = [f"{number}.25" for number in NUMBERS]  # rounds to the integer grid
    assert rpc("inference_call", {"model": ID_HEX, "input": texts}) == answer
    both = rpc("inference_call", {"model": ID_HEX, "input": NUMBERS, "classify": True})
    assert both["values"] == answer["values"]
    assert both["labels"] == [values.index(max(values))]


def test_node_status(rpc: Client) -> None:
    status = rpc("inference_nodeStatus")
    assert status["kernelDigest"] == "0x" + KERNEL_DIGEST
    assert status["head"] == rpc("eth_blockNumber")
    assert (status["diverged"], status["syncing"]) == (False, False)


def test_estimate(rpc: Client, published: dict[str, Any]) -> None:
    one = int(rpc("inference_estimate", {"model": ID_HEX})["gas"], 16)
    many = rpc("inference_estimate", {"model": ID_HEX, "batch": "0x10"})
    assert int(many["gas"], 16) > one
    assert many["batch"] == "0x10"
    data = calldata("infer(bytes32,bytes)", ID, RAW)
    call = {"to": "0x" + INFERENCE.hex(), "data": data}
    assert int(rpc("eth_estimateGas", call), 16) > one


def test_references(rpc: Client, published: dict[str, Any]) -> None:
    output = send(rpc, MODEL_REGISTRY, "createRepository(string,string)", "other", "")
    topics = output["logs"][0]["topics"]
    repository = bytes.fromhex(topics[1][2:])
    release = "release(bytes32,string,bytes32,string)"
    send(rpc, MODEL_REGISTRY, release, repository, "1.0", ID, "first")
    reference = f"{SENDER.address.lower()}/other"
    assert rpc("inference_getModel", reference)["id"] == ID_HEX
    assert rpc("inference_call", {"model": f"{reference}@1.0", "input": NUMBERS})["model"] == ID_HEX


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        ({"model": "0x" + UNKNOWN.hex(), "input": "0x00"}, 3, "execution reverted: ModelNotFound("),
        ({"model": ID_HEX, "input": "0x00"}, 3, "execution reverted: InputLengthMismatch(24, 1)"),
        ({"model": ID_HEX, "input": [1]}, 3, "execution reverted: InputLengthMismatch(6, 1)"),
        ({"model": "no/such", "input": []}, 3, "execution reverted: UnknownModel("),
        ({"model": ID_HEX, "input": ["x"]}, -32602, "input: 'x' is not a decimal number"),
        ({"model": ID_HEX, "input": [True]}, -32602, "input: True is not a decimal number"),
        ({"model": ID_HEX, "input": ["1e80"]}, -32602, "input: "),
        ({"model": ID_HEX, "input": ["NaN"]}, -32602, "input: "),
        ({"model": ID_HEX}, -32602, "expected an array, got null"),
        ({"input": []}, -32602, "model: expected a string, got null"),
    ],
)
def test_bad_calls(
    rpc: Client, published: dict[str, Any], request_: dict[str, Any], code: int, text: str
) -> None:
    with pytest.raises(Refused) as info:
        rpc("inference_call", request_)
    assert (info.value.code, info.value.message[: len(text)]) == (code, text)
    if code == 3:
        assert info.value.data.startswith("0x")
