"""``assay verify``: check a certificate file against a genesis file, without a network."""

import json
from pathlib import Path
from typing import Final

from consensus.errors import VerificationError
from consensus.inference_certificate import Check, check_certificate
from genesis.errors import GenesisError
from genesis.fields import nesting
from genesis.spec import GenesisSpec, parse_genesis
from tools.errors import ToolError

MAX_BYTES: Final = 256 << 20
"""Largest certificate file: a model of 64 MiB in hex, and its proofs."""
MAX_NESTING: Final = 16


def verify_file(certificate: Path, genesis: Path, model: Path | None = None) -> list[Check]:
    """Check a certificate; nothing but these files is read.

    Args:
        certificate: JSON file as ``assay certify`` writes it.
        genesis: genesis file of the chain, the only thing that is trusted.
        model: file of the model's canonical bytes, where the certificate names it by id only.

    Returns:
        One entry per check, in order, all of which held.

    Raises:
        VerificationError: the first check that failed, with both values.
        ToolError: a file cannot be read, or the genesis file is malformed.
    """
    spec = _read_genesis(genesis)
    document = _read_json(certificate)
    return check_certificate(document, spec, None if model is None else _read(model))


def _read_genesis(path: Path) -> GenesisSpec:
    try:
        return parse_genesis(_read(path))
    except GenesisError as error:
        raise ToolError(f"{path}: {error}") from error


def _read_json(path: Path) -> object:
    if path.is_file() and path.stat().st_size > MAX_BYTES:
        raise VerificationError("schema", f"{path.stat().st_size} bytes, at most {MAX_BYTES}")
    text = _read(path)
    if nesting(text) > MAX_NESTING:
        raise VerificationError("schema", f"nested deeper than {MAX_NESTING}")
    try:
        document: object = json.loads(text)
    except ValueError as error:
        raise VerificationError("schema", f"the file is not JSON: {error}") from None
    return document


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ToolError(f"cannot read {path}: {error.strerror}") from error
