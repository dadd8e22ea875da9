"""``assay infer``: real-valued samples through a model that a network has published."""

import re
from dataclasses import dataclass
from typing import Any, Final

from genesis.addresses import INFERENCE, MODEL_REGISTRY
from precompiles.abi import arguments_of, decode, encode, selector, topic
from precompiles.inference import INFERENCE_EVENT
from precompiles.model.types import DType, Quantization
from precompiles.model_records import PUBLISHED, PortInfo
from precompiles.registry import FUNCTIONS
from tools.client import Client, Sender, bytes_of, eth_call, hex_of
from tools.errors import NodeUnreachable, ToolError
from tools.register import registry_call
from tools.tensors import decode_outputs, encode_samples

_MODEL_ID: Final = re.compile("0x[0-9a-fA-F]{64}")
_EVENT: Final = ("bytes32", "bytes32", "bytes", "bytes")


@dataclass(frozen=True, slots=True)
class Signature:
    """What a caller must know of a published model."""

    inputs: tuple[PortInfo, ...]
    outputs: tuple[PortInfo, ...]


def infer(client: Client, model: str, samples: Any, key: bytes | None) -> dict[str, Any]:
    """Run a published model.

    Args:
        client: of a node.
        model: 0x and 64 hex digits, or a reference that the registry resolves: an alias, or
            ``owner/repository`` with an optional ``@version``.
        samples: an array, first axis = sample, or one array per input name.
        key: None for a free ``eth_call``; else the private key that pays for a transaction.

    Returns:
        ``model`` (0x hex), ``gas`` (of the model's run in a call; all of it in a transaction),
        ``outputs`` (per output name one flat row of numbers per sample), and ``transaction``
        (0x hex) where one was sent.

    Raises:
        ToolError: samples that do not fit, or a model that is not published.
        RequestRefused: the node refuses; the text carries the typed error.
        TransactionFailed: the transaction failed or was not mined in time.
    """
    model_id = resolve_model(client, model)
    signature = read_signature(client, model_id)
    data, batch = encode_samples(signature.inputs, samples)
    result: dict[str, Any] = {"model": hex_of(model_id)}
    if key is None:
        output = _ask(client, "infer(bytes32,bytes)", "bytes", model_id, data)
        result["gas"] = _ask(client, "gasFor(bytes32,uint256)", "uint256", model_id, batch)
    else:
        receipt = Sender(client, key).transact(
            INFERENCE, _calldata("inferAndLog(bytes32,bytes)", model_id, data)
        )
        output = _logged_output(receipt)
        result["gas"] = int(receipt["gasUsed"], 16)
        result["transaction"] = receipt["transactionHash"]
    return result | {"outputs": decode_outputs(signature.outputs, output, batch)}


def resolve_model(client: Client, model: str) -> bytes:
    """32-byte id of a model, given by itself or by a reference of the registry.

    Raises:
        RequestRefused: nothing has this name.
    """
    if _MODEL_ID.fullmatch(model):
        return bytes.fromhex(model[2:])
    answer = eth_call(client, MODEL_REGISTRY, registry_call("resolve(string)", model))
    (model_id,) = decode(("bytes32",), answer)
    return bytes(model_id)


def read_signature(client: Client, model_id: bytes) -> Signature:
    """Inputs and outputs of a published model.

    Raises:
        ToolError: its upload is not finished.
        RequestRefused: nobody has begun to upload it.
    """
    name = "modelInfo(bytes32)"
    answer = eth_call(client, MODEL_REGISTRY, registry_call(name, model_id))
    (info,) = decode(FUNCTIONS[selector(name)].returns, answer)
    if info[0] != PUBLISHED:
        raise ToolError(f"model {hex_of(model_id)} is not published on this network")
    inputs, outputs = (tuple(_port(values) for values in side) for side in info[-2:])
    return Signature(inputs, outputs)


def _port(values: tuple[Any, ...]) -> PortInfo:
    name, dtype, shape, *quantization = values
    return PortInfo(name, DType(dtype), tuple(shape), Quantization(*quantization))


def _calldata(signature: str, *arguments: Any) -> bytes:
    return selector(signature) + encode(arguments_of(signature), arguments)


def _ask(client: Client, signature: str, kind: str, *arguments: Any) -> Any:
    (value,) = decode((kind,), eth_call(client, INFERENCE, _calldata(signature, *arguments)))
    return value


def _logged_output(receipt: dict[str, Any]) -> bytes:
    """Output in the one Inference log of a receipt."""
    for log in receipt["logs"]:
        if bytes_of(log["address"]) == INFERENCE and bytes_of(log["topics"][0]) == topic(
            INFERENCE_EVENT
        ):
            output: bytes = decode(_EVENT, bytes_of(log["data"]))[3]
            return output
    raise NodeUnreachable(f"transaction {receipt['transactionHash']} has no Inference log")
