"""The demo on a running devnet: compile, publish, deploy, infer, compare, certify, verify."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from consensus.inference_certificate import Check
from genesis.predeploys import artifact
from precompiles.abi import arguments_of, decode, encode, selector
from precompiles.hashing import keccak256
from precompiles.model.codec import model_id as id_of
from tools import keys
from tools.certify import fetch_certificate
from tools.client import Client, Sender, bytes_of, eth_call, hex_of, poll
from tools.devnet import Validator
from tools.errors import ToolError
from tools.register import publish_model
from tools.verify import verify_file

Progress = Callable[[str, int, int], None]

START_TIMEOUT_SECONDS = 120.0
INFERENCE_TOPIC = keccak256(b"Inference(bytes32,address,bytes32,bytes32,bytes,bytes)")


@dataclass(frozen=True, slots=True)
class DemoModel:
    """A compiled model of the demo and what its report says."""

    name: str
    data: bytes
    summary: str

    @property
    def model_id(self) -> bytes:
        """keccak256 of the bytes."""
        return id_of(self.data)


@dataclass(frozen=True, slots=True)
class Witness:
    """What one validator says about the inference.

    Attributes:
        output: raw output in the log of its own receipt.
        recomputed: raw output of a fresh eth_call on it.
    """

    validator: Validator
    block_hash: bytes
    output: bytes
    recomputed: bytes


@dataclass(frozen=True, slots=True)
class DemoResult:
    """One inference through the demo contract, seen by every validator."""

    transaction: bytes
    gas_used: int
    digit: int
    label: int
    witnesses: tuple[Witness, ...]


def wait_until_connected(validators: Sequence[Validator]) -> None:
    """Wait until every validator answers and has a quorum of peers; ToolError after two minutes."""
    peers = (2 * len(validators) - 1) // 3
    for validator in validators:
        client = Client(validator.url)

        def connected(client: Client = client) -> bool | None:
            try:
                return int(client.request("net_peerCount"), 16) >= peers or None
            except ToolError:
                return None

        failure = f"validator {validator.index} did not come up; see {validator.log_file}"
        poll(connected, START_TIMEOUT_SECONDS, failure)
        client.close()


def compile_demo_models(folder: Path, progress: Progress) -> tuple[DemoModel, DemoModel]:
    """The digits CNN and the breast-cancer trees, compiled once and kept in ``folder``."""
    from tools import demo

    images, _ = demo.digits()
    features, _ = demo.breast_cancer()
    return (
        _compiled(folder, "digits-cnn", demo.DIGITS_CNN, images, progress),
        _compiled(folder, "breast-cancer-trees", demo.BREAST_CANCER_GBT, features, progress),
    )


def _compiled(
    folder: Path, name: str, onnx: Path, samples: object, progress: Progress
) -> DemoModel:
    source = keccak256(onnx.read_bytes()).hex()
    model_file, note = folder / f"{name}.assay", folder / f"{name}.json"
    if model_file.exists() and note.exists():
        known = json.loads(note.read_text())
        if known["source"] == source:
            return DemoModel(name, model_file.read_bytes(), known["summary"])
    from tools.compiler import compile_onnx

    compiled = compile_onnx(onnx, samples, progress=progress)  # type: ignore[arg-type]
    output = compiled.report.outputs[0]
    agreement = (
        "" if output.agreement is None else f", {output.agreement:.2%} of labels as onnxruntime"
    )
    summary = f"{len(compiled.model_bytes):,} bytes, {compiled.report.gas:,} gas{agreement}"
    folder.mkdir(parents=True, exist_ok=True)
    model_file.write_bytes(compiled.model_bytes)
    note.write_text(json.dumps({"source": source, "summary": summary}) + "\n")
    return DemoModel(name, compiled.model_bytes, summary)


def publish(url: str, models: Sequence[DemoModel], progress: Progress) -> None:
    """Publish what is not yet on chain, from development account 0."""
    with Client(url) as client:
        for model in models:
            publish_model(client, keys.dev_key(0), model.data, progress=progress)


def deploy_reader(url: str, model: DemoModel, note: Path) -> bytes:
    """Address of DigitReader for a model: the one deployed before, or a new one."""
    with Client(url) as client:
        if note.exists():
            known = json.loads(note.read_text())
            address = bytes.fromhex(known["digitReader"][2:])
            code = client.request("eth_getCode", hex_of(address), "latest")
            if known["model"] == hex_of(model.model_id) and code != "0x":
                return address
        creation = bytes_of(artifact("DigitReader")["bytecode"])
        sender = Sender(client, keys.dev_key(0))
        receipt = sender.transact(None, creation + encode(("bytes32",), (model.model_id,)))
        address = bytes_of(receipt["contractAddress"])
    note.write_text(
        json.dumps({"digitReader": hex_of(address), "model": hex_of(model.model_id)}) + "\n"
    )
    return address


def infer(validators: Sequence[Validator], contract: bytes, sample: int) -> DemoResult:
    """Send one image through the contract and ask every validator what it computed."""
    from tools import demo

    images, labels = demo.digits()
    image = bytes(int(pixel) for pixel in images[sample].ravel())
    signature = "read(bytes)"
    calldata = selector(signature) + encode(arguments_of(signature), (image,))
    with Client(validators[0].url) as client:
        receipt = Sender(client, keys.dev_key(0)).transact(contract, calldata)
        signature = "lastDigit(address)"
        asked = selector(signature) + encode(
            arguments_of(signature), (keys.address_of(keys.dev_key(0)),)
        )
        digit = int.from_bytes(eth_call(client, contract, asked), "big")
    transaction = bytes_of(receipt["transactionHash"])
    return DemoResult(
        transaction=transaction,
        gas_used=int(receipt["gasUsed"], 16),
        digit=digit,
        label=int(labels[sample]),
        witnesses=tuple(_witness(validator, transaction) for validator in validators),
    )


def _witness(validator: Validator, transaction: bytes) -> Witness:
    """The validator's own receipt, and its own fresh run of the same model on the same input."""
    with Client(validator.url) as client:
        receipt = poll(
            lambda: client.request("eth_getTransactionReceipt", hex_of(transaction)),
            START_TIMEOUT_SECONDS,
            f"validator {validator.index} does not have the block; see {validator.log_file}",
        )
        (log,) = [
            item for item in receipt["logs"] if bytes_of(item["topics"][0]) == INFERENCE_TOPIC
        ]
        _, _, input_, output = decode(
            ("bytes32", "bytes32", "bytes", "bytes"), bytes_of(log["data"])
        )
        signature = "infer(bytes32,bytes)"
        arguments = (bytes_of(log["topics"][1]), input_)
        calldata = selector(signature) + encode(arguments_of(signature), arguments)
        (recomputed,) = decode(("bytes",), eth_call(client, bytes_of(log["address"]), calldata))
        return Witness(validator, bytes_of(receipt["blockHash"]), output, recomputed)


def certify_and_verify(
    url: str, transaction: bytes, genesis: Path, target: Path
) -> Sequence[Check]:
    """Write the certificate of the inference and check it offline, from the two files alone."""
    target.parent.mkdir(parents=True, exist_ok=True)
    certificate = fetch_certificate(url, hex_of(transaction), None)
    target.write_text(json.dumps(certificate, indent=1) + "\n")
    return verify_file(target, genesis)
