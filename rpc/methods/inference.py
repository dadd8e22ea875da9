"""``inference_``: models, typed calls, certificates."""

import platform
from dataclasses import replace
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from functools import partial
from typing import Any, Final

from chain.header import Header
from chain.requests import CallRequest
from consensus.errors import CertificateError
from genesis.addresses import INFERENCE, MODEL_REGISTRY
from precompiles import abi
from rpc import decode, encode
from rpc.context import NodeContext
from rpc.decode import Fields, Params, argument
from rpc.encode import Json
from rpc.errors import RESOURCE_NOT_FOUND, InvalidParams, RpcError
from rpc.jsonrpc import Handler
from rpc.logs import LocatedLog, decode_log_query, matching
from rpc.methods.eth_call import output_of
from rpc.models import ModelIndex, encode_model, read_model

WAD_DECIMALS: Final = 18
MAX_INPUT_NUMBERS: Final = 1_000_000
MAX_LISTED: Final = 1_000
INFERENCE_EVENT: Final = "Inference(bytes32,address,bytes32,bytes32,bytes,bytes)"
_DECIMAL: Final = Context(prec=78, rounding=ROUND_HALF_UP)


def table(node: NodeContext) -> dict[str, Handler]:
    """The methods of this module."""
    return {
        "inference_listModels": partial(_list_models, node, ModelIndex(node.chain)),
        "inference_getModel": partial(_get_model, node),
        "inference_call": partial(_call, node),
        "inference_estimate": partial(_estimate, node),
        "inference_getReceipt": partial(_get_receipt, node),
        "inference_getCertificate": partial(_get_certificate, node),
        "inference_nodeStatus": partial(_node_status, node),
    }


async def _list_models(node: NodeContext, index: ModelIndex, params: Params) -> list[Json]:
    """Published models, oldest first: ``[offset = 0, limit = 1000]``."""
    offset = argument(params, 0, decode.uint64, 0)
    limit = min(argument(params, 1, decode.uint64, MAX_LISTED), MAX_LISTED)
    state = node.chain.state(node.chain.head())
    models = []
    for item in (await index.published())[offset : offset + limit]:
        found = read_model(state, item.model_id)
        if found is not None:
            publisher = {"publisher": encode.data(item.publisher)}
            models.append(encode_model(item.model_id, *found) | publisher)
    return models


async def _get_model(node: NodeContext, params: Params) -> Json | None:
    """``[id or reference, block?]``; null when no upload of this id has begun."""
    reference = argument(params, 0, decode.text)
    header = node.chain.header_argument(params, 1)
    model_id = await _resolve(node, header, reference)
    found = read_model(node.chain.state(header), model_id)
    return None if found is None else encode_model(model_id, *found)


async def _call(node: NodeContext, params: Params) -> Json:
    """``[{model, input, classify?, from?, gas?}, block?]``.

    ``input`` is either raw bytes (hex), answered with raw ``output``, or an array of decimals,
    answered with ``values`` (and ``labels`` where ``classify`` is true).
    """
    fields = argument(params, 0, decode.mapping)
    header = node.chain.header_argument(params, 1)
    model_id = await _resolve(node, header, _reference(fields))
    request = CallRequest(
        block_hash=header.hash,
        sender=decode.address(fields["from"]) if fields.get("from") else bytes(20),
        gas=decode.uint64(fields["gas"]) if fields.get("gas") else None,
        to=INFERENCE,
    )
    answer: Json = {"model": encode.data(model_id), "blockNumber": hex(header.number)}
    given = fields.get("input")
    if isinstance(given, str):
        values = (model_id, decode.data(given))
        output = await _native(node, request, "infer(bytes32,bytes)", values, ("bytes",))
        return answer | {"output": encode.data(output[0])}
    numbers = _wads(given)
    if fields.get("classify") is True:
        labels, scores = await _native(
            node,
            request,
            "classify(bytes32,int256[])",
            (model_id, numbers),
            ("uint256[]", "int256[]"),
        )
        answer["labels"] = labels
    else:
        (scores,) = await _native(
            node, request, "inferWad(bytes32,int256[])", (model_id, numbers), ("int256[]",)
        )
    return answer | {"values": [_decimal_text(score) for score in scores]}


async def _estimate(node: NodeContext, params: Params) -> Json:
    """``[{model, batch = 1}, block?]``: gas of ``infer`` itself, without calldata and caller."""
    fields = argument(params, 0, decode.mapping)
    header = node.chain.header_argument(params, 1)
    model_id = await _resolve(node, header, _reference(fields))
    batch = decode.uint64(fields["batch"]) if fields.get("batch") is not None else 1
    request = CallRequest(block_hash=header.hash, to=INFERENCE)
    values = (model_id, batch)
    (gas,) = await _native(node, request, "gasFor(bytes32,uint256)", values, ("uint256",))
    return {"model": encode.data(model_id), "batch": hex(batch), "gas": hex(gas)}


def _get_receipt(node: NodeContext, params: Params) -> list[Json] | None:
    """Inferences that a transaction logged; null while it is pending or unknown."""
    location = node.store.transaction_location(argument(params, 0, decode.hash32))
    executed = None if location is None else node.chain.executed(location[0])
    if location is None or executed is None:
        return None
    query = decode_log_query(
        {"address": encode.data(INFERENCE), "topics": [encode.data(abi.topic(INFERENCE_EVENT))]}
    )
    found = matching(*executed, query)
    return [_inference(item) for item in found if item.transaction_index == location[1]]


def _inference(item: LocatedLog) -> Json:
    kinds = ("bytes32", "bytes32", "bytes", "bytes")
    input_hash, output_hash, given, output = abi.decode(kinds, item.log.data)
    return {
        "model": encode.data(item.log.topics[1]),
        "caller": encode.data(item.log.topics[2][12:]),
        "inputHash": encode.data(input_hash),
        "outputHash": encode.data(output_hash),
        "input": encode.data(given),
        "output": encode.data(output),
        "blockNumber": hex(item.header.number),
        "logIndex": hex(item.log_index),
    }


async def _get_certificate(node: NodeContext, params: Params) -> object:
    """``[transaction hash, log index?, include model bytes = true]`` for ``assay verify``."""
    from consensus.inference_certificate import build_certificate  # lazy: start-up stays light

    tx_hash = argument(params, 0, decode.hash32)
    log_index = argument(params, 1, decode.uint64, None)
    include_model = argument(params, 2, decode.flag, True)
    try:
        return await node.chain.background(
            build_certificate, node.store, node.spec, tx_hash, log_index, include_model
        )
    except CertificateError as error:
        raise RpcError(RESOURCE_NOT_FOUND, str(error)) from None


def _node_status(node: NodeContext, _: Params) -> Json:
    """What an operator compares between nodes.

    ``kernelDigest`` is what every honest node computes; the executor of this one has proven at its
    start that it does, or it would not execute blocks.
    """
    from precompiles.selftest import KERNEL_DIGEST  # lazy: start-up stays light

    consensus = node.consensus
    return {
        "clientVersion": node.version,
        "machine": platform.machine(),
        "kernelDigest": "0x" + KERNEL_DIGEST,
        "head": hex(node.chain.head().number),
        "diverged": consensus is not None and consensus.diverged,
        "syncing": consensus is not None and consensus.syncing is not None,
    }


async def _resolve(node: NodeContext, header: Header, reference: str) -> bytes:
    """Model id of a reference; 32 hex bytes stand for themselves."""
    if reference[:2] == "0x" and len(reference) == 66:
        return decode.hash32(reference)
    request = CallRequest(block_hash=header.hash, to=MODEL_REGISTRY)
    (model_id,) = await _native(node, request, "resolve(string)", (reference,), ("bytes32",))
    return bytes(model_id)


def _reference(fields: Fields) -> str:
    try:
        return decode.text(fields.get("model"))
    except InvalidParams as error:
        raise InvalidParams(f"model: {error.message}") from None


async def _native(
    node: NodeContext,
    request: CallRequest,
    signature: str,
    values: tuple[Any, ...],
    results: tuple[str, ...],
) -> tuple[Any, ...]:
    """Call a native account; typed errors become error 3, as in ``eth_call``."""
    types = abi.arguments_of(signature)
    calldata = abi.selector(signature) + abi.encode(types, values)
    output = output_of(await node.calls.call(replace(request, data=calldata)))
    return abi.decode(results, output)


def _wads(value: object) -> list[int]:
    """Decimals (numbers or strings) as integers with 18 decimals; further digits are rounded."""
    numbers = decode.sequence(value)
    if len(numbers) > MAX_INPUT_NUMBERS:
        raise InvalidParams(f"input: {len(numbers)} numbers, limit {MAX_INPUT_NUMBERS}")
    return [_wad(number) for number in numbers]


def _wad(value: object) -> int:
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise InvalidOperation
        scaled = Decimal(str(value)).scaleb(WAD_DECIMALS, _DECIMAL)
        wad = int(scaled.to_integral_value(ROUND_HALF_UP, _DECIMAL))
    except (InvalidOperation, ValueError, OverflowError):
        raise InvalidParams(f"input: {decode.shorten(value)} is not a decimal number") from None
    if not -(1 << 255) <= wad < 1 << 255:
        raise InvalidParams(f"input: {decode.shorten(value)} with 18 decimals exceeds int256")
    return wad


def _decimal_text(wad: int) -> str:
    """An integer with 18 decimals as a decimal without needless zeros."""
    text = format(Decimal(wad).scaleb(-WAD_DECIMALS, _DECIMAL), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
