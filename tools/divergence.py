"""What went wrong on a node that diverged: its own inferences against their definition.

The executor keeps the refused block and its own receipts (``DATADIR/divergence``). Every inference
that they log is run again by the reference twins, in unbounded Python integers: where the outputs
differ, this machine's arithmetic is wrong.
"""

import asyncio
import json
import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from chain.log_format import fields
from tools.errors import ToolError

if TYPE_CHECKING:
    from chain.store import Store
    from consensus.local_chain import LocalChain

POLL_SECONDS: Final = 0.5
SHOWN_BYTES: Final = 512
_EVENT: Final = "Inference(bytes32,address,bytes32,bytes32,bytes,bytes)"
_EVENT_TYPES: Final = ("bytes32", "bytes32", "bytes", "bytes")

log = logging.getLogger("assay.divergence")


@dataclass(frozen=True, slots=True)
class Examined:
    """One logged inference of a refused block.

    Attributes:
        transaction: hash, 32 bytes.
        model: id, 32 bytes.
        input_hash: keccak256 of the input.
        own_output: what this node computed when it executed the block.
        reference_output: what the reference twins compute.
    """

    transaction: bytes
    model: bytes
    input_hash: bytes
    own_output: bytes
    reference_output: bytes

    @property
    def differs(self) -> bool:
        """This node computed something else than the definition says."""
        return self.own_output != self.reference_output


def examine(store: "Store", evidence: Path) -> Iterator[Examined]:
    """Run every logged inference of a refused block again; slow for large models.

    An inference of a model that the same block publishes is left out, and so is one without a log.

    Args:
        store: has the parent's state.
        evidence: file of the executor.

    Raises:
        ToolError: no such file, not evidence, or the parent's state is not kept any more.
    """
    from chain.blocks import decode_block
    from chain.errors import ChainError
    from chain.receipts import decode_receipt
    from genesis.addresses import INFERENCE
    from precompiles.abi import decode, topic
    from precompiles.model.codec import decode_model
    from precompiles.model_store import read_model_bytes
    from precompiles.runner import run_reference
    from rpc.models import read_model

    try:
        content = json.loads(evidence.read_text())
        block = decode_block(bytes.fromhex(content["block"][2:]))
        receipts = [decode_receipt(bytes.fromhex(item[2:])) for item in content["ownReceipts"]]
        parent = store.header(block.header.parent_hash)
        if parent is None:
            raise ToolError(f"the parent of block {block.number} is not in this database")
        state = store.state(parent)
    except (OSError, ValueError, KeyError, TypeError, ChainError) as error:
        raise ToolError(f"{evidence} cannot be examined: {error}") from None
    for transaction, receipt in zip(block.transactions, receipts, strict=False):
        for entry in receipt.logs:
            if entry.address != INFERENCE or entry.topics[:1] != (topic(_EVENT),):
                continue
            model_id = entry.topics[1]
            input_hash, _, data, own = decode(_EVENT_TYPES, entry.data)
            found = read_model(state, model_id)
            if found is None:
                continue
            model = decode_model(read_model_bytes(state, model_id, found[0].chunks))
            reference = run_reference(model, data, len(data) // found[0].input_bytes)
            yield Examined(transaction.hash, model_id, input_hash, own, reference)


async def report_divergence(
    chain: "LocalChain", datadir: Path, on_difference: Callable[[str], None]
) -> None:
    """Wait until this node has diverged; then log every inference that it got wrong.

    The work is done by ``assay db examine`` in a process of its own.

    Args:
        chain: tells of the divergence.
        datadir: of the node.
        on_difference: told the model's id (0x and 64 digits) of each.
    """
    while chain.divergence is None:  # noqa: ASYNC110 - twice a second; nothing hangs on it
        await asyncio.sleep(POLL_SECONDS)
    if not chain.divergence.evidence:
        return
    command = ["-m", "tools", "db", "examine", "--datadir", str(datadir), "--json"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, chain.divergence.evidence, stdout=asyncio.subprocess.PIPE
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        log.error("the evidence could not be examined", extra=fields(code=process.returncode))
        return
    wrong = [item for item in json.loads(output) if item["differs"]]
    for item in wrong:
        on_difference(item["model"])
        log.critical(
            "wrong inference in block %d",
            chain.divergence.height,
            extra=fields(
                transaction=item["transaction"],
                model=item["model"],
                inputHash=item["inputHash"],
                ownOutput=shorten(item["ownOutput"]),
                referenceOutput=shorten(item["referenceOutput"]),
            ),
        )
    if not wrong:
        log.error("no logged inference of the block is wrong: compare the evidence with a peer's")


def shorten(text: str) -> str:
    """A hex string of at most `SHOWN_BYTES` bytes, with the number of those left out."""
    left = (len(text) - 2) // 2 - SHOWN_BYTES
    return text if left <= 0 else f"{text[: 2 + 2 * SHOWN_BYTES]}... and {left} bytes"
