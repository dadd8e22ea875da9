"""Opcodes that read the message, the transaction, the block, other accounts.

Yellow Paper H.2, 3x and 4x.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

from chain.evm.frame import Frame
from chain.evm.operations.gas import GasSchedule

_MAX_ANCESTOR_DEPTH: Final = 256
_word = int.from_bytes

Read: TypeAlias = Callable[[Frame], int]

READS: Final[dict[int, Read]] = {
    0x30: lambda frame: _word(frame.address, "big"),
    0x32: lambda frame: _word(frame.evm.transaction.origin, "big"),
    0x33: lambda frame: _word(frame.caller, "big"),
    0x34: lambda frame: frame.value,
    0x36: lambda frame: len(frame.data),
    0x38: lambda frame: len(frame.code),
    0x3A: lambda frame: frame.evm.transaction.gas_price,
    0x3D: lambda frame: len(frame.return_data),
    0x41: lambda frame: _word(frame.evm.block.coinbase, "big"),
    0x42: lambda frame: frame.evm.block.timestamp,
    0x43: lambda frame: frame.evm.block.number,
    0x44: lambda frame: frame.evm.block.prev_randao,
    0x45: lambda frame: frame.evm.block.gas_limit,
    0x46: lambda frame: frame.evm.block.chain_id,
    0x47: lambda frame: frame.evm.state.get_balance(frame.address),
    0x48: lambda frame: frame.evm.block.base_fee_per_gas,
    0x4A: lambda frame: frame.evm.block.blob_base_fee,
    0x59: lambda frame: len(frame.memory),
}
"""Opcodes that take nothing and push one word, by opcode."""


def address_of(word: int) -> bytes:
    """The 20 bytes of an address on the stack; higher ones are ignored."""
    return word.to_bytes(32, "big")[12:]


def calldataload(frame: Frame) -> None:
    """CALLDATALOAD: 32 bytes of calldata, zeros beyond its end."""
    stack, data = frame.stack, frame.data
    offset = stack[-1]
    if offset + 32 <= len(data):
        stack[-1] = _word(data[offset : offset + 32], "big")
    elif offset < len(data):
        stack[-1] = _word(data[offset:], "big") << 8 * (32 - len(data) + offset)
    else:
        stack[-1] = 0


def blockhash(frame: Frame) -> None:
    """BLOCKHASH: of the 256 blocks before this one, else zero."""
    stack, block = frame.stack, frame.evm.block
    height = stack[-1]
    if 1 <= block.number - height <= _MAX_ANCESTOR_DEPTH:
        stack[-1] = _word(block.ancestor_hash(height), "big")
    else:
        stack[-1] = 0


def blobhash(frame: Frame) -> None:
    """BLOBHASH: zero beyond the last blob (EIP-4844)."""
    stack, hashes = frame.stack, frame.evm.transaction.blob_versioned_hashes
    index = stack[-1]
    stack[-1] = _word(hashes[index], "big") if index < len(hashes) else 0


def make_balance(gas: GasSchedule) -> Callable[[Frame], None]:
    """BALANCE."""
    cold = gas.cold_account

    def balance(frame: Frame) -> None:
        stack, state = frame.stack, frame.evm.state
        address = address_of(stack[-1])
        if cold and state.access_address(address):
            frame.charge(cold)
        stack[-1] = state.get_balance(address)

    return balance


def make_extcodesize(gas: GasSchedule) -> Callable[[Frame], None]:
    """EXTCODESIZE: a delegated account's is that of the designator (EIP-7702)."""
    cold = gas.cold_account

    def extcodesize(frame: Frame) -> None:
        stack, state = frame.stack, frame.evm.state
        address = address_of(stack[-1])
        if cold and state.access_address(address):
            frame.charge(cold)
        stack[-1] = len(state.get_code(address))

    return extcodesize


def make_extcodehash(gas: GasSchedule) -> Callable[[Frame], None]:
    """EXTCODEHASH: zero for an empty account (EIP-1052)."""
    cold = gas.cold_account

    def extcodehash(frame: Frame) -> None:
        stack, state = frame.stack, frame.evm.state
        address = address_of(stack[-1])
        if cold and state.access_address(address):
            frame.charge(cold)
        if state.account_is_empty(address):
            stack[-1] = 0
        else:
            stack[-1] = _word(state.get_code_hash(address), "big")

    return extcodehash
