"""Certificates of real inferences: they hold, and each way to forge one has its own message."""

import copy
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from coincurve import PrivateKey

from chain.certificate import CommitCertificate
from chain.extra_data import commit_hash, sealed_extra_data, unseal
from chain.header import decode_header
from chain.receipts import encode_receipt
from chain.store import Store
from consensus.errors import CertificateError, VerificationError
from consensus.inference_certificate import build_certificate, check_certificate
from consensus.signer import sign_digest
from genesis.spec import format_genesis
from precompiles.model.codec import encode_model
from precompiles.selftest_models import sample_input, sample_models
from tests.consensus.sealed_chain import KEYS, SealedChain, address_of, chain_spec
from tools.errors import ToolError
from tools.verify import verify_file

ROOT = Path(__file__).parent.parent.parent
Document = dict[str, Any]


@dataclass(frozen=True)
class Scene:
    """Two chains with the same validators: the second differs in its genesis only."""

    chain: SealedChain
    other: SealedChain
    early: bytes  # inference before any set change
    late: bytes  # inference after two set changes, in a block with two inferences
    foreign: bytes  # the early inference on the other chain
    models: dict[str, bytes]

    def certificate(self, transaction: bytes | None = None) -> Document:
        document = build_certificate(self.chain.store, self.chain.spec, transaction or self.late)
        return json.loads(json.dumps(document))  # type: ignore[no-any-return]


def play(chain: SealedChain, names: tuple[str, ...]) -> tuple[bytes, bytes]:
    """Publish two models, infer, change the set twice, infer again."""
    models = dict(sample_models())
    ids = []
    for name in names:
        data = encode_model(models[name])
        ids.append(chain.publish(data, max(1, len(data) // 3)))
    data, _ = sample_input(models[names[0]], 5)
    early = chain.inference(ids[0], data)
    chain.add([early])
    chain.add(chain.votes(address_of(KEYS[4]), True), sealers=KEYS[:4])
    chain.add(sealers=KEYS[1:5], round_number=2)
    chain.add(chain.votes(address_of(KEYS[0]), False, KEYS[1:4]), sealers=KEYS[:4])
    chain.add(sealers=KEYS[1:4])
    other, _ = sample_input(models[names[1]], 6)
    block = [chain.inference(ids[1], other), chain.inference(ids[0], data)]
    chain.add(block, sealers=KEYS[2:5])
    return early.hash, block[1].hash


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("chains")
    models = dict(sample_models())
    names = tuple(models)[:2]
    with (
        closing(SealedChain(folder / "a")) as chain,
        closing(SealedChain(folder / "b", chain_spec(mix_hash=b"\x22" * 32))) as other,
    ):
        early, late = play(chain, names)
        foreign, _ = play(other, names)
        encoded = {name: encode_model(model) for name, model in models.items()}
        yield Scene(chain, other, early, late, foreign, encoded)


def flip(text: str) -> str:
    """Another last byte."""
    return text[:-2] + f"{int(text[-2:], 16) ^ 1:02x}"


def reseal(document: Document, keys: list[bytes]) -> str:
    """The header with seals of these keys."""
    header, certificate = unseal(decode_header(bytes.fromhex(document["header"][2:])))
    digest = commit_hash(header, certificate.round)
    seals = tuple(sign_digest(PrivateKey(key), digest) for key in keys)
    sealed = sealed_extra_data(header, CommitCertificate(certificate.round, seals))
    return "0x" + replace(header, extra_data=sealed).rlp.hex()


def refused(document: object, scene: Scene) -> str:
    with pytest.raises(VerificationError) as caught:
        check_certificate(document, scene.chain.spec)
    return str(caught.value)


def test_a_certificate_holds(scene: Scene) -> None:
    checks = check_certificate(scene.certificate(), scene.chain.spec)
    assert [check.name for check in checks] == [
        "genesis", "validator set", "validator set", "header", "transaction", "receipt",
        "inference log", "model", "model on chain", "execution",
    ]  # fmt: skip
    assert "equal, bit for bit" in checks[-1].detail


def test_before_any_set_change_the_genesis_set_suffices(scene: Scene) -> None:
    document = scene.certificate(scene.early)
    assert document["validatorSetChanges"] == []
    assert len(check_certificate(document, scene.chain.spec)) == 8


def test_the_model_may_be_named_by_its_id(scene: Scene) -> None:
    document = build_certificate(scene.chain.store, scene.chain.spec, scene.late, None, False)
    data = bytes.fromhex(scene.certificate()["modelBytes"]["data"][2:])
    assert check_certificate(document, scene.chain.spec, data)[-1].name == "execution"
    assert refused(document, scene) == ("model: its bytes are neither in the certificate nor given")


# The eleven forgeries.


def set_both(document: Document, part: str) -> None:
    document["statement"][part] = flip(document["statement"][part])


def test_flipped_output_byte(scene: Scene) -> None:
    document = scene.certificate()
    set_both(document, "output")
    assert refused(document, scene).startswith("inference log: output: the statement says ")


def test_flipped_input_byte(scene: Scene) -> None:
    document = scene.certificate()
    set_both(document, "input")
    assert refused(document, scene).startswith("inference log: input: the statement says ")


def test_another_models_bytes(scene: Scene) -> None:
    document = scene.certificate()
    own = document["modelBytes"]["data"]
    document["modelBytes"]["data"] = next(
        "0x" + data.hex() for data in scene.models.values() if "0x" + data.hex() != own
    )
    assert refused(document, scene).startswith("model: the bytes are of model 0x")


def test_seal_of_a_non_validator(scene: Scene) -> None:
    document = scene.certificate()
    document["header"] = reseal(document, [KEYS[0], *KEYS[1:4]])  # voted out before
    assert refused(document, scene).endswith(
        f"seal of 0x{address_of(KEYS[0]).hex()}, who is no validator of this height"
    )


def test_one_seal_too_few(scene: Scene) -> None:
    document = scene.certificate()
    document["header"] = reseal(document, list(KEYS[1:3]))
    assert refused(document, scene).endswith("2 seals, want 3 of 4 validators")


def test_duplicated_seal(scene: Scene) -> None:
    document = scene.certificate()
    document["header"] = reseal(document, [KEYS[1], KEYS[2], KEYS[2]])
    assert refused(document, scene).endswith(f"two seals of 0x{address_of(KEYS[2]).hex()}")


def test_header_of_another_chain(scene: Scene) -> None:
    """Same validators, same history; only the genesis differs."""
    foreign = build_certificate(scene.other.store, scene.other.spec, scene.foreign)
    assert "the certificate is of another chain: genesis hash" in refused(foreign, scene)
    foreign["network"] = scene.certificate()["network"]
    assert "is of another chain: mix hash 0x" in refused(foreign, scene)


def test_receipt_proof_of_another_block(scene: Scene) -> None:
    document = scene.certificate()
    document["receipt"]["proof"] = scene.certificate(scene.early)["receipt"]["proof"]
    assert refused(document, scene).startswith("receipt: the proof is of another block: ")


def test_set_change_signed_by_the_new_set(scene: Scene) -> None:
    document = scene.certificate()
    change = document["validatorSetChanges"][0]
    change["header"] = reseal(change, [KEYS[2], KEYS[3], KEYS[4], KEYS[1]])
    reason = refused(document, scene)
    assert reason.startswith("validator set: change not by the old set: ")
    assert reason.endswith(
        f"seal of 0x{address_of(KEYS[4]).hex()}, who is no validator of this height"
    )


def test_truncated_proof(scene: Scene) -> None:
    document = scene.certificate()
    assert len(document["receipt"]["proof"]) > 1
    document["receipt"]["proof"].pop()
    assert "receipt: receipt proof: node 0x" in refused(document, scene)
    for path in ("accountProof", "storageProofs"):
        document = scene.certificate()
        proof = document["validatorSetChanges"][1][path]
        (proof if path == "accountProof" else proof[1]).pop()
        assert " is missing " in refused(document, scene)
    document = scene.certificate()
    document["modelBytes"]["accountProofs"][1].pop()
    assert refused(document, scene).startswith("model on chain: chunk 1: account proof: node 0x")


def test_unknown_version(scene: Scene) -> None:
    document = scene.certificate()
    document["version"] = 2
    assert refused(document, scene) == (
        "schema: certificate version 2, this program reads version 1"
    )


# More ways.


def test_a_wrong_output_is_caught_even_where_a_quorum_logged_it(scene: Scene) -> None:
    """The last line of defence: the verifier runs the model itself."""
    from consensus.certificate_schema import parse_certificate
    from consensus.model_check import check_execution

    certificate = parse_certificate(scene.certificate())
    assert certificate.model is not None
    statement = certificate.statement
    wrong = replace(statement, output=bytes([statement.output[0] ^ 1]) + statement.output[1:])
    with pytest.raises(VerificationError, match="execution: the model gives "):
        check_execution(certificate.model.data, wrong)
    with pytest.raises(VerificationError, match="execution: InputLengthMismatch"):
        check_execution(certificate.model.data, replace(statement, input=statement.input[:-1]))


def test_a_dropped_or_reordered_set_change_fails(scene: Scene) -> None:
    document = scene.certificate()
    first, second = document["validatorSetChanges"]
    for changes in ([], [first], [second, first], [first, first]):
        forged = copy.deepcopy(document) | {"validatorSetChanges": changes}
        assert refused(forged, scene).split(":")[0] in ("header", "validator set")


def test_another_transaction_or_log_fails(scene: Scene) -> None:
    document = scene.certificate()
    document["transaction"]["hash"] = flip(document["transaction"]["hash"])
    assert refused(document, scene).startswith("transaction: number 1 of the block is 0x")
    document = scene.certificate()
    document["receipt"]["log"] = 1
    assert refused(document, scene) == "inference log: log 1 of a receipt with 1 logs"


def test_other_chunks_than_those_on_chain_fail(scene: Scene) -> None:
    document = scene.certificate()
    document["modelBytes"]["chunkSize"] += 1
    assert "chunk 0: the chain holds code 0x" in refused(document, scene)
    document["modelBytes"]["chunkSize"] *= 2
    assert refused(document, scene).endswith("account proofs for 2 chunks")


CHANGES: dict[str, Callable[[Document], object]] = {
    "no field": lambda document: document.pop("receipt"),
    "new field": lambda document: document.update(note=1),
    "upper case": lambda d: d["statement"].update(input=d["statement"]["input"].upper()),
    "odd hex": lambda document: document["statement"].update(model="0x1"),
    "short id": lambda document: document["statement"].update(model="0x12"),
    "float": lambda document: document["receipt"].update(log=0.0),
    "negative": lambda document: document["transaction"].update(index=-1),
    "true": lambda document: document["network"].update(chainId=True),
    "no list": lambda document: document["receipt"].update(proof="0x"),
    "no header": lambda document: document.update(header="0xc0"),
    "no chunks": lambda document: document["modelBytes"].update(chunkSize=0),
    "version as text": lambda document: document.update(version="1"),
    "another format": lambda document: document.update(format="assay"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_schema_is_strict(scene: Scene, name: str) -> None:
    document = scene.certificate()
    CHANGES[name](document)
    assert refused(document, scene).startswith("schema: ")


def test_every_bit_matters(scene: Scene) -> None:
    """Flip one digit anywhere in the file: the certificate no longer holds."""
    text = json.dumps(scene.certificate(scene.early))
    starts = [at for at in range(len(text)) if text.startswith('"0x', at)]
    for start in starts:
        end = text.index('"', start + 1)
        for at in {start + 3, (start + 3 + end) // 2, end - 1}:
            if at >= end or text[at] not in "0123456789abcdef":
                continue
            digit = f"{int(text[at], 16) ^ 1:x}"
            with pytest.raises(VerificationError):
                check_certificate(json.loads(text[:at] + digit + text[at + 1 :]), scene.chain.spec)


def test_what_cannot_be_certified_is_said(scene: Scene) -> None:
    store, spec = scene.chain.store, scene.chain.spec
    with pytest.raises(CertificateError, match="is not in the chain"):
        build_certificate(store, spec, bytes(32))
    first = store.block(store.canonical_hash(1) or b"")
    assert first is not None
    with pytest.raises(CertificateError, match="logged no inference"):
        build_certificate(store, spec, first.transactions[0].hash)
    with pytest.raises(CertificateError, match="log 0 is no inference of it; these are: 1"):
        build_certificate(store, spec, scene.late, 0)
    assert build_certificate(store, spec, scene.late, 1) == scene.certificate()


BLOCKED = """
import sys
from pathlib import Path

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"eth", "numba", "llvmlite", "onnx", "onnxruntime", "aiohttp"}:
            raise ImportError(f"{name} is not available here")

sys.meta_path.insert(0, Refuse())
from tools.verify import verify_file
checks = verify_file(Path(sys.argv[1]), Path(sys.argv[2]))
print(checks[-1].detail)
"""


def test_verification_needs_neither_py_evm_nor_numba(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "cert.json").write_text(json.dumps(scene.certificate()))
    (tmp_path / "genesis.json").write_text(format_genesis(scene.chain.spec))
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, tmp_path / "cert.json", tmp_path / "genesis.json"],
        cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "by the reference twins: equal, bit for bit" in done.stdout


def test_files(scene: Scene, tmp_path: Path) -> None:
    certificate, genesis = tmp_path / "cert.json", tmp_path / "genesis.json"
    certificate.write_text(json.dumps(scene.certificate()))
    genesis.write_text(format_genesis(scene.chain.spec))
    assert verify_file(certificate, genesis)
    with pytest.raises(ToolError, match="cannot read"):
        verify_file(tmp_path / "missing.json", genesis)
    genesis.write_text("{}")
    with pytest.raises(ToolError, match="genesis"):
        verify_file(certificate, genesis)
    certificate.write_text("not JSON")
    genesis.write_text(format_genesis(scene.chain.spec))
    with pytest.raises(VerificationError, match="schema: the file is not JSON"):
        verify_file(certificate, genesis)
    certificate.write_text("[" * 100_000)
    with pytest.raises(VerificationError, match="schema: nested deeper than 16"):
        verify_file(certificate, genesis)


def test_receipts_are_small(scene: Scene) -> None:
    """The certificate without the model stays a handful of kilobytes."""
    store: Store = scene.chain.store
    location = store.transaction_location(scene.late)
    assert location is not None
    receipts = store.receipts(location[0])
    assert receipts is not None
    assert len(encode_receipt(receipts[1])) < 2_000
