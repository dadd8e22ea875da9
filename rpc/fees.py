"""Fee suggestions and ``eth_feeHistory``."""

from collections.abc import Sequence
from typing import Final

from chain.blobs import GAS_PER_BLOB, blob_base_fee, blob_fee_of, excess_blob_gas
from chain.blocks import Block
from chain.fees import next_base_fee
from chain.header import Header
from chain.receipts import Receipt
from genesis.forks import Fork, ForkSchedule
from rpc.chain_reader import ChainReader
from rpc.encode import Json
from rpc.errors import SERVER_ERROR, RpcError

DEFAULT_TIP: Final = 10**9
"""Wei per gas; enough while blocks have room."""
FULL_RATIO: Final = 0.9
"""A head fuller than this makes the suggestion follow what others paid."""
TIP_PERCENTILE: Final = 60.0
MAX_HISTORY: Final = 1_024
"""Blocks of one fee history, as geth; a longer request is shortened."""
MAX_REWARD_BLOCKS: Final = 256
"""With rewards every transaction must be read, so fewer blocks are given."""


def suggest_tip(chain: ChainReader) -> int:
    """Priority fee that should get into one of the next blocks, wei per gas."""
    head = chain.head()
    executed = chain.executed(head.hash)
    if executed is None or head.gas_used < FULL_RATIO * head.gas_limit:
        return DEFAULT_TIP
    return max(DEFAULT_TIP, percentile_tips(*executed, [TIP_PERCENTILE])[0])


def gas_price(chain: ChainReader) -> int:
    """Suggested price of a legacy transaction: next base fee and tip, wei per gas."""
    return next_base_fee(chain.head()) + suggest_tip(chain)


def fee_history(
    chain: ChainReader,
    schedule: ForkSchedule,
    count: int,
    newest: int,
    percentiles: Sequence[float],
) -> Json:
    """Fees of up to ``count`` blocks that end with block ``newest``; may run in a thread.

    Args:
        chain: blocks to read.
        schedule: knows from when there is a base fee, and what blob gas cost.
        count: blocks wanted; fewer are given beyond the limits above, or where none exist.
        newest: height.
        percentiles: ascending, in [0, 100]; none for no rewards.

    Raises:
        RpcError: ``newest`` lies beyond the head (geth's text).
    """
    head = chain.head()
    if newest > head.number:
        text = f"request beyond head block: requested {newest}, head {head.number}"
        raise RpcError(SERVER_ERROR, text)
    most = MAX_REWARD_BLOCKS if percentiles else MAX_HISTORY
    first = max(0, newest - min(count, most) + 1)
    if count == 0:
        return {"oldestBlock": "0x0", "gasUsedRatio": []}
    headers = [found for n in range(first, newest + 1) if (found := chain.header(n)) is not None]
    history: Json = {
        "oldestBlock": hex(first),
        "baseFeePerGas": [
            *(hex(header.base_fee_per_gas) for header in headers),
            hex(_next_base_fee(schedule, headers[-1])),
        ],
        "gasUsedRatio": [header.gas_used / header.gas_limit for header in headers],
        "baseFeePerBlobGas": [
            *(hex(blob_fee_of(schedule, header)) for header in headers),
            hex(_next_blob_fee(schedule, headers[-1])),
        ],
        "blobGasUsedRatio": [_blob_ratio(schedule, header) for header in headers],
    }
    if percentiles:
        history["reward"] = [_reward(chain, header, percentiles) for header in headers]
    return history


def _next_base_fee(schedule: ForkSchedule, head: Header) -> int:
    is_london = schedule.fork(head.number + 1, head.timestamp) >= Fork.LONDON
    return next_base_fee(head) if is_london else 0


def _next_blob_fee(schedule: ForkSchedule, head: Header) -> int:
    """Under the parameters of ``head``: when the next block comes is not known."""
    parameters = schedule.blob_parameters(head.timestamp)
    if parameters is None:
        return 0
    excess = excess_blob_gas(schedule, head, head.timestamp)
    return blob_base_fee(excess, parameters.base_fee_update_fraction)


def _blob_ratio(schedule: ForkSchedule, header: Header) -> float:
    parameters = schedule.blob_parameters(header.timestamp)
    if parameters is None or parameters.max == 0:
        return 0.0
    return header.blob_gas_used / (parameters.max * GAS_PER_BLOB)


def _reward(chain: ChainReader, header: Header, percentiles: Sequence[float]) -> list[str]:
    executed = chain.executed(header.hash, remember=False) if header.gas_used else None
    if executed is None:
        return ["0x0"] * len(percentiles)
    return [hex(tip) for tip in percentile_tips(*executed, percentiles)]


def percentile_tips(
    block: Block, receipts: Sequence[Receipt], percentiles: Sequence[float]
) -> list[int]:
    """Tips at percentiles of the block's gas, transactions in ascending order of tip."""
    base_fee, before = block.header.base_fee_per_gas, 0
    paid = []
    for tx, receipt in zip(block.transactions, receipts, strict=True):
        paid.append((tx.priority_fee(base_fee), receipt.cumulative_gas_used - before))
        before = receipt.cumulative_gas_used
    if not paid:
        return [0] * len(percentiles)
    paid.sort()
    tips, index, summed = [], 0, paid[0][1]
    for percentile in percentiles:
        threshold = before * percentile / 100
        while summed < threshold and index < len(paid) - 1:
            index += 1
            summed += paid[index][1]
        tips.append(paid[index][0])
    return tips
