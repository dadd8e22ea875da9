"""Load on a running network: transfers at a steady rate, and what became of each one.

All transfers are signed before the clock starts. Each account is bound to one connection, so that
its nonces arrive in order. A transfer counts as lost when a node accepted it and no block had it
within ``SETTLE_SECONDS`` of the last one sent.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import orjson
from coincurve import PrivateKey

from chain import rlp
from precompiles.hashing import keccak256
from tools import keys
from tools.client import TIP_WEI, Client, Sender, bytes_of, hex_of, wait_for_receipt
from tools.errors import NodeUnreachable, ToolError

TRANSFER_GAS: Final = 21_000
SETTLE_SECONDS: Final = 60.0
TICK_SECONDS: Final = 0.05
WATCH_SECONDS: Final = 0.05
RECIPIENT: Final = bytes.fromhex("00000000000000000000000000000000000be7c4")
_FEE_ROOM: Final = 20
"""Base fees may grow by this factor during the run."""


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What to send.

    Attributes:
        urls: nodes that take the transfers in turn; the first one is watched for blocks.
        rate: transfers per second, over all nodes.
        seconds: how long.
        accounts: senders; each has its own nonces.
        connections: kept open, spread over the nodes.
        batch: most calls in one HTTP request; 1 sends single calls.
    """

    urls: tuple[str, ...]
    rate: int = 300
    seconds: int = 60
    accounts: int = 40
    connections: int = 8
    batch: int = 50


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What became of the transfers. Rates are per second; latencies in seconds.

    Attributes:
        sent, accepted, mined: numbers of transfers.
        refused: nodes' error text -> how often.
        lost: accepted, but in no block.
        accepted_rate: over the time of sending; ``mined_rate`` until the last one was mined.
        latency_p50, latency_p99, latency_max: from sending to the block being readable.
        blocks, largest_block: blocks with transfers, and most transfers in one.
        signing_seconds: before the clock started.
    """

    sent: int
    accepted: int
    mined: int
    lost: int
    refused: dict[str, int]
    accepted_rate: float
    mined_rate: float
    latency_p50: float
    latency_p99: float
    latency_max: float
    blocks: int
    largest_block: int
    signing_seconds: float


@dataclass(slots=True)
class _Run:
    """Notes taken while the load runs; times are of ``time.monotonic``."""

    sent_at: dict[bytes, float] = field(default_factory=dict)
    accepted: set[bytes] = field(default_factory=set)
    mined_at: dict[bytes, float] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    blocks: list[int] = field(default_factory=list)
    finished_at: float = 0.0


@dataclass(frozen=True, slots=True)
class _Transfer:
    """Hash, and the ready JSON of its call."""

    digest: bytes
    call: bytes


def run_load(options: LoadOptions, key: bytes) -> LoadResult:
    """Fund accounts, sign, send, wait, and count.

    Args:
        options: what to send.
        key: private key that funds the accounts.

    Raises:
        ToolError: a node does not answer, or the funding fails.
    """
    total = options.rate * options.seconds
    with Client(options.urls[0]) as client:
        chain_id = int(client.request("eth_chainId"), 16)
        head = client.request("eth_getBlockByNumber", "latest", False)
        max_fee = _FEE_ROOM * int(head["baseFeePerGas"], 16) + TIP_WEI
        senders = [keys.new_key() for _ in range(min(options.accounts, total))]
        each = -(-total // len(senders))
        _fund(client, key, senders, each * (TRANSFER_GAS * max_fee + 1))
    started = time.monotonic()
    queues = _sign_all(senders, total, options.connections, chain_id, max_fee)
    signing_seconds = time.monotonic() - started
    run = asyncio.run(_drive(options, queues))
    return _result(run, signing_seconds)


def sign_transfer(key: PrivateKey, chain_id: int, nonce: int, max_fee: int) -> bytes:
    """A type-2 transfer of one wei (EIP-1559), encoded; about 60 us."""
    uint = rlp.uint
    fields = [uint(chain_id), uint(nonce), uint(TIP_WEI), uint(max_fee), uint(TRANSFER_GAS)]
    fields += [RECIPIENT, uint(1), b""]
    unsigned = b"\x02" + rlp.encode([*fields, []])
    signature: bytes = key.sign_recoverable(keccak256(unsigned), hasher=None)
    parity, r, s = signature[64], signature[:32], signature[32:64]
    scalars = [uint(parity), r.lstrip(b"\0"), s.lstrip(b"\0")]
    return b"\x02" + rlp.encode([*fields, [], *scalars])


def _fund(client: Client, key: bytes, senders: Sequence[bytes], wei: int) -> None:
    funder = Sender(client, key)
    sent = [funder.send(keys.address_of(sender), value=wei, gas=TRANSFER_GAS) for sender in senders]
    for digest in sent:
        wait_for_receipt(client, digest)


def _sign_all(
    senders: Sequence[bytes], total: int, connections: int, chain_id: int, max_fee: int
) -> list[list[_Transfer]]:
    """One queue per connection; within it the accounts take turns."""
    queues: list[list[_Transfer]] = [[] for _ in range(min(connections, len(senders)))]
    signers = [PrivateKey(sender) for sender in senders]
    for number in range(total):
        index, nonce = number % len(signers), number // len(signers)
        raw = sign_transfer(signers[index], chain_id, nonce, max_fee)
        call = orjson.dumps(
            {
                "jsonrpc": "2.0",
                "id": number,
                "method": "eth_sendRawTransaction",
                "params": [hex_of(raw)],
            }
        )
        queues[index % len(queues)].append(_Transfer(keccak256(raw), call))
    return queues


async def _drive(options: LoadOptions, queues: Sequence[Sequence[_Transfer]]) -> _Run:
    run = _Run()
    timeout = aiohttp.ClientTimeout(total=60)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        watcher = asyncio.create_task(_watch(session, options.urls[0], run))
        started = time.monotonic()
        try:
            await asyncio.gather(
                *(
                    _send(session, options.urls[i % len(options.urls)], queue, options, run)
                    for i, queue in enumerate(queues)
                )
            )
            run.finished_at = time.monotonic()
            await _settle(watcher, run)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise NodeUnreachable(f"no answer: {error or type(error).__name__}") from error
        finally:
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)
    run.finished_at -= started
    return run


async def _settle(watcher: "asyncio.Task[None]", run: _Run) -> None:
    """Wait until every accepted transfer is mined, or long enough."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while run.accepted - run.mined_at.keys() and time.monotonic() < deadline:
        if watcher.done():
            watcher.result()
        await asyncio.sleep(WATCH_SECONDS)


async def _send(
    session: aiohttp.ClientSession,
    url: str,
    queue: Sequence[_Transfer],
    options: LoadOptions,
    run: _Run,
) -> None:
    """Send a queue evenly over the whole time; behind schedule, as fast as the node answers."""
    pace = len(queue) / options.seconds
    started, next_ = time.monotonic(), 0
    while next_ < len(queue):
        due = min(len(queue), int((time.monotonic() - started) * pace) + 1)
        if due <= next_:
            await asyncio.sleep(TICK_SECONDS)
            continue
        part = queue[next_ : min(due, next_ + options.batch)]
        next_ += len(part)
        await _submit(session, url, part, run)
        if options.batch > 1:
            await asyncio.sleep(TICK_SECONDS)


async def _submit(
    session: aiohttp.ClientSession, url: str, part: Sequence[_Transfer], run: _Run
) -> None:
    now = time.monotonic()
    for item in part:
        run.sent_at[item.digest] = now
    if len(part) == 1:
        answers = [await _post(session, url, part[0].call)]
    else:
        body = b"[" + b",".join([item.call for item in part]) + b"]"
        answers = await _post(session, url, body)
    if not isinstance(answers, list) or len(answers) != len(part):
        raise NodeUnreachable(f"{url} did not answer a batch: {answers!r:.200}")
    for item, answer in zip(part, answers, strict=True):
        if not isinstance(answer, dict) or not answer.keys() & {"error", "result"}:
            raise NodeUnreachable(f"{url} did not answer a call: {answer!r:.200}")
        if "error" in answer:
            run.refused[str(answer["error"]["message"])] += 1
        elif bytes_of(answer["result"]) != item.digest:
            raise NodeUnreachable(f"{url} named transaction {hex_of(item.digest)} {answer}")
        else:
            run.accepted.add(item.digest)


async def _watch(session: aiohttp.ClientSession, url: str, run: _Run) -> None:
    """Note when each transfer's block became readable."""
    number = int(await _ask(session, url, "eth_blockNumber"), 16)
    while True:
        block = await _ask(session, url, "eth_getBlockByNumber", hex(number), False)
        if block is None:
            await asyncio.sleep(WATCH_SECONDS)
            continue
        now = time.monotonic()
        ours = [bytes_of(text) for text in block["transactions"]]
        ours = [digest for digest in ours if digest in run.sent_at]
        run.mined_at.update(dict.fromkeys(ours, now))
        if ours:
            run.blocks.append(len(ours))
        number += 1


async def _ask(session: aiohttp.ClientSession, url: str, method: str, *params: Any) -> Any:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    answer = await _post(session, url, orjson.dumps(body))
    if "result" not in answer:
        raise NodeUnreachable(f"{url}: {method}: {answer!r:.200}")
    return answer["result"]


async def _post(session: aiohttp.ClientSession, url: str, body: bytes) -> Any:
    headers = {"Content-Type": "application/json"}
    async with session.post(url, data=body, headers=headers) as response:
        try:
            return orjson.loads(await response.read())
        except orjson.JSONDecodeError:
            raise NodeUnreachable(f"{url} answered HTTP {response.status}, not JSON") from None


def _result(run: _Run, signing_seconds: float) -> LoadResult:
    mined = run.accepted & run.mined_at.keys()
    if not mined:
        reasons = "; ".join(run.refused) or "nothing was mined"
        raise ToolError(f"no transfer came through: {reasons}")
    waits = sorted(run.mined_at[digest] - run.sent_at[digest] for digest in mined)
    first = min(run.sent_at.values())
    last = max(run.mined_at[digest] for digest in mined)
    return LoadResult(
        sent=len(run.sent_at),
        accepted=len(run.accepted),
        mined=len(mined),
        lost=len(run.accepted) - len(mined),
        refused=dict(run.refused),
        accepted_rate=len(run.accepted) / run.finished_at,
        mined_rate=len(mined) / (last - first),
        latency_p50=_quantile(waits, 0.5),
        latency_p99=_quantile(waits, 0.99),
        latency_max=waits[-1],
        blocks=len(run.blocks),
        largest_block=max(run.blocks),
        signing_seconds=signing_seconds,
    )


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
