"""Which model it is, and whether it says what a certificate claims; else VerificationError."""

from collections.abc import Iterator
from importlib.util import find_spec

from chain.errors import ProofError
from chain.proof import verify_account_proof
from consensus.certificate_schema import ModelPart, Statement
from consensus.errors import VerificationError
from precompiles.errors import ModelError, PrecompileRevert
from precompiles.hashing import keccak256
from precompiles.model.codec import decode_model
from precompiles.model.types import IntegerModel
from precompiles.model.validate import validate_model
from precompiles.model_store import STOP, chunk_address
from precompiles.runner import plan_model, run_plan, run_reference


def check_model(data: bytes | None, model_id: bytes) -> bytes:
    """The bytes, if they are of this model."""
    if data is None:
        raise VerificationError("model", "its bytes are neither in the certificate nor given")
    if keccak256(data) != model_id:
        raise VerificationError(
            "model",
            f"the bytes are of model 0x{keccak256(data).hex()}, "
            f"the statement names 0x{model_id.hex()}",
        )
    return data


def check_chunks(part: ModelPart, model_id: bytes, state_root: bytes) -> None:
    """Check that the chain holds these very bytes under ``state_root``."""
    name = "model on chain"
    chunks = list(_chunks(part.data, part.chunk_size))
    if len(chunks) != len(part.account_proofs):
        raise VerificationError(
            name, f"{len(part.account_proofs)} account proofs for {len(chunks)} chunks"
        )
    for index, (chunk, nodes) in enumerate(zip(chunks, part.account_proofs, strict=True)):
        try:
            account = verify_account_proof(state_root, chunk_address(model_id, index), nodes)
        except ProofError as error:
            raise VerificationError(name, f"chunk {index}: {error}") from None
        expected = keccak256(STOP + chunk)
        if account.code_hash != expected:
            raise VerificationError(
                name,
                f"chunk {index}: the chain holds code 0x{account.code_hash.hex()}, "
                f"these bytes make 0x{expected.hex()}",
            )


def check_execution(data: bytes, statement: Statement) -> str:
    """Run the inference again; says how it was run and on how many samples."""
    name = "execution"
    try:
        model = decode_model(data)
        cost = validate_model(model)
        batch = len(statement.input) // cost.input_bytes_per_sample
        output, how = _run(model, statement.input, batch)
    except ModelError as error:
        raise VerificationError(name, f"not a legal model: {error}") from None
    except PrecompileRevert as error:
        raise VerificationError(name, f"{error.signature} {error.arguments}") from None
    if output != statement.output:
        raise VerificationError(
            name, f"the model gives {brief(output)}, the statement says {brief(statement.output)}"
        )
    return f"{batch} samples run again by the {how}: equal, bit for bit"


def _run(model: IntegerModel, data: bytes, batch: int) -> tuple[bytes, str]:
    """Kernels where numba can compile them; else the reference twins, which define them."""
    if _has_numba():
        return run_plan(plan_model(model), data, batch), "compiled kernels"
    return run_reference(model, data, batch), "reference twins"


def _has_numba() -> bool:
    try:
        return find_spec("numba") is not None
    except ImportError:
        return False


def _chunks(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def brief(data: bytes) -> str:
    """Short values in full; long ones by hash and length."""
    if len(data) <= 32:
        return "0x" + data.hex()
    return f"{len(data)} bytes with keccak256 0x{keccak256(data).hex()}"
