"""What the registry says about models: read from state and logs, without the EVM."""

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Final

from chain.state_reader import StateReader
from genesis.addresses import MODEL_REGISTRY
from precompiles import abi
from precompiles.model_records import (
    ALL_WORDS,
    PUBLISHED,
    ModelRecord,
    PortInfo,
    Signature,
    read_record,
    read_signature,
)
from rpc.chain_reader import ChainReader
from rpc.encode import Json, data
from rpc.logs import MAX_BLOCKS, decode_log_query, scan

PUBLISHED_EVENT: Final = "ModelPublished(bytes32,address,uint32,uint64)"


@dataclass(frozen=True, slots=True)
class PublishedModel:
    """One ``ModelPublished`` log: 32-byte id, 20-byte publisher, height."""

    model_id: bytes
    publisher: bytes
    block_number: int


class ModelIndex:
    """Published models in order of publication; looks at each block once.

    A model stays published for ever and blocks are final, so nothing is ever taken back.
    """

    def __init__(self, chain: ChainReader) -> None:
        self._chain = chain
        self._query = decode_log_query(
            {"address": data(MODEL_REGISTRY), "topics": [data(abi.topic(PUBLISHED_EVENT))]}
        )
        self._next = 0
        self._models: list[PublishedModel] = []
        self._scanning = asyncio.Lock()

    async def published(self) -> tuple[PublishedModel, ...]:
        """All models published up to the head."""
        async with self._scanning:
            while (head := self._chain.head().number) >= self._next:
                last = min(head, self._next + MAX_BLOCKS - 1)
                logs, reached = await self._chain.background(
                    scan, self._chain, self._query, self._next, last
                )
                self._models += [
                    PublishedModel(
                        model_id=item.log.topics[1],
                        publisher=item.log.topics[2][12:],
                        block_number=item.header.number,
                    )
                    for item in logs
                ]
                self._next = reached + 1
            return tuple(self._models)


def read_model(state: StateReader, model_id: bytes) -> tuple[ModelRecord, Signature] | None:
    """Record and signature of a model whose upload has begun; None for any other id."""
    words = partial(state.storage, MODEL_REGISTRY)
    record = read_record(words, model_id, ALL_WORDS)
    if not record.status:
        return None
    published = record.status == PUBLISHED
    return record, read_signature(words, model_id) if published else Signature()


def encode_model(model_id: bytes, record: ModelRecord, signature: Signature) -> Json:
    """A model as in ``inference_getModel``."""
    return {
        "id": data(model_id),
        "status": "published" if record.status == PUBLISHED else "uploading",
        "size": hex(record.size),
        "chunkSize": hex(record.chunk_size),
        "chunks": hex(record.chunks),
        "missingChunks": hex(record.missing),
        "uploader": data(record.uploader.to_bytes(20, "big")),
        "begunBlock": hex(record.begun_block),
        "publishedBlock": hex(record.published_block),
        "workBound": hex(record.work_bound),
        "gasPerCall": hex(record.gas_per_call),
        "gasPerSample": hex(record.gas_per_sample),
        "inputBytes": hex(record.input_bytes),
        "outputBytes": hex(record.output_bytes),
        "inputs": [_port(port) for port in signature.inputs],
        "outputs": [_port(port) for port in signature.outputs],
    }


def _port(port: PortInfo) -> Json:
    """Shape of one sample; real value = scaleNum / scaleDen * (q - zeroPoint)."""
    return {
        "name": port.name,
        "dtype": port.dtype.name.lower(),
        "shape": list(port.shape),
        "scaleNum": str(port.quantization.scale_num),
        "scaleDen": str(port.quantization.scale_den),
        "zeroPoint": port.quantization.zero_point,
    }
