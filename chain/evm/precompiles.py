"""Accounts without bytecode: Ethereum's precompiles and this chain's native accounts.

A precompile is a function of a py-evm computation. Ethereum's are py-evm's own but for two:
MODEXP (0 ** 0 is 1, EIP-198) and point evaluation (reads its trusted setup once, no ``assert``).
Native accounts (``precompiles.table``) know nothing of py-evm; ``native`` adapts them.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeAlias

import ckzg  # type: ignore[import-not-found]  # C extension without stubs
import eth
from eth.exceptions import OutOfGas as EvmOutOfGas
from eth.exceptions import Revert, VMError
from eth.exceptions import WriteProtection as EvmWriteProtection
from eth.vm.forks.prague.computation import PRAGUE_PRECOMPILES

from chain.errors import ExecutorFault
from chain.evm.old_state import WorldState
from precompiles.abi import encode_revert
from precompiles.context import Call, NativeAccount
from precompiles.errors import (
    OutOfGas,
    PrecompileHalt,
    PrecompileRevert,
    WriteProtection,
)

Precompile: TypeAlias = Callable[[Any], object]
"""Runs on a py-evm computation: charges it, sets its ``output``, or raises VMError."""

_MODEXP: Final = (5).to_bytes(20, "big")
_POINT_EVALUATION: Final = (10).to_bytes(20, "big")
_FIELD_ELEMENTS_PER_BLOB: Final = 4096
_BLS_MODULUS: Final = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
_POINT_EVALUATION_GAS: Final = 50_000
_MODEXP_MINIMUM_GAS: Final = 200


@cache
def default_natives() -> Mapping[bytes, NativeAccount]:
    """This chain's native accounts; their kernels (numba) load on the first call, not at import."""
    from precompiles.table import NATIVE_ACCOUNTS

    return NATIVE_ACCOUNTS


def precompile_table(natives: Mapping[bytes, NativeAccount]) -> dict[bytes, Precompile]:
    """Address -> function: Ethereum's precompiles and ``natives``."""
    table: dict[bytes, Precompile] = dict(PRAGUE_PRECOMPILES)
    table[_MODEXP] = modexp
    table[_POINT_EVALUATION] = point_evaluation
    for address, function in natives.items():
        table[address] = native(address, function)
    return table


def native(address: bytes, function: NativeAccount) -> Precompile:
    """Adapt a native account.

    The result reverts with typed data on PrecompileRevert, burns all gas on PrecompileHalt, and
    raises ExecutorFault on everything else: a value that only one node computes must never become
    state. Reached by DELEGATECALL or CALLCODE it reverts, because it would write its caller's
    storage.
    """

    def run(computation: Any) -> None:
        message = computation.msg
        try:
            if message.storage_address != address:
                raise PrecompileRevert("DelegateCallNotSupported()")
            computation.output = function(_call(computation, address))
        except PrecompileRevert as error:
            computation.output = encode_revert(error)
            raise Revert(computation.output) from error
        except WriteProtection as error:
            raise EvmWriteProtection(str(error)) from error
        except PrecompileHalt as error:
            raise EvmOutOfGas(str(error)) from error
        except ExecutorFault:
            raise
        except Exception as error:  # the one place that sorts precompile errors
            raise ExecutorFault(
                f"native account 0x{address.hex()} failed: {type(error).__name__}: {error}"
            ) from error

    return run


class JournaledView:
    """``precompiles.context.StateView`` over the world state; refuses writes in a static call."""

    def __init__(self, state: WorldState, is_static: bool) -> None:
        self._state = state
        self._is_static = is_static

    def storage(self, address: bytes, slot: int) -> int:
        """Word at ``slot``."""
        return self._state.get_storage(address, slot)

    def set_storage(self, address: bytes, slot: int, value: int) -> None:
        """Write a word; undone when the call reverts."""
        self._check_writable()
        if not 0 <= value < 1 << 256 or not 0 <= slot < 1 << 256:
            raise ExecutorFault(f"storage word out of range: slot {slot:#x}, value {value:#x}")
        self._state.set_storage(address, slot, value)

    def code(self, address: bytes) -> bytes:
        """Runtime code."""
        return self._state.get_code(address)

    def set_code(self, address: bytes, code: bytes) -> None:
        """Create or replace an account's code, with nonce 1 at least."""
        self._check_writable()
        self._state.set_code(address, code)
        if self._state.get_nonce(address) == 0:
            self._state.set_nonce(address, 1)

    def _check_writable(self) -> None:
        if self._is_static:
            raise WriteProtection("native account writes state inside a static call")


def _call(computation: Any, address: bytes) -> Call:
    message, state = computation.msg, computation.state

    def charge(amount: int) -> None:
        left = computation.get_gas_remaining()
        if amount < 0:
            raise ExecutorFault(f"native account 0x{address.hex()} charges {amount} gas")
        if amount > left:
            raise OutOfGas(amount, left)
        computation.consume_gas(amount, reason="native account")

    def emit(topics: Sequence[bytes], data: bytes) -> None:
        if message.is_static:
            raise WriteProtection("native account logs inside a static call")
        if len(topics) > 4 or any(len(topic) != 32 for topic in topics):
            raise ExecutorFault(f"native account 0x{address.hex()} emits malformed topics")
        words = tuple([int.from_bytes(topic, "big") for topic in topics])
        computation.add_log_entry(address, words, data)

    return Call(
        address=address,
        caller=message.sender,
        value=message.value,
        calldata=bytes(message.data),
        is_static=message.is_static,
        block_number=state.block_number,
        timestamp=state.timestamp,
        state=JournaledView(state, message.is_static),
        charge=charge,
        gas_left=computation.get_gas_remaining,
        emit=emit,
    )


def modexp(computation: Any) -> None:
    """``base ** exponent % modulus`` of big-endian numbers (EIP-198, gas of EIP-2565).

    The result is as long as the modulus. 0 ** 0 is 1 (0 where the modulus is 0 or 1).
    """
    data = bytes(computation.msg.data)
    base_size, exponent_size, modulus_size = (_slice(data, 32 * i, 32) for i in range(3))
    head = _slice(data, 96 + base_size, min(exponent_size, 32))
    iterations = max(head.bit_length() - 1, 0) + 8 * max(exponent_size - 32, 0)
    words = (max(base_size, modulus_size) + 7) // 8
    cost = max(_MODEXP_MINIMUM_GAS, words**2 * max(iterations, 1) // 3)
    computation.consume_gas(cost, reason="MODEXP")
    if modulus_size == 0:
        computation.output = b""
        return
    base = _slice(data, 96, base_size)
    exponent = _slice(data, 96 + base_size, exponent_size)
    modulus = _slice(data, 96 + base_size + exponent_size, modulus_size)
    result = pow(base, exponent, modulus) if modulus else 0
    computation.output = result.to_bytes(modulus_size, "big")


def _slice(data: bytes, start: int, size: int) -> int:
    """Big-endian number at ``start``; bytes beyond the data count as zero."""
    part = data[start : start + size]
    return int.from_bytes(part, "big") << 8 * (size - len(part))


def point_evaluation(computation: Any) -> None:
    """Check p(z) = y for a KZG commitment (EIP-4844); any failure burns all gas."""
    computation.consume_gas(_POINT_EVALUATION_GAS, reason="point evaluation")
    data = bytes(computation.msg.data)
    if len(data) != 192:
        raise VMError(f"point evaluation: input of {len(data)} bytes, want 192")
    commitment, proof = data[96:144], data[144:192]
    if b"\x01" + hashlib.sha256(commitment).digest()[1:] != data[:32]:
        raise VMError("point evaluation: versioned hash is another commitment's")
    try:
        proven = ckzg.verify_kzg_proof(commitment, data[32:64], data[64:96], proof, _setup())
    except (RuntimeError, ValueError) as error:  # not on the curve, not canonical
        raise VMError(f"point evaluation: {error}") from error
    if not proven:
        raise VMError("point evaluation: proof does not hold")
    computation.output = _FIELD_ELEMENTS_PER_BLOB.to_bytes(32, "big") + _BLS_MODULUS.to_bytes(
        32, "big"
    )


@cache
def _setup() -> Any:
    """Trusted setup of the KZG ceremony, as py-evm ships it."""
    path = Path(eth.__file__).parent / "_utils" / "kzg_trusted_setup.txt"
    return ckzg.load_trusted_setup(str(path), 0)
