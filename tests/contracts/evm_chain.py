"""A chain in memory: every transaction is a block, built, executed again and compared."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount

from chain.blocks import Block
from chain.execution import build_block, execute_block
from chain.extra_data import chain_extra_data
from chain.genesis_block import genesis_block
from chain.receipts import Receipt
from chain.requests import BlockAttributes, CallRequest
from chain.simulation import call
from chain.state_reader import StateReader
from chain.transactions import decode_transaction
from genesis.predeploys import artifact, new_genesis
from precompiles.abi import arguments_of, decode, encode, selector
from precompiles.hashing import keccak256

KEYS: list[LocalAccount] = [Account.from_key(keccak256(b"contract %d" % i)) for i in range(6)]
ADDRESSES = [bytes.fromhex(key.address[2:]) for key in KEYS]
GAS = 15_000_000


class Reverted(Exception):
    """A call reverted; ``data`` is its revert data."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data.hex())
        self.data = data


@dataclass(frozen=True, slots=True)
class Contract:
    """A deployed contract by its artifact."""

    chain: "EvmChain"
    address: bytes
    abi: Sequence[dict[str, Any]]

    def _function(self, name: str) -> tuple[str, tuple[str, ...]]:
        (item,) = [item for item in self.abi if item.get("name") == name and "outputs" in item]
        signature = f"{name}({','.join(part['type'] for part in item['inputs'])})"
        return signature, tuple(part["type"] for part in item["outputs"])

    def data(self, name: str, *arguments: Any) -> bytes:
        """Calldata of a function."""
        signature, _ = self._function(name)
        return selector(signature) + encode(arguments_of(signature), arguments)

    def read(self, name: str, *arguments: Any, sender: int = 0, value: int = 0) -> Any:
        """Result of a call that changes nothing; the only one when there is one."""
        output = self.chain.call(self.address, self.data(name, *arguments), sender, value)
        values = decode(self._function(name)[1], output)
        return values[0] if len(values) == 1 else values

    def send(self, name: str, *arguments: Any, sender: int = 0, value: int = 0) -> Receipt:
        """Receipt of a transaction."""
        data = self.data(name, *arguments)
        return self.chain.send(self.address, data, sender=sender, value=value)

    def error(self, name: str, *arguments: Any, sender: int = 0, value: int = 0) -> Any:
        """Name and arguments of the custom error; the transaction fails as the call does."""
        try:
            self.read(name, *arguments, sender=sender, value=value)
        except Reverted as error:
            receipt = self.send(name, *arguments, sender=sender, value=value)
            assert receipt.status == 0
            return self._error(error.data)
        raise AssertionError(f"{name} did not revert")

    def _error(self, data: bytes) -> Any:
        known = [*self.abi, *artifact("IInference")["abi"], *artifact("IModelRegistry")["abi"]]
        for item in known:
            if item["type"] == "error":
                types = tuple(part["type"] for part in item["inputs"])
                if selector(f"{item['name']}({','.join(types)})") == data[:4]:
                    return (item["name"], *decode(types, data[4:]))
        raise AssertionError(f"unknown error {data.hex()}")


class EvmChain:
    """Validators are the first accounts; all accounts are rich."""

    def __init__(self, validators: int = 1) -> None:
        self.spec = new_genesis(
            31337,
            ADDRESSES[:validators],
            dict.fromkeys(ADDRESSES, 10**24),
            timestamp=1_700_000_000,
            alias_authority=ADDRESSES[0],
        )
        block, self.nodes = genesis_block(self.spec)
        self.head = block.header
        self.hashes = [self.head.hash]
        self._nonces = [0] * len(KEYS)

    def node(self, digest: bytes) -> bytes:
        return self.nodes[digest]

    def canonical_hash(self, number: int) -> bytes | None:
        return self.hashes[number] if number < len(self.hashes) else None

    def block(self, block_hash: bytes) -> Block | None:
        return None  # only blocks with ommers ask

    @property
    def state(self) -> StateReader:
        return StateReader(self.node, self.head.state_root)

    def call(self, to: bytes, data: bytes, sender: int = 0, value: int = 0) -> bytes:
        """Returndata; Reverted when it reverts."""
        request = CallRequest(self.head.hash, ADDRESSES[sender], to, value, data)
        result = call(self.spec, self.head, self, request)
        if result.error == "revert":
            raise Reverted(result.output)
        assert result.error is None, result.error
        return result.output

    def send(
        self, to: bytes | None, data: bytes, *, sender: int = 0, value: int = 0, gas: int = GAS
    ) -> Receipt:
        """Mine one transaction alone in a block."""
        fields = {
            "type": 2,
            "chainId": self.spec.chain_id,
            "nonce": self._nonces[sender],
            "gas": gas,
            "maxFeePerGas": 10**11,
            "maxPriorityFeePerGas": 1,
            "value": value,
            "data": data,
        } | ({} if to is None else {"to": to})
        self._nonces[sender] += 1
        transaction = decode_transaction(
            bytes(KEYS[sender].sign_transaction(fields).raw_transaction)
        )
        number = self.head.number + 1
        attributes = BlockAttributes(
            timestamp=self.head.timestamp + self.spec.qbft.block_period_seconds,
            coinbase=bytes([0xC0] * 20),
            mix_hash=keccak256(self.head.mix_hash + number.to_bytes(32, "big")),
            extra_data=chain_extra_data(),
            gas_limit=self.head.gas_limit,
        )
        built, rejected = build_block(self.spec, self.head, attributes, [transaction], self)
        assert rejected == []
        executed = execute_block(self.spec, self.head, built.block, self)
        assert executed.receipts == built.receipts
        self.nodes.update(built.nodes)
        self.head = built.block.header
        self.hashes.append(self.head.hash)
        return built.receipts[0]

    def deploy(self, name: str, *arguments: Any, sender: int = 0) -> Contract:
        """Deploy an artifact of ours, or of a contract for tests."""
        own = Path(__file__).parent / "artifacts" / f"{name}.json"
        item = json.loads(own.read_text()) if own.exists() else artifact(name)
        (inputs,) = [
            entry["inputs"] for entry in item["abi"] if entry["type"] == "constructor"
        ] or [[]]
        tail = encode([part["type"] for part in inputs], arguments)
        nonce = self._nonces[sender]
        code = bytes.fromhex(item["bytecode"][2:])
        receipt = self.send(None, code + tail, sender=sender)
        if receipt.status != 1:
            raise Reverted(b"")
        return Contract(self, created_address(ADDRESSES[sender], nonce), item["abi"])

    def publish(self, data: bytes) -> bytes:
        """Begin, upload in one chunk, publish."""
        from genesis.addresses import MODEL_REGISTRY

        registry = Contract(self, MODEL_REGISTRY, artifact("IModelRegistry")["abi"])
        model_id = keccak256(data)
        for name, arguments in (
            ("begin", (model_id, len(data), len(data))),
            ("upload", (model_id, 0, data)),
            ("publish", (model_id,)),
        ):
            assert registry.send(name, *arguments).status == 1
        return model_id


def created_address(sender: bytes, nonce: int) -> bytes:
    """Address of a contract that an account creates."""
    item = b"\x94" + sender + (bytes([nonce]) if 0 < nonce < 0x80 else b"\x80")
    return keccak256(bytes([0xC0 + len(item)]) + item)[12:]
