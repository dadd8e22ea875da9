"""Upload and publish a model, and fetch one: begin, chunk after chunk, publish.

Resumable: what is on chain already is found by its code hash and not sent again, whoever sent it.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from genesis.addresses import MODEL_REGISTRY
from precompiles.abi import arguments_of, decode, encode, selector
from precompiles.hashing import keccak256
from precompiles.model.codec import model_id as id_of
from precompiles.model_store import STOP, chunk_address
from precompiles.registry import FUNCTIONS, MAX_CHUNK_BYTES, upload_gas
from tools.client import Client, Sender, bytes_of, eth_call, hex_of, wait_for_receipt
from tools.errors import RequestRefused, ToolError

Progress = Callable[[str, int, int], None]
"""``(stage, done, total)``: stages are "upload", "publish" and "download"."""

PUBLISHED: Final = 2
_WINDOW: Final = 8
"""Uploads that wait at once; a block of 60 million gas holds about fifteen."""

_BATCH: Final = 16
_TRANSACTION: Final = 21_000


@dataclass(frozen=True, slots=True)
class Upload:
    """State of a model in the registry; all 0 when nobody has begun."""

    status: int = 0
    size: int = 0
    chunk_size: int = 0
    chunks: int = 0
    missing: int = 0


def registry_call(signature: str, *arguments: Any) -> bytes:
    """Calldata of a registry function."""
    return selector(signature) + encode(arguments_of(signature), arguments)


def read_upload(client: Client, model_id: bytes) -> Upload:
    """How far a model is."""
    signature = "modelInfo(bytes32)"
    try:
        data = eth_call(client, MODEL_REGISTRY, registry_call(signature, model_id))
    except RequestRefused as error:
        if error.data == hex_of(selector("ModelNotFound(bytes32)") + model_id):
            return Upload()
        raise
    (info,) = decode(FUNCTIONS[selector(signature)].returns, data)
    return Upload(*info[:5])


def publish_model(
    client: Client,
    key: bytes,
    model_bytes: bytes,
    *,
    progress: Progress,
    chunk_size: int = MAX_CHUNK_BYTES,
) -> bytes:
    """Put a model on chain and return its 32-byte id; nothing is sent twice.

    Args:
        client: of a node.
        key: private key of the account that pays.
        model_bytes: canonical bytes; check them with ``validate_model`` first, it is free.
        progress: told about each chunk.
        chunk_size: at most 96 KiB; an upload that has begun keeps its own.

    Raises:
        RequestRefused: the registry refuses; the text carries its typed error.
        TransactionFailed: a transaction failed or was not mined in time.
    """
    model_id = id_of(model_bytes)
    state = read_upload(client, model_id)
    if state.status == PUBLISHED:
        progress("publish", 1, 1)
        return model_id
    sender = Sender(client, key)
    if state.size != len(model_bytes):
        size = min(chunk_size, len(model_bytes))
        begin = registry_call("begin(bytes32,uint32,uint32)", model_id, len(model_bytes), size)
        sender.transact(MODEL_REGISTRY, begin)
        state = read_upload(client, model_id)
    chunks = _split(model_bytes, state.chunk_size)
    present = _present(client, model_id, chunks) if state.missing < len(chunks) else set()
    _upload(sender, model_id, chunks, present, progress)
    progress("publish", 0, 1)
    sender.transact(MODEL_REGISTRY, registry_call("publish(bytes32)", model_id))
    progress("publish", 1, 1)
    return model_id


def download_model(client: Client, model_id: bytes, *, progress: Progress) -> bytes:
    """Bytes of a published model, checked against the id: the node need not be trusted.

    Raises:
        ToolError: nothing is published under this id, or the node sent other bytes.
    """
    state = read_upload(client, model_id)
    if state.status != PUBLISHED:
        raise ToolError(f"model 0x{model_id.hex()} is not published on this network")
    parts = []
    for index in range(state.chunks):
        progress("download", index, state.chunks)
        address = hex_of(chunk_address(model_id, index))
        parts.append(bytes_of(client.request("eth_getCode", address, "latest"))[1:])
    progress("download", state.chunks, state.chunks)
    data = b"".join(parts)
    if id_of(data) != model_id:
        raise ToolError(f"{client.url} sent bytes of model 0x{id_of(data).hex()} instead")
    return data


def _split(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def _present(client: Client, model_id: bytes, chunks: Sequence[bytes]) -> set[int]:
    """Chunks whose accounts hold the right code, by code hash: nothing is downloaded."""
    found: set[int] = set()
    for batch in _batches(range(len(chunks))):
        proofs = client.batch(
            [
                ("eth_getProof", (hex_of(chunk_address(model_id, index)), [], "latest"))
                for index in batch
            ]
        )
        for index, proof in zip(batch, proofs, strict=True):
            if bytes_of(proof["codeHash"]) == keccak256(STOP + chunks[index]):
                found.add(index)
    return found


def _batches(indices: range) -> Iterator[range]:
    for start in range(0, len(indices), _BATCH):
        yield indices[start : start + _BATCH]


def _upload(
    sender: Sender,
    model_id: bytes,
    chunks: Sequence[bytes],
    present: set[int],
    progress: Progress,
) -> None:
    """Send the missing chunks, a few at a time, and wait until all are mined."""
    waiting: deque[bytes] = deque()
    done = len(present)
    progress("upload", done, len(chunks))
    for index, chunk in enumerate(chunks):
        if index in present:
            continue
        if len(waiting) == _WINDOW:
            wait_for_receipt(sender.client, waiting.popleft())
            done += 1
            progress("upload", done, len(chunks))
        data = registry_call("upload(bytes32,uint32,bytes)", model_id, index, chunk)
        waiting.append(
            sender.send(MODEL_REGISTRY, data, gas=_upload_transaction_gas(data, len(chunk)))
        )
    while waiting:
        wait_for_receipt(sender.client, waiting.popleft())
        done += 1
        progress("upload", done, len(chunks))


def _upload_transaction_gas(data: bytes, chunk_bytes: int) -> int:
    """Gas limit of an upload: an estimate would send the chunk twice (EIP-7623 for the floor)."""
    zeros = data.count(0)
    tokens = zeros + 4 * (len(data) - zeros)
    run = 4 * tokens + upload_gas(len(data), chunk_bytes)
    return _TRANSACTION + max(run, 10 * tokens)
