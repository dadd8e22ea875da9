"""A chain in memory for tests: build, execute and append blocks; small programs to call."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from threading import Thread, stack_size
from typing import Any

from chain.blocks import Block, decode_block
from chain.errors import InvalidTransaction
from chain.execution import build_block, execute_block
from chain.extra_data import chain_extra_data
from chain.genesis_block import genesis_block
from chain.receipts import Receipt
from chain.requests import BlockAttributes, ExecutedBlock
from chain.state_reader import StateReader
from chain.transactions import Transaction
from chain.validation import next_mix_hash
from genesis.spec import Allocation, AssayConfig, GenesisSpec
from precompiles.context import NativeAccount
from tests.chain import records

COINBASE = bytes.fromhex("c0" * 20)
CONTRACT = bytes.fromhex("0c" * 20)
OTHER = bytes.fromhex("0d" * 20)
DEEP_STACK = 64 << 20


class MemoryChain:
    """Blocks and nodes in memory; satisfies NodeSource."""

    def __init__(
        self,
        accounts: Mapping[bytes, Allocation] | None = None,
        *,
        natives: Mapping[bytes, NativeAccount] | None = None,
        without: Iterable[bytes] = (),
        spec: GenesisSpec | None = None,
    ) -> None:
        base = spec or records.spec()
        alloc = {**base.alloc, **(accounts or {})}
        for address in without:
            del alloc[address]
        self.spec = replace(base, alloc=alloc)
        self.natives = natives or {}
        block, nodes = genesis_block(self.spec)
        self.nodes = dict(nodes)
        self.blocks = [block]

    @property
    def head(self) -> Block:
        return self.blocks[-1]

    def node(self, digest: bytes) -> bytes:
        return self.nodes[digest]

    def canonical_hash(self, number: int) -> bytes | None:
        return self.blocks[number].hash if 0 <= number < len(self.blocks) else None

    def block(self, block_hash: bytes) -> Block | None:
        return next((block for block in self.blocks if block.hash == block_hash), None)

    def attributes(self, **changes: Any) -> BlockAttributes:
        parent = self.head.header
        values = {
            "timestamp": parent.timestamp + (self.spec.assay or AssayConfig()).block_period_seconds,
            "coinbase": COINBASE,
            "mix_hash": next_mix_hash(parent),
            "extra_data": chain_extra_data(b"test"),
            "gas_limit": parent.gas_limit,
        }
        return BlockAttributes(**{**values, **changes})

    def build(
        self, transactions: Iterable[Transaction] = (), **changes: Any
    ) -> tuple[ExecutedBlock, list[tuple[Transaction, InvalidTransaction]]]:
        attributes = self.attributes(**changes)
        return build_block(
            self.spec, self.head.header, attributes, transactions, self, self.natives
        )

    def execute(self, block: Block) -> ExecutedBlock:
        return execute_block(self.spec, self.head.header, block, self, self.natives)

    def append(self, executed: ExecutedBlock) -> None:
        self.nodes.update(executed.nodes)
        self.blocks.append(executed.block)

    def mine(self, *transactions: Transaction) -> tuple[Receipt, ...]:
        """Build a block with all of ``transactions``, execute its encoding, append it."""
        built, rejected = self.build(transactions)
        assert not rejected, rejected
        executed = self.execute(decode_block(built.block.rlp))
        assert executed == built
        self.append(executed)
        return executed.receipts

    def refuse(self, transaction: Transaction) -> InvalidTransaction:
        """Why no block can contain ``transaction`` now."""
        built, rejected = self.build([transaction])
        assert not built.block.transactions
        return rejected[0][1]

    def state(self) -> StateReader:
        return StateReader(self.node, self.head.header.state_root)


def contract(code: bytes, **fields: Any) -> Allocation:
    return Allocation(nonce=1, code=code, **fields)


def push(value: int | bytes) -> bytes:
    """Shortest PUSH of a number; of bytes as they are."""
    if isinstance(value, int):
        value = value.to_bytes(max((value.bit_length() + 7) // 8, 1), "big")
    return bytes((0x5F + len(value),)) + value


def op(code: int, *arguments: int | bytes) -> bytes:
    """An opcode after pushing its arguments, the first one on top."""
    return b"".join([push(argument) for argument in reversed(arguments)]) + bytes((code,))


def forward(opcode: int, target: bytes, *, gas: int = 0xFFFFFFFF) -> bytes:
    """Code that calls ``target`` with its own calldata and returns success word and output.

    ``opcode``: CALL f1, CALLCODE f2, DELEGATECALL f4, STATICCALL fa.
    """
    value = b"\x34" if opcode in (0xF1, 0xF2) else b""  # CALLVALUE
    copy = b"\x36\x5f\x5f\x37"  # CALLDATACOPY(0, 0, CALLDATASIZE)
    call = b"\x5f\x5f\x36\x5f" + value + push(target) + push(gas) + bytes((opcode,))
    store = b"\x5f\x52" + b"\x3d\x5f" + push(32) + b"\x3e"  # MSTORE(0, success); RETURNDATACOPY
    return copy + call + store + b"\x3d" + push(32) + b"\x01\x5f\xf3"


def initcode(runtime: bytes) -> bytes:
    """Creation code that returns ``runtime``."""
    head = push(len(runtime)) + b"\x80" + push(12) + b"\x5f\x39\x5f\xf3"
    head = head.rjust(12, b"\x5b")
    assert len(head) == 12
    return head + runtime


def in_deep_thread(work: Callable[[], None]) -> None:
    """Run ``work`` with the stack that the worker process gives; its error is raised here."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    before = stack_size(DEEP_STACK)
    thread = Thread(target=run)
    thread.start()
    stack_size(before)
    thread.join()
    if errors:
        raise errors[0]
