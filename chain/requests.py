"""What is asked of the executor and the readers, and what they answer. All picklable.

The node process imports this module; ``chain.execution`` and ``chain.simulation`` run in the worker
processes and import it too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from chain.blocks import Block
from chain.header import Header
from chain.receipts import Log, Receipt
from chain.transactions import AccessList, Authorization, Transaction


@dataclass(frozen=True, slots=True)
class BlockAttributes:
    """What the proposer decides about a block.

    Attributes:
        timestamp: Unix seconds, >= parent + period.
        coinbase: 20-byte address of the first proposer.
        mix_hash: PREVRANDAO, 32 bytes, fixed by parent and height.
        extra_data: CHAIN form.
        gas_limit: gas units.
    """

    timestamp: int
    coinbase: bytes
    mix_hash: bytes
    extra_data: bytes
    gas_limit: int


@dataclass(frozen=True, slots=True)
class ExecutedBlock:
    """A block with everything that its execution produced.

    Attributes:
        block: final header and body.
        receipts: one per transaction.
        nodes: trie nodes and codes by keccak256, every one of ``added`` among them.
        added: how many more times a node or code occurs in the state after the block than in the
            one before, by keccak256; only what occurs more often. Two accounts with equal storage
            hold every node of it twice, two with equal code the code twice.
        removed: the same for what occurs less often; nothing is in both.
    """

    block: Block
    receipts: tuple[Receipt, ...]
    nodes: Mapping[bytes, bytes]
    added: Mapping[bytes, int] = field(default_factory=dict)
    removed: Mapping[bytes, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BuiltBlock:
    """A block proposal; ``rejected`` names transactions that can never be mined as they are."""

    block_rlp: bytes
    hash: bytes
    gas_used: int
    rejected: tuple[tuple[bytes, str], ...]


@dataclass(frozen=True, slots=True)
class BlockVerdict:
    """Answer to ``execute``.

    Attributes:
        valid: the block follows every rule and executes to what it declares.
        reason: empty when valid; else the field with both values.
        evidence: file with block and own receipts when execution differed, else empty.
    """

    valid: bool
    reason: str = ""
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Committed:
    """A block that is final and on disk when this is told."""

    header: Header
    transactions: tuple[Transaction, ...]
    receipts: tuple[Receipt, ...]


@dataclass(frozen=True, slots=True)
class InferenceCounts:
    """What the executor's model store did since its start, for operators.

    Attributes:
        runs: models run; a block that was built and executed here ran its models once.
        cached: calls answered from the cache of results.
        nanoseconds: time of ``runs``.
    """

    runs: int
    cached: int
    nanoseconds: int


@dataclass(frozen=True, slots=True)
class StateOverride:
    """Changes of one account for one call; None leaves a part as it is.

    Attributes:
        state: the whole storage, (slot, word) pairs; everything else reads 0. Pairs, because a
            client may choose ints of equal hashes, which make a dictionary slow. Later ones win.
        state_diff: single slots, likewise; excludes ``state``.
    """

    balance: int | None = None
    nonce: int | None = None
    code: bytes | None = None
    state: tuple[tuple[int, int], ...] | None = None
    state_diff: tuple[tuple[int, int], ...] | None = None


@dataclass(frozen=True, slots=True)
class BlockOverride:
    """Changes of the block context for one call; None leaves a field as it is."""

    number: int | None = None
    timestamp: int | None = None
    gas_limit: int | None = None
    coinbase: bytes | None = None
    prev_randao: bytes | None = None
    base_fee_per_gas: int | None = None


@dataclass(frozen=True, slots=True)
class CallRequest:
    """One ``eth_call`` or ``eth_estimateGas`` on the state after a block.

    Attributes:
        block_hash: the block whose state is used.
        sender: 20 bytes; need not exist or have funds unless a gas price is given.
        to: None simulates a creation.
        gas: limit; None means the reader's cap.
        gas_price, max_fee_per_gas, max_priority_fee_per_gas: wei per gas; None means free.
    """

    block_hash: bytes
    sender: bytes = bytes(20)
    to: bytes | None = None
    value: int = 0
    data: bytes = b""
    gas: int | None = None
    gas_price: int | None = None
    max_fee_per_gas: int | None = None
    max_priority_fee_per_gas: int | None = None
    nonce: int | None = None
    access_list: AccessList = ()
    authorization_list: tuple[Authorization, ...] = ()
    state_overrides: Mapping[bytes, StateOverride] = field(default_factory=dict)
    block_overrides: BlockOverride = BlockOverride()


@dataclass(frozen=True, slots=True)
class AccessListResult:
    """Outcome of ``eth_createAccessList``.

    Attributes:
        access_list: addresses and slots that the call touches, in order of first access.
        gas_used: gas units of the call with this list.
        error: as in CallResult.
    """

    access_list: AccessList
    gas_used: int
    error: str | None = None


@dataclass(frozen=True, slots=True)
class CallResult:
    """Outcome of a simulated call.

    Attributes:
        output: return data, revert data, or the created code.
        gas_used: gas units, refunds deducted.
        logs: emitted by the call when it succeeded.
        error: None, ``"revert"``, or the text of an exceptional halt such as ``out of gas``.
    """

    output: bytes
    gas_used: int
    logs: tuple[Log, ...]
    error: str | None = None
