"""Requests of a block to the consensus layer (EIP-7685): deposits, withdrawals, consolidations.

QBFT does nothing with them, but an Ethereum block without them has another hash, so they are made
as on mainnet. A system contract that is missing or fails makes the block invalid (EIP-7002, 7251).
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

from chain.errors import InvalidBlock
from chain.evm.transition import BlockMachine, system_call
from chain.receipts import Log
from genesis.addresses import CONSOLIDATION_REQUESTS, WITHDRAWAL_REQUESTS
from precompiles.hashing import keccak256

MAINNET_DEPOSIT_CONTRACT: Final = bytes.fromhex("00000000219ab540356cbb839cbe05303d7705fa")
_DEPOSIT_EVENT: Final = keccak256(b"DepositEvent(bytes,bytes,bytes,bytes,bytes)")
_DEPOSIT_DATA_SIZE: Final = 576
# (offset of the field's head, position of its length word, size of the field)
_DEPOSIT_FIELDS: Final = (
    (0, 160, 48),
    (32, 256, 32),
    (64, 320, 8),
    (96, 384, 96),
    (128, 512, 8),
)


def collect_requests(
    machine: BlockMachine, logs: Iterable[Log], deposit_contract: bytes | None
) -> tuple[bytes, ...]:
    """Requests after the last transaction, as type byte and data; empty ones are left out.

    Args:
        machine: of the block, after its transactions; the system calls change its state.
        logs: of all transactions, in order.
        deposit_contract: its address, or None on a chain without one.

    Raises:
        InvalidBlock: a system contract is missing or fails, or a deposit log is malformed.
    """
    deposits = b""
    if deposit_contract is not None:
        deposits = b"".join(
            [
                deposit_request(log.data)
                for log in logs
                if log.address == deposit_contract and log.topics[:1] == (_DEPOSIT_EVENT,)
            ]
        )
    requests = [b"\x00" + deposits]
    for kind, contract in ((b"\x01", WITHDRAWAL_REQUESTS), (b"\x02", CONSOLIDATION_REQUESTS)):
        requests.append(kind + _dequeue(machine, contract))
    return tuple([request for request in requests if len(request) > 1])


def deposit_request(data: bytes) -> bytes:
    """The 192 bytes of one deposit from the data of its event (EIP-6110).

    Raises:
        InvalidBlock: another layout than the deposit contract's.
    """
    if len(data) != _DEPOSIT_DATA_SIZE:
        raise InvalidBlock(f"deposit log of {len(data)} bytes, want {_DEPOSIT_DATA_SIZE}")
    fields = []
    for head, position, size in _DEPOSIT_FIELDS:
        offset = int.from_bytes(data[head : head + 32], "big")
        length = int.from_bytes(data[position : position + 32], "big")
        if (offset, length) != (position, size):
            raise InvalidBlock(
                f"deposit log: field of {length} bytes at {offset}, want {size} at {position}"
            )
        fields.append(data[position + 32 : position + 32 + size])
    return b"".join(fields)


def requests_hash(requests: Sequence[bytes]) -> bytes:
    """Header field over non-empty requests (EIP-7685)."""
    digests = [hashlib.sha256(request).digest() for request in requests]
    return hashlib.sha256(b"".join(digests)).digest()


def _dequeue(machine: BlockMachine, contract: bytes) -> bytes:
    if not machine.state.get_code(contract):
        raise InvalidBlock(f"system contract 0x{contract.hex()} is missing")
    outcome = system_call(machine, contract, b"")
    if outcome.error is not None:
        raise InvalidBlock(f"system contract 0x{contract.hex()} failed: {outcome.error}")
    return outcome.output
