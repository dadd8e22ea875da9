"""A chain of real blocks, sealed by real keys, in a real database; no processes."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from coincurve import PrivateKey
from eth_account import Account

from chain.certificate import CommitCertificate
from chain.execution import build_block
from chain.extra_data import commit_hash
from chain.genesis_block import genesis_block
from chain.requests import BlockAttributes
from chain.store import Store
from chain.transactions import Transaction, decode_transaction
from chain.validation import next_mix_hash
from consensus.signer import sign_digest
from genesis.addresses import INFERENCE, MODEL_REGISTRY, VALIDATOR_SET
from genesis.predeploys import new_genesis
from genesis.spec import GenesisSpec
from precompiles.abi import arguments_of, encode, selector
from precompiles.hashing import keccak256

KEYS = tuple(keccak256(b"sealer %d" % number) for number in range(6))
USER = keccak256(b"user")
GWEI = 10**9


def address_of(key: bytes) -> bytes:
    return keccak256(PrivateKey(key).public_key.format(compressed=False)[1:])[12:]


def chain_spec(count: int = 4, mix_hash: bytes = b"\x11" * 32, chain_id: int = 77) -> GenesisSpec:
    """Genesis with the first ``count`` keys as validators; everybody has money."""
    accounts = {address_of(key): 10**21 for key in (*KEYS, USER)}
    validators = [address_of(key) for key in KEYS[:count]]
    return replace(new_genesis(chain_id, validators, accounts), mix_hash=mix_hash)


def calldata(signature: str, *values: object) -> bytes:
    return selector(signature) + encode(arguments_of(signature), values)


class SealedChain:
    """Builds and seals blocks one after the other."""

    def __init__(self, folder: Path, spec: GenesisSpec | None = None) -> None:
        self.spec = spec or chain_spec()
        self.store = Store(folder)
        block, nodes = genesis_block(self.spec)
        self.store.write_genesis(block, nodes)
        self.nonces: dict[bytes, int] = {}

    def close(self) -> None:
        self.store.close()

    def transaction(self, key: bytes, to: bytes, data: bytes, gas: int = 30_000_000) -> Transaction:
        nonce = self.nonces.get(key, 0)
        self.nonces[key] = nonce + 1
        fields = {
            "chainId": self.spec.chain_id, "nonce": nonce, "to": to, "value": 0, "data": data,
            "gas": gas, "maxFeePerGas": 100 * GWEI, "maxPriorityFeePerGas": GWEI, "type": 2,
        }  # fmt: skip
        signed = Account.sign_transaction(fields, key)
        return decode_transaction(bytes(signed.raw_transaction))

    def add(
        self,
        transactions: Iterable[Transaction] = (),
        sealers: Sequence[bytes] = KEYS[:3],
        round_number: int = 0,
    ) -> int:
        """Append a block; all transactions must be mined and succeed. Returns its height."""
        head = self.store.head()
        attributes = BlockAttributes(
            timestamp=head.timestamp + 1, coinbase=address_of(KEYS[0]),
            mix_hash=next_mix_hash(head), extra_data=head.extra_data, gas_limit=head.gas_limit,
        )  # fmt: skip
        wanted = list(transactions)
        executed, rejected = build_block(self.spec, head, attributes, wanted, self.store)
        assert rejected == []
        assert [receipt.status for receipt in executed.receipts] == [1] * len(wanted)
        digest = commit_hash(executed.block.header, round_number)
        seals = tuple(sign_digest(PrivateKey(key), digest) for key in sealers)
        self.store.write_block(executed, CommitCertificate(round_number, seals))
        return executed.block.number

    def publish(self, data: bytes, chunk_size: int) -> bytes:
        """Register a model over several transactions; returns its id."""
        model_id = keccak256(data)
        calls = [calldata("begin(bytes32,uint32,uint32)", model_id, len(data), chunk_size)]
        for index in range(-(-len(data) // chunk_size)):
            chunk = data[index * chunk_size : (index + 1) * chunk_size]
            calls.append(calldata("upload(bytes32,uint32,bytes)", model_id, index, chunk))
        calls.append(calldata("publish(bytes32)", model_id))
        for call in calls:
            self.add([self.transaction(USER, MODEL_REGISTRY, call)])
        return model_id

    def inference(self, model_id: bytes, data: bytes) -> Transaction:
        return self.transaction(
            USER, INFERENCE, calldata("inferAndLog(bytes32,bytes)", model_id, data)
        )

    def votes(
        self, candidate: bytes, add: bool, voters: Sequence[bytes] = KEYS[:3]
    ) -> list[Transaction]:
        """What it takes to change the validator set."""
        call = calldata("vote(address,bool)", candidate, add)
        return [self.transaction(key, VALIDATOR_SET, call, 300_000) for key in voters]
