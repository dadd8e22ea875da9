"""Blocks of transfers to import, made once, and the import of one block as a node does it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Final

from coincurve import PrivateKey

from chain.blocks import Block, decode_block
from chain.errors import ExecutorFault
from chain.evm.state_cache import StateCache
from chain.execution import build_block, execute_block
from chain.genesis_block import genesis_block
from chain.requests import BlockAttributes
from chain.rlp import Item, encode, uint
from chain.store import Store
from chain.transactions import Transaction, decode_transaction
from genesis.forks import PRAGUE_BLOBS, Fork, ForkSchedule
from genesis.predeploys import system_allocations
from genesis.spec import Allocation, GenesisSpec
from precompiles.abi import encode as abi_encode
from precompiles.abi import selector
from precompiles.hashing import keccak256
from tools.bench.messages import bench_code
from tools.keys import address_of

_SENDERS: Final = 50
_RECIPIENTS: Final = 400
_BLOCKS: Final = 5
_CHAIN_ID: Final = 8_453_001
_GAS_LIMIT: Final = 100_000_000
_TOKEN: Final = b"\x70" * 20
_WEALTH: Final = 10**24
_PRAGUE: Final = ForkSchedule(
    blocks=((0, Fork.PARIS),),
    times=((0, Fork.PRAGUE),),
    blobs=((0, PRAGUE_BLOBS),),
)
"""The newest rules that py-evm has."""


@dataclass(frozen=True, slots=True)
class ImportCase:
    """Blocks of equal transactions.

    Attributes:
        name: in the table.
        transactions: in each block.
        is_token: ERC-20 transfers instead of plain ones.
        goal: how many times faster than stock py-evm the import has to be.
    """

    name: str
    transactions: int
    is_token: bool
    goal: float


IMPORTS: Final = (
    ImportCase("import of 200 transfers", 200, False, 2.7),
    ImportCase("import of 200 ERC-20 transfers", 200, True, 3.5),
    ImportCase("import of 1,000 ERC-20 transfers", 1_000, True, 2.5),
)


class BlockLine:
    """A few blocks on a genesis.

    Attributes:
        spec: the genesis, with Ethereum's own rules up to Prague.
        genesis: RLP of block 0.
        blocks: RLP of the blocks after it.
        transactions: raw, of each block.
        head: hash of the last block.
    """

    def __init__(self, codes: Mapping[bytes, bytes], case: ImportCase | None = None) -> None:
        keys = [PrivateKey(sha256(b"sender %d" % index).digest()) for index in range(_SENDERS)]
        senders = [address_of(key.secret) for key in keys]
        accounts = {address: Allocation(balance=_WEALTH) for address in senders}
        accounts |= {address: Allocation(nonce=1, code=code) for address, code in codes.items()}
        words = {_balance_slot(address): _WEALTH for address in senders}
        accounts[_TOKEN] = Allocation(nonce=1, code=bench_code("BenchToken"), storage=words)
        self.spec = GenesisSpec(
            chain_id=_CHAIN_ID,
            gas_limit=_GAS_LIMIT,
            alloc={**system_allocations(), **accounts},
            schedule=_PRAGUE,
            assay=None,
        )
        first, nodes = genesis_block(self.spec)
        self.genesis = first.rlp
        self.blocks: list[bytes] = []
        self.transactions: list[list[bytes]] = []
        self.head = first.hash
        if case is not None:
            self._build(first, dict(nodes), case, keys)

    def _build(
        self, first: Block, nodes: dict[bytes, bytes], case: ImportCase, keys: Sequence[PrivateKey]
    ) -> None:
        source = _Memory(nodes, [first])
        for height in range(_BLOCKS):
            parent = source.blocks[-1].header
            numbers = range(height * case.transactions, (height + 1) * case.transactions)
            signed = [_transaction(case, number, keys) for number in numbers]
            attributes = BlockAttributes(
                timestamp=parent.timestamp + 12,
                coinbase=b"\xfe" * 20,
                mix_hash=bytes(32),
                extra_data=b"",
                gas_limit=_GAS_LIMIT,
            )
            executed, rejected = build_block(self.spec, parent, attributes, signed, source)
            if rejected:
                raise ExecutorFault(f"{case.name}: {rejected[0][1]}")
            nodes.update(executed.nodes)
            source.blocks.append(executed.block)
            self.blocks.append(executed.block.rlp)
            self.transactions.append([transaction.raw for transaction in signed])
        self.head = source.blocks[-1].hash


class Importer:
    """Imports blocks into a new database: decode, recover senders, execute, validate, write.

    Args:
        spec: the genesis.
        folder: for the database.
    """

    def __init__(self, spec: GenesisSpec, folder: Path) -> None:
        self._spec = spec
        self._store = Store(folder / "chain")
        self._cache = StateCache()
        self._store.write_genesis(*genesis_block(spec))

    def __enter__(self) -> "Importer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._store.close()

    @property
    def head(self) -> bytes:
        """Hash of the newest block."""
        return self._store.head().hash

    def __call__(self, encoded: bytes) -> None:
        """Import one block on top of the head."""
        block = decode_block(encoded)
        executed = execute_block(
            self._spec, self._store.head(), block, self._store, cache=self._cache
        )
        self._store.write_block(executed, None)


@dataclass(frozen=True, slots=True)
class _Memory:
    """What building reads."""

    nodes: dict[bytes, bytes]
    blocks: list[Block]

    def node(self, digest: bytes) -> bytes:
        """Trie node or code."""
        return self.nodes[digest]

    def canonical_hash(self, number: int) -> bytes | None:
        """Hash of a block that was built."""
        return self.blocks[number].hash if number < len(self.blocks) else None

    def block(self, block_hash: bytes) -> Block | None:
        """Not needed without ommers."""
        return next((block for block in self.blocks if block.hash == block_hash), None)


def _transaction(case: ImportCase, number: int, keys: Sequence[PrivateKey]) -> Transaction:
    """The ``number``-th transfer of the line, an EIP-1559 transaction."""
    recipient = keccak256(b"recipient %d" % (number % _RECIPIENTS))[12:]
    to, value, gas, data = recipient, 1, 21_000, b""
    if case.is_token:
        call = abi_encode(("address", "uint256"), (recipient, 1 + number))
        to, value, gas = _TOKEN, 0, 100_000
        data = selector("transfer(address,uint256)") + call
    nonce, fee = number // _SENDERS, 10**10
    numbers = [uint(number) for number in (_CHAIN_ID, nonce, 10**9, fee, gas)]
    fields: list[Item] = [*numbers, to, uint(value), data, []]
    signature = keys[number % _SENDERS].sign_recoverable(
        keccak256(b"\x02" + encode(fields)), hasher=None
    )
    proof = [uint(int.from_bytes(part, "big")) for part in (signature[:32], signature[32:64])]
    return decode_transaction(b"\x02" + encode([*fields, uint(signature[64]), *proof]))


def _balance_slot(account: bytes) -> int:
    """Slot of ``balanceOf[account]``, the token's first variable."""
    return int.from_bytes(keccak256(account.rjust(32, b"\0") + bytes(32)), "big")
