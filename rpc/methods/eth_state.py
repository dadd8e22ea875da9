"""``eth_``: accounts, code, storage and proofs at a block. Reads the state trie directly."""

from functools import partial
from typing import Final

from chain.proof import account_proof
from chain.state_reader import StateReader
from rpc import decode, encode
from rpc.context import NodeContext
from rpc.decode import Params, argument
from rpc.encode import Json
from rpc.errors import InvalidParams
from rpc.jsonrpc import Handler

MAX_PROOF_SLOTS: Final = 1_024
"""As geth."""


def table(node: NodeContext) -> dict[str, Handler]:
    """The methods of this module."""
    handlers = {
        "eth_getBalance": _balance,
        "eth_getTransactionCount": _nonce,
        "eth_getCode": _code,
        "eth_getStorageAt": _storage_at,
        "eth_getAccountInfo": _account_info,
        "eth_getProof": _proof,
        "eth_accounts": _accounts,
    }
    return {name: partial(handler, node) for name, handler in handlers.items()}


def _accounts(_: NodeContext, __: Params) -> list[str]:
    return []  # the node holds no keys for users


def _state(node: NodeContext, params: Params, index: int) -> StateReader:
    return node.chain.state(node.chain.header_argument(params, index))


def _balance(node: NodeContext, params: Params) -> str:
    address = argument(params, 0, decode.address)
    return hex(_state(node, params, 1).account(address).balance)


def _nonce(node: NodeContext, params: Params) -> str:
    address = argument(params, 0, decode.address)
    if len(params) > 1 and params[1] == "pending":
        return hex(node.mempool.pending_nonce(address))
    return hex(_state(node, params, 1).account(address).nonce)


def _code(node: NodeContext, params: Params) -> str:
    address = argument(params, 0, decode.address)
    return encode.data(_state(node, params, 1).code(address))


def _storage_at(node: NodeContext, params: Params) -> str:
    address = argument(params, 0, decode.address)
    slot = argument(params, 1, decode.slot)
    return encode.word(_state(node, params, 2).storage(address, slot))


def _account_info(node: NodeContext, params: Params) -> Json:
    address = argument(params, 0, decode.address)
    state = _state(node, params, 1)
    account = state.account(address)
    return {
        "balance": hex(account.balance),
        "nonce": hex(account.nonce),
        "code": encode.data(state.code(address)),
    }


def _shown_key(key: object, slot: int) -> str:
    digits = str(key).lower().removeprefix("0x")
    return encode.word(slot) if len(digits) == 64 else hex(slot)


async def _proof(node: NodeContext, params: Params) -> Json:
    """EIP-1186; as in geth, a key of 32 bytes is echoed, any other one given as a quantity."""
    address = argument(params, 0, decode.address)
    keys = argument(params, 1, decode.sequence, ())
    if len(keys) > MAX_PROOF_SLOTS:
        raise InvalidParams(f"too many keys: {len(keys)}, limit {MAX_PROOF_SLOTS}")
    slots = [decode.slot(key) for key in keys]
    state = _state(node, params, 2)
    proof = await node.chain.background(account_proof, state, address, slots)
    return {
        "address": encode.data(address),
        "accountProof": [encode.data(item) for item in proof.nodes],
        "balance": hex(proof.account.balance),
        "nonce": hex(proof.account.nonce),
        "codeHash": encode.data(proof.account.code_hash),
        "storageHash": encode.data(proof.account.storage_root),
        "storageProof": [
            {
                "key": _shown_key(key, slot),
                "value": hex(storage.value),
                "proof": [encode.data(item) for item in storage.nodes],
            }
            for key, slot, storage in zip(keys, slots, proof.storage, strict=True)
        ],
    }
