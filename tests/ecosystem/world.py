"""A chain with real contracts on it; EELS executes whatever it executes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount

from chain.blocks import Block, decode_block
from chain.deep_stack import run_deep
from chain.evm.rules import GasAvailable
from chain.evm.transition import apply_transaction, contract_address, system_call
from chain.execution import build_block, execute_block
from chain.extra_data import chain_extra_data
from chain.genesis_block import genesis_block
from chain.machine import ancestors_of, environment_of, machine_of
from chain.receipts import Receipt, encode_receipt
from chain.requests import BlockAttributes, CallRequest, ExecutedBlock
from chain.simulation import call
from chain.state_reader import StateReader
from chain.transactions import Transaction, decode_transaction
from chain.validation import next_mix_hash
from genesis.addresses import BEACON_ROOTS, HISTORY_STORAGE
from genesis.forks import Fork
from genesis.predeploys import new_genesis
from precompiles.abi import arguments_of, decode, encode, selector
from precompiles.hashing import keccak256
from tests.differential.eager import interpret_compiled
from tests.differential.eels import Eels
from tests.ecosystem.artifacts import Artifact, Decoder, Event, signature_of, type_of

CHAIN_ID = 31337
ETHER = 10**18
KEYS: list[LocalAccount] = [Account.from_key(keccak256(b"ecosystem %d" % i)) for i in range(5)]
ACCOUNTS = [bytes.fromhex(key.address[2:]) for key in KEYS]
ALICE, BOB, CAROL, DAVE, ERIN = ACCOUNTS
NOBODY = bytes(20)
GAS = 1 << 24  # EIP-7825
COINBASE = bytes.fromhex("c0" * 20)


class Reverted(Exception):
    """A call reverted; ``data`` is its revert data."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data.hex())
        self.data = data


class World:
    """Blocks in memory; satisfies NodeSource. All accounts are rich.

    Attributes:
        artifacts: contracts that can be deployed, by name.
        eels: executes every block again, and must find the same; None where it is not installed.
        with_tier2: every block is executed once more, with all code compiled.
    """

    def __init__(
        self, artifacts: Mapping[str, Artifact], eels: Eels | None, with_tier2: bool = False
    ) -> None:
        self.artifacts, self._eels, self._with_tier2 = artifacts, eels, with_tier2
        self.decoder = Decoder(artifacts.values())
        balances = dict.fromkeys(ACCOUNTS, 10**6 * ETHER)
        self.spec = new_genesis(CHAIN_ID, [COINBASE], balances, timestamp=1_700_000_000)
        block, nodes = genesis_block(self.spec)
        self.nodes, self.blocks = dict(nodes), [block]
        self.nonces = dict.fromkeys(ACCOUNTS, 0)
        assert self.spec.schedule.fork(1, self.now + 1) == Fork.OSAKA
        if eels is not None:
            root = eels.open(Fork.OSAKA, CHAIN_ID, self.spec.alloc)
            assert root == block.header.state_root

    def node(self, digest: bytes) -> bytes:
        return self.nodes[digest]

    def canonical_hash(self, number: int) -> bytes | None:
        return self.blocks[number].hash if number < len(self.blocks) else None

    def block(self, block_hash: bytes) -> Block | None:
        return None  # only blocks with ommers ask

    @property
    def number(self) -> int:
        return self.blocks[-1].header.number

    @property
    def now(self) -> int:
        return self.blocks[-1].header.timestamp

    @property
    def state(self) -> StateReader:
        return StateReader(self.node, self.blocks[-1].header.state_root)

    def sign(self, sender: bytes, to: bytes | None, data: bytes, **fields: Any) -> Transaction:
        """The next transaction of an account."""
        values: dict[str, Any] = {
            "type": 2,
            "chainId": CHAIN_ID,
            "nonce": self.nonces[sender],
            "gas": GAS,
            "maxFeePerGas": 10**11,
            "maxPriorityFeePerGas": 10**9,
            "value": 0,
            "data": data,
        }
        self.nonces[sender] += 1
        target = {} if to is None else {"to": to}
        key = KEYS[ACCOUNTS.index(sender)]
        signed = key.sign_transaction(values | fields | target)
        return decode_transaction(bytes(signed.raw_transaction))

    def mine(self, *transactions: Transaction, after: int = 12) -> tuple[Receipt, ...]:
        """A block of these transactions, ``after`` seconds later."""
        executed = run_deep(self._extend, transactions, after)
        return executed.receipts

    def wait(self, blocks: int = 1, after: int = 12) -> None:
        """Empty blocks."""
        for _ in range(blocks):
            self.mine(after=after)

    def _extend(self, transactions: Sequence[Transaction], after: int) -> ExecutedBlock:
        parent = self.blocks[-1].header
        attributes = BlockAttributes(
            timestamp=parent.timestamp + after,
            coinbase=COINBASE,
            mix_hash=next_mix_hash(parent),
            extra_data=chain_extra_data(),
            gas_limit=parent.gas_limit,
        )
        built, rejected = build_block(self.spec, parent, attributes, transactions, self)
        assert rejected == []
        executed = execute_block(self.spec, parent, decode_block(built.block.rlp), self)
        assert executed == built
        if self._eels is not None:
            self._execute_with_eels(self._eels, executed)
        if self._with_tier2:
            self._execute_on_tier2(executed.block)
        self.nodes.update(executed.nodes)
        self.blocks.append(executed.block)
        return executed

    def _execute_with_eels(self, eels: Eels, executed: ExecutedBlock) -> None:
        header = executed.block.header
        environment = {
            "block_gas_limit": header.gas_limit,
            "block_hashes": [block.hash for block in self.blocks[-256:]],
            "coinbase": header.coinbase,
            "number": header.number,
            "base_fee_per_gas": header.base_fee_per_gas,
            "time": header.timestamp,
            "prev_randao": header.mix_hash,
            "excess_blob_gas": header.excess_blob_gas,
            "parent_beacon_block_root": header.parent_beacon_block_root,
        }
        found = eels.block(environment, [item.raw for item in executed.block.transactions])
        assert not any(item["refused"] for item in found.pop("transactions"))
        receipts = [encode_receipt(receipt) for receipt in executed.receipts]
        assert found.pop("receipts") == receipts
        assert found == {name: getattr(header, name) for name in found}

    def _execute_on_tier2(self, block: Block) -> None:
        header, parent = block.header, self.blocks[-1].header
        environment = environment_of(self.spec, header, ancestors_of(parent, self))
        machine = machine_of(
            self.spec, environment, self, parent.state_root, None, interpret_compiled
        )
        system_call(machine, BEACON_ROOTS, header.parent_beacon_block_root)
        system_call(machine, HISTORY_STORAGE, header.parent_hash)
        room = GasAvailable(header.gas_limit, None, None)
        used = sum(apply_transaction(machine, item, room).gas_used for item in block.transactions)
        assert used == header.gas_used
        assert machine.state.make_root() == header.state_root

    def call(self, to: bytes, data: bytes, sender: bytes = ALICE, value: int = 0) -> bytes:
        """Returndata; Reverted when it reverts."""
        head = self.blocks[-1].header
        request = CallRequest(head.hash, sender, to, value, data, gas=GAS)
        result = run_deep(call, self.spec, head, self, request)
        if result.error == "revert":
            raise Reverted(result.output)
        assert result.error is None, result.error
        return result.output

    def events(self, receipt: Receipt) -> list[Event]:
        """All its logs, decoded."""
        return [self.decoder.event(log) for log in receipt.logs]

    def deploy(
        self, name: str, *arguments: Any, sender: bytes = ALICE, value: int = 0
    ) -> "Contract":
        """A new contract of this name."""
        item = self.artifacts[name]
        inputs = [entry["inputs"] for entry in item.abi if entry["type"] == "constructor"]
        types = [type_of(part) for part in inputs[0]] if inputs else []
        data = item.bytecode + encode(types, arguments)
        address = contract_address(sender, self.nonces[sender])
        (receipt,) = self.mine(self.sign(sender, None, data, value=value))
        assert receipt.status == 1
        return Contract(self, address, item.abi)

    def at(self, name: str, address: bytes) -> "Contract":
        """A contract that is there already."""
        return Contract(self, address, self.artifacts[name].abi)


@dataclass(frozen=True, slots=True)
class Contract:
    """A deployed contract; functions by name, overloaded ones by their whole signature."""

    world: World
    address: bytes
    abi: Sequence[Mapping[str, Any]]

    def _function(self, name: str) -> tuple[str, tuple[str, ...]]:
        functions = [item for item in self.abi if item["type"] == "function"]
        (item,) = [item for item in functions if name in (item["name"], signature_of(item))]
        return signature_of(item), tuple(map(type_of, item["outputs"]))

    def data(self, name: str, *arguments: Any) -> bytes:
        """Calldata of a function."""
        signature, _ = self._function(name)
        return selector(signature) + encode(arguments_of(signature), arguments)

    def read(self, name: str, *arguments: Any, sender: bytes = ALICE, value: int = 0) -> Any:
        """Result of a call that changes nothing; the only one when there is one."""
        output = self.world.call(self.address, self.data(name, *arguments), sender, value)
        values = decode(self._function(name)[1], output)
        return values[0] if len(values) == 1 else values

    def sign(self, name: str, *arguments: Any, sender: bytes = ALICE, **fields: Any) -> Transaction:
        """The transaction that calls a function."""
        return self.world.sign(sender, self.address, self.data(name, *arguments), **fields)

    def send(self, name: str, *arguments: Any, sender: bytes = ALICE, value: int = 0) -> Receipt:
        """Receipt of a transaction that succeeds, alone in a block."""
        (receipt,) = self.world.mine(self.sign(name, *arguments, sender=sender, value=value))
        assert receipt.status == 1, name
        return receipt

    def error(
        self, name: str, *arguments: Any, sender: bytes = ALICE, value: int = 0
    ) -> tuple[Any, ...]:
        """Name and arguments of the error; the transaction fails as the call does."""
        try:
            self.read(name, *arguments, sender=sender, value=value)
        except Reverted as reverted:
            transaction = self.sign(name, *arguments, sender=sender, value=value)
            (receipt,) = self.world.mine(transaction)
            assert receipt.status == 0
            assert receipt.logs == ()
            return self.world.decoder.error(reverted.data)
        raise AssertionError(f"{name} did not revert")
