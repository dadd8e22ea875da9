"""One inference, proven to somebody who trusts nothing but the genesis file.

``build_certificate`` gathers the parts from a node's database; ``check_certificate`` is pure and
needs neither py-evm nor numba. Each check has a name; the first that fails raises with both values.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from chain.errors import ProofError, StateNotAvailable
from chain.extra_data import sealed_extra_data
from chain.header import Header
from chain.proof import (
    account_proof,
    receipt_proof,
    transaction_proof,
    verify_receipt_proof,
    verify_transaction_proof,
)
from chain.receipts import Log, Receipt
from chain.state_reader import StateReader
from chain.store import Store
from consensus.certificate_schema import (
    InferenceCertificate,
    ModelPart,
    Nodes,
    Statement,
    format_certificate,
    parse_certificate,
)
from consensus.errors import CertificateError, LightClientError, VerificationError
from consensus.light_client import SetChange, Trusted, advance, check_sealed, trust_genesis
from consensus.model_check import brief, check_chunks, check_execution, check_model
from genesis.addresses import INFERENCE
from genesis.spec import GenesisSpec
from precompiles.abi import decode, topic
from precompiles.errors import PrecompileRevert
from precompiles.hashing import keccak256
from precompiles.inference import INFERENCE_EVENT
from precompiles.model_store import STOP, chunk_address

INFERENCE_TOPIC = topic(INFERENCE_EVENT)


@dataclass(frozen=True, slots=True)
class Check:
    """One check that held: its name, and what was compared."""

    name: str
    detail: str


def build_certificate(
    store: Store,
    spec: GenesisSpec,
    transaction_hash: bytes,
    log_index: int | None = None,
    include_model: bool = True,
) -> dict[str, Any]:
    """Certificate of one inference that a transaction logged.

    Args:
        store: database of a node of this chain.
        spec: genesis of the chain.
        transaction_hash: 32 bytes.
        log_index: which log, counted over the block as in JSON-RPC; needed only when the
            transaction made several inferences.
        include_model: False names the model by its id only.

    Returns:
        A JSON document (docs/spec/inference-certificate.md).

    Raises:
        CertificateError: unknown transaction, no such inference, or a block without seals.
    """
    location = store.transaction_location(transaction_hash)
    if location is None:
        raise CertificateError(f"transaction 0x{transaction_hash.hex()} is not in the chain")
    block_hash, index = location
    block, receipts = store.block(block_hash), store.receipts(block_hash)
    if block is None or receipts is None:
        raise CertificateError(f"block 0x{block_hash.hex()} is not in the database")
    position = _choose_log(receipts, index, log_index)
    statement = _statement(receipts[index].logs[position])
    changes = [height for height in store.validator_change_heights() if 0 < height < block.number]
    certificate = InferenceCertificate(
        chain_id=spec.chain_id,
        genesis_hash=store.genesis_hash(),
        statement=statement,
        set_changes=tuple(_set_change(store, height) for height in changes),
        header=_sealed(store, block.header),
        transaction_hash=transaction_hash,
        transaction_index=index,
        transaction_proof=tuple(transaction_proof([tx.raw for tx in block.transactions], index)),
        receipt_proof=tuple(receipt_proof(receipts, index)),
        log=position,
        model=_model_part(store, block.header, statement.model) if include_model else None,
    )
    return format_certificate(certificate)


def check_certificate(
    document: object, spec: GenesisSpec, model_bytes: bytes | None = None
) -> list[Check]:
    """Check a certificate against a genesis file.

    Args:
        document: decoded JSON.
        spec: the only thing that is trusted.
        model_bytes: of the model, where the certificate names it by id only.

    Returns:
        One line per check, in order.

    Raises:
        VerificationError: the first check that failed.
    """
    certificate = parse_certificate(document)
    return list(_checks(certificate, spec, model_bytes))


def _checks(
    certificate: InferenceCertificate, spec: GenesisSpec, model_bytes: bytes | None
) -> Iterator[Check]:
    trusted = _check_genesis(certificate, spec)
    yield Check(
        "genesis",
        f"chain {spec.chain_id}, hash 0x{trusted.genesis.hash.hex()}, "
        f"{len(trusted.validators)} validators",
    )
    for change in certificate.set_changes:
        trusted = _check_set_change(trusted, change, certificate.header)
        count = len(trusted.validators)
        yield Check("validator set", f"{count} validators after block {trusted.height}")
    header = _check_header(trusted, certificate.header)
    yield Check("header", f"block {header.number}, hash 0x{header.hash.hex()}, a quorum of seals")
    _check_transaction(certificate, header)
    yield Check("transaction", f"0x{certificate.transaction_hash.hex()}")
    receipt = _check_receipt(certificate, header)
    yield Check("receipt", f"number {certificate.transaction_index} of the block")
    _check_log(certificate, receipt)
    statement = certificate.statement
    yield Check(
        "inference log",
        f"{len(statement.input)} bytes in, {len(statement.output)} bytes out, "
        f"called by 0x{statement.caller.hex()}",
    )
    data = model_bytes if certificate.model is None else certificate.model.data
    data = check_model(data, statement.model)
    yield Check("model", f"{len(data)} bytes hash to 0x{statement.model.hex()}")
    if certificate.model is not None and certificate.model.account_proofs:
        check_chunks(certificate.model, statement.model, header.state_root)
        count = len(certificate.model.account_proofs)
        yield Check("model on chain", f"{count} chunk accounts under the state root")
    yield Check("execution", check_execution(data, statement))


def _check_genesis(certificate: InferenceCertificate, spec: GenesisSpec) -> Trusted:
    try:
        trusted = trust_genesis(spec)
    except LightClientError as error:
        raise VerificationError("genesis", str(error)) from None
    if certificate.chain_id != spec.chain_id:
        raise VerificationError(
            "genesis", f"chain id {certificate.chain_id}, the genesis file has {spec.chain_id}"
        )
    if certificate.genesis_hash != trusted.genesis.hash:
        raise VerificationError(
            "genesis",
            f"the certificate is of another chain: genesis hash "
            f"0x{certificate.genesis_hash.hex()}, the genesis file hashes to "
            f"0x{trusted.genesis.hash.hex()}",
        )
    return trusted


def _check_set_change(trusted: Trusted, change: SetChange, header: Header) -> Trusted:
    if change.header.number >= header.number:
        raise VerificationError(
            "validator set",
            f"a change in block {change.header.number} does not count in block {header.number}",
        )
    try:
        return advance(trusted, change)
    except LightClientError as error:
        raise VerificationError("validator set", f"change not by the old set: {error}") from None


def _check_header(trusted: Trusted, sealed: Header) -> Header:
    try:
        return check_sealed(trusted, sealed)
    except LightClientError as error:
        raise VerificationError("header", str(error)) from None


def _check_transaction(certificate: InferenceCertificate, header: Header) -> None:
    index, nodes = certificate.transaction_index, certificate.transaction_proof
    _check_root("transaction", header.transactions_root, nodes)
    try:
        raw = verify_transaction_proof(header.transactions_root, index, nodes)
    except ProofError as error:
        raise VerificationError("transaction", str(error)) from None
    if keccak256(raw) != certificate.transaction_hash:
        raise VerificationError(
            "transaction",
            f"number {index} of the block is 0x{keccak256(raw).hex()}, "
            f"not 0x{certificate.transaction_hash.hex()}",
        )


def _check_receipt(certificate: InferenceCertificate, header: Header) -> Receipt:
    index, nodes = certificate.transaction_index, certificate.receipt_proof
    _check_root("receipt", header.receipts_root, nodes)
    try:
        return verify_receipt_proof(header.receipts_root, index, nodes)
    except ProofError as error:
        raise VerificationError("receipt", str(error)) from None


def _check_root(check: str, root: bytes, nodes: Nodes) -> None:
    """Tell a proof of another block from a damaged one."""
    if all(keccak256(node) != root for node in nodes):
        raise VerificationError(
            check,
            f"the proof is of another block: no node hashes to this block's root 0x{root.hex()}",
        )


def _check_log(certificate: InferenceCertificate, receipt: Receipt) -> None:
    name = "inference log"
    if certificate.log >= len(receipt.logs):
        raise VerificationError(
            name, f"log {certificate.log} of a receipt with {len(receipt.logs)} logs"
        )
    log = receipt.logs[certificate.log]
    if not _is_inference(log):
        raise VerificationError(name, f"log {certificate.log} is no Inference event")
    try:
        proven = _statement(log)
    except CertificateError as error:
        raise VerificationError(name, str(error)) from None
    for part in ("model", "caller", "input", "output"):
        stated, logged = getattr(certificate.statement, part), getattr(proven, part)
        if stated != logged:
            raise VerificationError(
                name, f"{part}: the statement says {brief(stated)}, the log {brief(logged)}"
            )


def _choose_log(receipts: tuple[Receipt, ...], index: int, log_index: int | None) -> int:
    """Position of the wanted Inference log in its receipt."""
    first = sum(len(receipt.logs) for receipt in receipts[:index])
    found = [at for at, log in enumerate(receipts[index].logs) if _is_inference(log)]
    indices = ", ".join(str(first + at) for at in found)
    if not found:
        raise CertificateError("the transaction logged no inference (call inferAndLog)")
    if log_index is None:
        if len(found) > 1:
            raise CertificateError(f"several inferences: choose one of the log indices {indices}")
        return found[0]
    if log_index - first not in found:
        raise CertificateError(f"log {log_index} is no inference of it; these are: {indices}")
    return log_index - first


def _is_inference(log: Log) -> bool:
    return log.address == INFERENCE and len(log.topics) == 3 and log.topics[0] == INFERENCE_TOPIC


def _statement(log: Log) -> Statement:
    """Read an Inference log; its hashes must match its bytes."""
    try:
        input_hash, output_hash, data, output = decode(
            ("bytes32", "bytes32", "bytes", "bytes"), log.data
        )
    except PrecompileRevert as error:
        raise CertificateError(f"undecodable Inference log: {error.signature}") from None
    if (keccak256(data), keccak256(output)) != (input_hash, output_hash):
        raise CertificateError("Inference log whose hashes are not those of its bytes")
    return Statement(log.topics[1], log.topics[2][12:], data, output)


def _set_change(store: Store, height: int) -> SetChange:
    header = store.header_by_number(height)
    if header is None:
        raise CertificateError(f"block {height} is not in the database")
    proof = store.validator_proof(height)
    return SetChange(_sealed(store, header), proof.account, proof.slots)


def _sealed(store: Store, header: Header) -> Header:
    certificate = store.certificate(header.hash)
    if certificate is None:
        raise CertificateError(
            f"block {header.number} has no seals: this chain has no validators to vouch for it"
        )
    return replace(header, extra_data=sealed_extra_data(header, certificate))


def _model_part(store: Store, header: Header, model_id: bytes) -> ModelPart:
    """The model's bytes, with their place in the block's state unless that was given up.

    A published model never changes, so the newest state has the same bytes.
    """
    try:
        return _model_of(store.state(header), model_id)
    except StateNotAvailable:
        return replace(_model_of(store.state(store.head()), model_id), account_proofs=())


def _model_of(state: StateReader, model_id: bytes) -> ModelPart:
    chunks: list[bytes] = []
    proofs: list[Nodes] = []
    while code := state.code(address := chunk_address(model_id, len(chunks))):
        chunks.append(code[len(STOP) :])
        proofs.append(account_proof(state, address).nodes)
    if not chunks:
        raise CertificateError(f"model 0x{model_id.hex()} is not in the state")
    return ModelPart(b"".join(chunks), len(chunks[0]), tuple(proofs))
