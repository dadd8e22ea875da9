"""Precompiled contracts on their own: hashes, native accounts, the self-test."""

import hashlib
from collections.abc import Callable, Mapping
from math import lcm
from random import Random
from typing import Final

import numpy as np
import pytest

from chain.errors import ExecutorFault
from chain.evm import errors as halts
from chain.evm.environment import BlockEnvironment, TransactionEnvironment
from chain.evm.frame import Evm, Frame, Precompile
from chain.evm.messages import run_message
from chain.evm.precompiled import selftest
from chain.evm.precompiled.blake2f import blake2f
from chain.evm.precompiled.modexp import modexp_byzantium
from chain.evm.precompiled.native import native
from chain.evm.precompiled.table import ethereum_precompiles, precompiles_of
from chain.evm.state import WorldState
from chain.header import EMPTY_TRIE_ROOT
from genesis.forks import Fork
from precompiles.abi import encode_revert
from precompiles.context import Call
from precompiles.errors import PrecompileFault, PrecompileRevert, WriteProtection
from precompiles.kernels import blake2
from tests.chain.precompiled_frames import frame_of

HERE: Final = bytes.fromhex("aa" * 20)
CALLER: Final = bytes.fromhex("ca" * 20)


# --- BLAKE2b


def blake2b(message: bytes, compress: Callable[[bytes, bytes, int, bool], bytes]) -> bytes:
    """The whole hash, unkeyed, of 64 bytes, by a compression function."""
    words = [int(word) for word in blake2.INITIAL]
    words[0] ^= 0x01010040
    state = b"".join(word.to_bytes(8, "little") for word in words)
    blocks = [message[i : i + 128] for i in range(0, len(message), 128)] or [b""]
    for number, block in enumerate(blocks):
        is_last = number == len(blocks) - 1
        count = len(message) if is_last else 128 * (number + 1)
        state = compress(state, block.ljust(128, b"\0"), count, is_last)
    return state


def by_contract(state: bytes, block: bytes, count: int, is_last: bool) -> bytes:
    data = (12).to_bytes(4, "big") + state + block + count.to_bytes(16, "little")
    return blake2f(frame_of(data + bytes([is_last])))


def by_plain_form(state: bytes, block: bytes, count: int, is_last: bool) -> bytes:
    memory = np.zeros(8 * blake2.WORDS, np.uint8)
    memory[:208] = np.frombuffer(state + block + count.to_bytes(16, "little"), np.uint8)
    blake2.compress.source(memory, memory[:0], np.array([12, is_last]), 1)
    return memory[:64].tobytes()


@pytest.mark.parametrize("compress", [by_contract, by_plain_form])
def test_compression_makes_up_blake2b(compress: Callable[[bytes, bytes, int, bool], bytes]) -> None:
    random = Random(152)
    for size in (0, 1, 127, 128, 129, 256, 1000):
        message = random.randbytes(size)
        assert blake2b(message, compress) == hashlib.blake2b(message).digest()


# --- MODEXP


def test_exponents_modulo_one_byte() -> None:
    """Exponents around the multiples of the period that they are shortened by."""
    random = Random(198)
    for modulus in range(1, 256):
        multiple = random.randrange(1, 1 << 20) * lcm(*range(1, 256))
        for offset in (-1, 0, 1, 7, random.randrange(1 << 40)):
            base, exponent = random.randrange(256), multiple + offset
            parts = (bytes([base]), exponent.to_bytes(60, "big"), bytes([modulus]))
            data = b"".join([len(part).to_bytes(32, "big") for part in parts] + [*parts])
            assert modexp_byzantium(frame_of(data)) == bytes([pow(base, exponent, modulus)])


# --- native accounts


def world(precompiles: Mapping[bytes, Precompile]) -> Evm:
    block = BlockEnvironment(1, Fork.OSAKA, 7, 1_000, 30_000_000, bytes(20), 0, 1, 1, lambda n: b"")
    state = WorldState({}.__getitem__, EMPTY_TRIE_ROOT, precompiles)
    transaction = TransactionEnvironment(CALLER, 1)
    return Evm(state, block, transaction, precompiles, lambda frame: None)


def called(
    account: Callable[[Call], bytes], data: bytes = b"", gas: int = 1_000, is_static: bool = False
) -> Frame:
    evm = world(precompiles_of(Fork.OSAKA, {HERE: account}))
    frame = Frame(evm, CALLER, HERE, HERE, 0, data, b"", gas, is_static=is_static)
    run_message(frame)
    return frame


def test_a_native_account_sees_its_call() -> None:
    seen: list[Call] = []

    def account(call: Call) -> bytes:
        seen.append(call)
        call.charge(300)
        call.state.set_storage(HERE, 1, 2)
        call.state.set_code(HERE, b"\0")
        call.emit([b"\1" * 32], b"data")
        return call.gas_left().to_bytes(2, "big")

    frame = called(account, b"input")
    (call,) = seen
    assert (call.address, call.caller, call.value, call.calldata) == (HERE, CALLER, 0, b"input")
    assert (call.is_static, call.block_number, call.timestamp) == (False, 7, 1_000)
    assert (frame.error, frame.gas, frame.output) == (None, 700, (700).to_bytes(2, "big"))
    state = frame.evm.state
    assert (state.get_storage(HERE, 1), state.get_code(HERE), state.get_nonce(HERE)) == (
        2,
        b"\0",
        1,
    )
    assert [(log.address, log.topics, log.data) for log in state.logs] == [
        (HERE, (b"\1" * 32,), b"data")
    ]


def test_revert_keeps_gas_and_undoes() -> None:
    def account(call: Call) -> bytes:
        call.charge(10)
        call.state.set_storage(HERE, 1, 2)
        raise PrecompileRevert("Refused(uint256)", [5])

    frame = called(account)
    assert isinstance(frame.error, halts.Revert)
    assert frame.gas == 990
    assert frame.output == encode_revert(PrecompileRevert("Refused(uint256)", [5]))
    assert frame.evm.state.get_storage(HERE, 1) == 0


@pytest.mark.parametrize(
    "write",
    [
        lambda call: call.state.set_storage(HERE, 1, 2),
        lambda call: call.state.set_code(HERE, b"\1"),
        lambda call: call.emit([], b""),
    ],
)
def test_static_calls_write_nothing(write: Callable[[Call], None]) -> None:
    def account(call: Call) -> bytes:
        write(call)
        return b""

    frame = called(account, is_static=True)
    assert isinstance(frame.error, halts.WriteProtection)
    assert (frame.gas, frame.output) == (0, b"")


def test_out_of_gas_burns_everything() -> None:
    frame = called(lambda call: call.charge(1_001) or b"")  # type: ignore[func-returns-value]
    assert isinstance(frame.error, halts.OutOfGas)
    assert frame.gas == 0


def test_delegate_call_is_refused() -> None:
    precompiles = precompiles_of(Fork.OSAKA, {HERE: lambda call: b"ran"})
    frame = Frame(world(precompiles), CALLER, CALLER, HERE, 0, b"", b"", 1_000)
    run_message(frame)
    assert isinstance(frame.error, halts.Revert)
    assert frame.output == encode_revert(PrecompileRevert("DelegateCallNotSupported()"))


def broken(call: Call) -> bytes:
    raise PrecompileFault("corrupt chunk")


@pytest.mark.parametrize(
    "account",
    [
        broken,
        lambda call: call.charge(-1) or b"",  # type: ignore[func-returns-value]
        lambda call: call.emit([b"short"], b"") or b"",  # type: ignore[func-returns-value]
        lambda call: call.emit([bytes(32)] * 5, b"") or b"",  # type: ignore[func-returns-value]
        lambda call: call.state.set_storage(HERE, 0, 1 << 256) or b"",  # type: ignore[func-returns-value]
        lambda call: bytes([call.block_number // 0]),
    ],
)
def test_anything_unexpected_is_a_broken_node(account: Callable[[Call], bytes]) -> None:
    with pytest.raises(ExecutorFault):
        called(account)


def test_natives_join_the_contracts_of_a_fork() -> None:
    table = precompiles_of(Fork.CANCUN, {HERE: lambda call: b""})
    assert table.keys() == {*ethereum_precompiles(Fork.CANCUN), HERE}
    assert precompiles_of(Fork.CANCUN) is ethereum_precompiles(Fork.CANCUN)
    with pytest.raises(TypeError):
        ethereum_precompiles(Fork.CANCUN)[HERE] = blake2f  # type: ignore[index]


def test_write_protection_is_no_fault() -> None:
    def account(call: Call) -> bytes:
        raise WriteProtection("on its own account")

    with pytest.raises(halts.WriteProtection):
        native(HERE, account)(Frame(world({}), CALLER, HERE, HERE, 0, b"", b"", 5))


# --- self-test


def test_this_machine_computes_the_chains_digest() -> None:
    selftest.precompiled_self_test()


@pytest.mark.parametrize("address", [*range(1, 0x12), 0x100])
def test_the_digest_covers_every_contract(address: int, monkeypatch: pytest.MonkeyPatch) -> None:
    place = address.to_bytes(20, "big")
    table = ethereum_precompiles(Fork.OSAKA)

    def flipped(frame: Frame) -> bytes:
        output = table[place](frame)
        return output[:-1] + bytes([output[-1] ^ 1]) if output else output

    digests = []
    for run in (table[place], flipped):
        changed = {**table, place: run}
        monkeypatch.setattr(selftest, "ethereum_precompiles", lambda fork, changed=changed: changed)
        digests.append(selftest.precompiled_digest())
    assert digests[0] != digests[1]


def test_another_digest_stops_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    osaka = ethereum_precompiles(Fork.OSAKA)
    monkeypatch.setattr(selftest, "ethereum_precompiles", lambda fork: osaka)
    with pytest.raises(ExecutorFault, match="digest"):
        selftest.precompiled_self_test()
