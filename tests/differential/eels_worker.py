"""Runs inside EELS's own environment: executes what it reads from stdin, answers on stdout.

Both directions carry pickles of plain ints, bytes, strings, tuples, lists and dicts. The rules are
EELS's own functions in the order of its ``apply_body``, except that an invalid transaction is left
out instead of ending the block. ``tests.differential.eels`` is the other end.
"""

import os
import pickle
import sys
import threading
from dataclasses import fields
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from ethereum import trace
from ethereum.exceptions import EthereumException
from ethereum_rlp import rlp
from ethereum_rlp.exceptions import DecodingError, RLPException
from ethereum_types.bytes import Bytes32
from ethereum_types.numeric import U64, U256, Uint

STACK_SIZE = 512 << 20
GWEI = 10**9


class Fork:
    """Modules of one fork; ``self.fork`` is ``ethereum.forks.<name>.fork`` and so on."""

    def __init__(self, name: str) -> None:
        def module(part: str) -> Any:
            return import_module(f"ethereum.forks.{name}.{part}")

        self.fork, self.state, self.trie = module("fork"), module("state"), module("trie")
        self.types, self.vm = module("fork_types"), module("vm")
        self.transactions, self.bloom, self.blocks = (
            module("transactions"),
            module("bloom"),
            module("blocks"),
        )
        self.has_requests = hasattr(self.fork, "process_general_purpose_requests")
        self.requests = module("requests") if self.has_requests else None

    def decode(self, raw: bytes) -> Any:
        """A transaction of this fork; raises what EELS raises."""
        try:
            return self._decode(raw)
        except IndexError as error:  # EELS reads the first byte of nothing
            raise DecodingError(str(error)) from error

    def _decode(self, raw: bytes) -> Any:
        kind = getattr(self.transactions, "LegacyTransaction", None)
        if kind is None:
            return rlp.decode_to(self.transactions.Transaction, raw)
        if raw[:1] >= b"\xc0":
            return rlp.decode_to(kind, raw)
        return self.transactions.decode_transaction(raw)


_FORKS: dict[str, Fork] = {}


def fork_of(name: str) -> Fork:
    if name not in _FORKS:
        _FORKS[name] = Fork(name)
    return _FORKS[name]


def make_state(fork: Fork, alloc: dict[bytes, tuple[int, int, bytes, dict[int, int]]]) -> Any:
    state = fork.state.State()
    for address, (nonce, balance, code, storage) in alloc.items():
        account = fork.types.Account(Uint(nonce), U256(balance), code)
        fork.state.set_account(state, fork.types.Address(address), account)
        for slot, word in storage.items():
            key = Bytes32(slot.to_bytes(32, "big"))
            fork.state.set_storage(state, fork.types.Address(address), key, U256(word))
    return state


def open_chain(request: dict[str, Any]) -> dict[str, Any]:
    """Start a chain: remember its state, answer with the root."""
    fork = fork_of(request["fork"])
    OPEN.update(fork=fork, chain_id=request["chain_id"], state=make_state(fork, request["alloc"]))
    return {"state_root": bytes(fork.state.state_root(OPEN["state"]))}


OPEN: dict[str, Any] = {}


def environment(fork: Fork, given: dict[str, Any]) -> Any:
    """BlockEnvironment with the fields that this fork has."""
    values: dict[str, Any] = {}
    for item in fields(fork.vm.BlockEnvironment):
        if item.name == "state":
            values[item.name] = OPEN["state"]
        elif item.name == "chain_id":
            values[item.name] = U64(OPEN["chain_id"])
        elif item.name == "block_hashes":
            values[item.name] = [Bytes32(digest) for digest in given["block_hashes"]]
        else:
            values[item.name] = item.type(given[item.name])  # type: ignore[operator]
    return fork.vm.BlockEnvironment(**values)


class Ends:
    """Tracer: output and error of the outermost message, and every opcode when wanted."""

    def __init__(self, wants_steps: bool) -> None:
        self.wants_steps = wants_steps
        self.output = b""
        self.error = "AddressCollision"  # of a creation: EELS tells no end of it
        self.steps: list[tuple[int, int, str, int, list[int]]] = []

    def __call__(self, evm: Any, event: Any) -> None:
        if isinstance(event, trace.TransactionEnd):
            self.error = type(event.error).__name__ if event.error else ""
            # Homestead keeps what a creation returned that cannot pay for its code; nobody sees it
            self.output = bytes(event.output) if self.error in ("", "Revert") else b""
        elif self.wants_steps and isinstance(event, trace.OpStart):
            stack = [int(word) for word in evm.stack[-8:]]
            depth, gas = int(evm.message.depth), int(evm.gas_left)
            self.steps.append((depth, int(evm.pc), event.op.name, gas, stack))


def run_block(request: dict[str, Any]) -> dict[str, Any]:
    """Execute one block on the open chain; invalid transactions are named and left out."""
    fork: Fork = OPEN["fork"]
    if "fork" in request:
        fork = OPEN["fork"] = fork_of(request["fork"])
    env = environment(fork, request["environment"])
    output = fork.vm.BlockOutput()
    if hasattr(fork.fork, "BEACON_ROOTS_ADDRESS"):
        fork.fork.process_unchecked_system_transaction(
            env, fork.fork.BEACON_ROOTS_ADDRESS, env.parent_beacon_block_root
        )
    if hasattr(fork.fork, "HISTORY_STORAGE_ADDRESS"):
        fork.fork.process_unchecked_system_transaction(
            env, fork.fork.HISTORY_STORAGE_ADDRESS, env.block_hashes[-1]
        )
    results = [_apply(fork, env, output, raw, request) for raw in request["transactions"]]
    answer: dict[str, Any] = {"transactions": results}
    if hasattr(fork.fork, "process_withdrawals"):
        withdrawals = [_withdrawal(fork, values) for values in request["withdrawals"]]
        fork.fork.process_withdrawals(env, output, tuple(withdrawals))
    if hasattr(fork.fork, "pay_rewards"):
        ommers = [
            SimpleNamespace(number=Uint(number), coinbase=fork.types.Address(coinbase))
            for number, coinbase in request.get("ommers", ())
        ]
        fork.fork.pay_rewards(env.state, env.number, env.coinbase, tuple(ommers))
    if fork.has_requests:
        fork.fork.process_general_purpose_requests(env, output)
        answer["requests_hash"] = bytes(fork.requests.compute_requests_hash(output.requests))
    receipts = [fork.trie.trie_get(output.receipts_trie, key) for key in output.receipt_keys]
    return answer | {
        "receipts": [r if isinstance(r, bytes) else rlp.encode(r) for r in receipts],
        "receipts_root": bytes(fork.trie.root(output.receipts_trie)),
        "logs_bloom": bytes(fork.bloom.logs_bloom(output.block_logs)),
        "gas_used": int(output.block_gas_used),
        "blob_gas_used": int(getattr(output, "blob_gas_used", 0)),
        "state_root": bytes(fork.state.state_root(env.state)),
    }


def _apply(
    fork: Fork, env: Any, output: Any, raw: bytes, request: dict[str, Any]
) -> dict[str, Any]:
    tracer = Ends(request.get("steps", False))
    trace.set_evm_trace(tracer)
    before = output.block_gas_used
    try:
        transaction = fork.decode(raw)
        index = Uint(len(output.receipt_keys))
        fork.fork.process_transaction(env, output, transaction, index)
    except (RLPException, EthereumException) as error:
        return {"refused": type(error).__name__, "text": str(error)}
    return {
        "refused": "",
        "gas_used": int(output.block_gas_used - before),
        "output": tracer.output,
        "error": tracer.error,
        "steps": tracer.steps,
    }


def _withdrawal(fork: Fork, values: tuple[int, int, bytes, int]) -> Any:
    index, validator, address, amount = values
    return fork.blocks.Withdrawal(
        U64(index), U64(validator), fork.types.Address(address), U256(amount)
    )


def examine_transaction(request: dict[str, Any]) -> dict[str, Any]:
    """What EELS says of raw bytes without any state: refusal, or sender and intrinsic gas."""
    fork = fork_of(request["fork"])
    functions = fork.transactions
    try:
        transaction = fork.decode(request["raw"])
        gas = functions.validate_transaction(transaction)
        chain = (U64(request["chain_id"]),) if "chain_id" in _parameters(functions) else ()
        sender = functions.recover_sender(*chain, transaction)
    except (RLPException, EthereumException) as error:
        return {"refused": type(error).__name__, "text": str(error)}
    intrinsic, floor = gas if isinstance(gas, tuple) else (gas, 0)
    encode = getattr(functions, "encode_transaction", lambda item: item)
    digest = functions.get_transaction_hash(encode(transaction))
    return {
        "refused": "",
        "sender": bytes(sender),
        "nonce": int(transaction.nonce),
        "intrinsic_gas": int(intrinsic),
        "floor_gas": int(floor),
        "hash": bytes(digest),
    }


def _parameters(functions: Any) -> tuple[str, ...]:
    code = functions.recover_sender.__code__
    return tuple(code.co_varnames[: code.co_argcount])


def header_fields(request: dict[str, Any]) -> dict[str, Any]:
    """What the header rules of a fork give after a parent, itself of that fork."""
    fork = fork_of(request["fork"])
    parent = rlp.decode_to(fork.blocks.Header, request["parent"])
    gas_limit, timestamp = Uint(request["gas_limit"]), U256(request["timestamp"])
    rules, found = fork.fork, {}
    if hasattr(rules, "calculate_base_fee_per_gas"):
        known = parent.gas_limit, parent.gas_used, parent.base_fee_per_gas
        found["base_fee_per_gas"] = int(rules.calculate_base_fee_per_gas(gas_limit, *known))
    if hasattr(rules, "calculate_block_difficulty"):
        known = [parent.number + Uint(1), timestamp, parent.timestamp, parent.difficulty]
        if "parent_has_ommers" in rules.calculate_block_difficulty.__code__.co_varnames:
            known.append(parent.ommers_hash != rules.EMPTY_OMMER_HASH)
        found["difficulty"] = int(rules.calculate_block_difficulty(*known))
    if hasattr(rules, "BEACON_ROOTS_ADDRESS"):
        gas = import_module(f"ethereum.forks.{request['fork']}.vm.gas")
        found["excess_blob_gas"] = int(gas.calculate_excess_blob_gas(parent))
    return found


def trie_root(request: dict[str, Any]) -> dict[str, Any]:
    """Root of a trie of these pairs; ``secured`` hashes the keys."""
    fork = fork_of("osaka")
    trie = fork.trie.Trie(secured=request["secured"], default=b"")
    for key, value in request["pairs"]:
        fork.trie.trie_set(trie, key, value)
    return {"root": bytes(fork.trie.root(trie))}


def state_root(request: dict[str, Any]) -> dict[str, Any]:
    """Root of a state."""
    fork = fork_of(request["fork"])
    return {"root": bytes(fork.state.state_root(make_state(fork, request["alloc"])))}


HANDLERS = {
    "open": open_chain,
    "block": run_block,
    "transaction": examine_transaction,
    "header": header_fields,
    "trie": trie_root,
    "state_root": state_root,
}


def serve() -> None:
    """Answer requests until stdin ends; whatever EELS cannot handle is told as a crash."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    while True:
        try:
            request = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer = HANDLERS[request["do"]](request)
        except Exception as error:
            answer = {"crash": f"{type(error).__name__}: {error}"}
        pickle.dump(answer, answers)
        answers.flush()


if __name__ == "__main__":
    sys.setrecursionlimit(100_000)
    threading.stack_size(STACK_SIZE)
    worker = threading.Thread(target=serve)
    worker.start()
    worker.join()
