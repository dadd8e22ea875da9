"""``assay certify``: fetch the certificate of an inference from a node."""

import re
from typing import Any

from consensus.certificate_schema import parse_certificate
from consensus.errors import VerificationError
from tools.client import Client
from tools.errors import ToolError


def fetch_certificate(
    rpc: str, transaction_hash: str, log_index: int | None = None, include_model: bool = True
) -> dict[str, Any]:
    """Ask a node for a certificate; it is not verified here, only read.

    Args:
        rpc: URL of any node; it need not be trusted.
        transaction_hash: 0x and 64 hex digits.
        log_index: which log of the block, where the transaction made several inferences.
        include_model: whether the model's bytes come along.

    Returns:
        The JSON document, for ``tools.verify``.

    Raises:
        ToolError: no hash, no answer, a refusal (with the node's reason), or no certificate of
            this transaction.
    """
    if not re.fullmatch("0x[0-9a-fA-F]{64}", transaction_hash):
        raise ToolError(f"{transaction_hash!r} is no transaction hash (0x and 64 hex digits)")
    index = None if log_index is None else hex(log_index)
    with Client(rpc) as client:
        document = client.request(
            "inference_getCertificate", transaction_hash, index, include_model
        )
    try:
        certificate = parse_certificate(document)
    except VerificationError as error:
        raise ToolError(f"{rpc} answered with no certificate: {error}") from None
    if certificate.transaction_hash != bytes.fromhex(transaction_hash[2:]):
        raise ToolError(
            f"{rpc} answered with the certificate of 0x{certificate.transaction_hash.hex()}"
        )
    result: dict[str, Any] = document
    return result
