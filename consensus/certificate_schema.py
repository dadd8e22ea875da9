"""Inference certificates as JSON, version 1 (docs/spec/inference-certificate.md).

All bytes are lower-case ``0x`` hex strings. Reading is strict: every field, no other, no repair.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from chain.errors import InvalidBlock
from chain.header import Header, decode_header
from consensus.errors import VerificationError
from consensus.light_client import SetChange

FORMAT: Final = "assay-inference-certificate"
VERSION: Final = 1

Nodes = tuple[bytes, ...]
"""Nodes of one Merkle-Patricia proof, from the root down."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What is claimed: this model gave this output for this input, asked by this caller.

    Attributes:
        model: 32-byte id.
        caller: 20-byte ``msg.sender`` of the call.
        input, output: batch in raw border form.
    """

    model: bytes
    caller: bytes
    input: bytes
    output: bytes


@dataclass(frozen=True, slots=True)
class ModelPart:
    """The model's bytes, and proofs of the accounts that hold them in chunks.

    Attributes:
        data: canonical bytes.
        chunk_size: bytes of each chunk but the last.
        account_proofs: one per chunk, under the block's state root; none when whoever wrote the
            certificate had given up that state.
    """

    data: bytes
    chunk_size: int
    account_proofs: tuple[Nodes, ...]


@dataclass(frozen=True, slots=True)
class InferenceCertificate:
    """Everything that ``check_certificate`` needs beside the genesis file.

    Attributes:
        chain_id, genesis_hash: network.
        statement: what is claimed.
        set_changes: every change of the validator set before the block, ascending.
        header: of the block, in the SEALED form.
        transaction_hash, transaction_index, transaction_proof: which transaction of the block.
        receipt_proof: of the receipt with the same index.
        log: position of the Inference log among the receipt's logs.
        model: None when the certificate names the model by id only.
    """

    chain_id: int
    genesis_hash: bytes
    statement: Statement
    set_changes: tuple[SetChange, ...]
    header: Header
    transaction_hash: bytes
    transaction_index: int
    transaction_proof: Nodes
    receipt_proof: Nodes
    log: int
    model: ModelPart | None


def format_certificate(certificate: InferenceCertificate) -> dict[str, Any]:
    """The JSON document."""
    model = certificate.model
    statement = certificate.statement
    return {
        "format": FORMAT,
        "version": VERSION,
        "network": {
            "chainId": certificate.chain_id,
            "genesisHash": _hex(certificate.genesis_hash),
        },
        "statement": {
            "model": _hex(statement.model),
            "caller": _hex(statement.caller),
            "input": _hex(statement.input),
            "output": _hex(statement.output),
        },
        "validatorSetChanges": [
            {
                "header": _hex(change.header.rlp),
                "accountProof": _hexes(change.account_proof),
                "storageProofs": [_hexes(nodes) for nodes in change.storage_proofs],
            }
            for change in certificate.set_changes
        ],
        "header": _hex(certificate.header.rlp),
        "transaction": {
            "hash": _hex(certificate.transaction_hash),
            "index": certificate.transaction_index,
            "proof": _hexes(certificate.transaction_proof),
        },
        "receipt": {"proof": _hexes(certificate.receipt_proof), "log": certificate.log},
        "modelBytes": None
        if model is None
        else {
            "data": _hex(model.data),
            "chunkSize": model.chunk_size,
            "accountProofs": [_hexes(nodes) for nodes in model.account_proofs],
        },
    }


def parse_certificate(document: object) -> InferenceCertificate:
    """Read a JSON document.

    Raises:
        VerificationError: check ``schema``; another format or version, or a field that is missing,
            unknown or malformed.
    """
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise _bad(f'not a certificate: "format" is not {FORMAT!r}')
    version = document.get("version")
    if type(version) is not int or version != VERSION:
        raise _bad(f"certificate version {version!r}, this program reads version {VERSION}")
    root = _fields(
        document, "certificate", "format", "version", "network", "statement",
        "validatorSetChanges", "header", "transaction", "receipt", "modelBytes",
    )  # fmt: skip
    network = _fields(root["network"], "network", "chainId", "genesisHash")
    transaction = _fields(root["transaction"], "transaction", "hash", "index", "proof")
    receipt = _fields(root["receipt"], "receipt", "proof", "log")
    changes = _list(root["validatorSetChanges"], "validatorSetChanges")
    return InferenceCertificate(
        chain_id=_integer(network["chainId"], "network.chainId"),
        genesis_hash=_bytes(network["genesisHash"], "network.genesisHash", 32),
        statement=_statement(root["statement"]),
        set_changes=tuple(_set_change(item, at) for at, item in enumerate(changes)),
        header=_header(root["header"], "header"),
        transaction_hash=_bytes(transaction["hash"], "transaction.hash", 32),
        transaction_index=_integer(transaction["index"], "transaction.index"),
        transaction_proof=_nodes(transaction["proof"], "transaction.proof"),
        receipt_proof=_nodes(receipt["proof"], "receipt.proof"),
        log=_integer(receipt["log"], "receipt.log"),
        model=None if root["modelBytes"] is None else _model(root["modelBytes"]),
    )


def _statement(value: object) -> Statement:
    fields = _fields(value, "statement", "model", "caller", "input", "output")
    return Statement(
        model=_bytes(fields["model"], "statement.model", 32),
        caller=_bytes(fields["caller"], "statement.caller", 20),
        input=_bytes(fields["input"], "statement.input"),
        output=_bytes(fields["output"], "statement.output"),
    )


def _set_change(value: object, at: int) -> SetChange:
    name = f"validatorSetChanges[{at}]"
    fields = _fields(value, name, "header", "accountProof", "storageProofs")
    proofs = _list(fields["storageProofs"], f"{name}.storageProofs")
    return SetChange(
        header=_header(fields["header"], f"{name}.header"),
        account_proof=_nodes(fields["accountProof"], f"{name}.accountProof"),
        storage_proofs=tuple(_nodes(item, f"{name}.storageProofs") for item in proofs),
    )


def _model(value: object) -> ModelPart:
    fields = _fields(value, "modelBytes", "data", "chunkSize", "accountProofs")
    chunk_size = _integer(fields["chunkSize"], "modelBytes.chunkSize")
    if chunk_size == 0:
        raise _bad("modelBytes.chunkSize: 0, expected at least 1")
    proofs = _list(fields["accountProofs"], "modelBytes.accountProofs")
    return ModelPart(
        data=_bytes(fields["data"], "modelBytes.data"),
        chunk_size=chunk_size,
        account_proofs=tuple(_nodes(item, "modelBytes.accountProofs") for item in proofs),
    )


def _header(value: object, name: str) -> Header:
    try:
        return decode_header(_bytes(value, name))
    except InvalidBlock as error:
        raise _bad(f"{name}: {error}") from None


def _nodes(value: object, name: str) -> Nodes:
    return tuple(_bytes(item, name) for item in _list(value, name))


def _fields(value: object, name: str, *expected: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _bad(f"{name}: expected an object, found {type(value).__name__}")
    if set(value) != set(expected):
        missing = sorted(set(expected) - set(value))
        unknown = sorted(map(str, set(value) - set(expected)))
        raise _bad(f"{name}: missing fields {missing}, unknown fields {unknown}")
    return value


def _list(value: object, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise _bad(f"{name}: expected a list, found {type(value).__name__}")
    return value


def _integer(value: object, name: str) -> int:
    if type(value) is not int or not 0 <= value < 1 << 64:
        raise _bad(f"{name}: {value!r}, expected an integer of 0 to 2**64 - 1")
    return value


_HEX: Final = re.compile("0x(?:[0-9a-f]{2})*")


def _bytes(value: object, name: str, size: int | None = None) -> bytes:
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise _bad(f"{name}: expected lower-case 0x hex")
    data = bytes.fromhex(value[2:])
    if size is not None and len(data) != size:
        raise _bad(f"{name}: {len(data)} bytes, expected {size}")
    return data


def _bad(reason: str) -> VerificationError:
    return VerificationError("schema", reason)


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def _hexes(items: Nodes) -> list[str]:
    return [_hex(item) for item in items]
