"""A small journaled state and a caller: what the chain does around a native account, in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from genesis.addresses import INFERENCE, MODEL_REGISTRY
from precompiles.abi import arguments_of, decode, encode, encode_revert, selector
from precompiles.context import Call
from precompiles.errors import OutOfGas, PrecompileHalt, PrecompileRevert
from precompiles.hashing import keccak256
from precompiles.model import operators as op
from precompiles.model.codec import encode_model
from precompiles.model.types import (
    Constant,
    DType,
    IntegerModel,
    Port,
    Quantization,
    TensorType,
)
from precompiles.model_store import ModelStore
from precompiles.table import native_accounts

ALICE, BOB, AUTHORITY = bytes([0xA1] * 20), bytes([0xB0] * 20), bytes([0xAA] * 20)
GAS = 100_000_000


@dataclass(slots=True)
class MemoryState:
    """Accounts as dictionaries; ``snapshot`` and ``revert`` make it a journal."""

    words: dict[tuple[bytes, int], int] = field(default_factory=dict)
    codes: dict[bytes, bytes] = field(default_factory=dict)

    def storage(self, address: bytes, slot: int) -> int:
        return self.words.get((address, slot), 0)

    def set_storage(self, address: bytes, slot: int, value: int) -> None:
        self.words[address, slot] = value

    def code(self, address: bytes) -> bytes:
        return self.codes.get(address, b"")

    def set_code(self, address: bytes, code: bytes) -> None:
        self.codes[address] = code

    def snapshot(self) -> "MemoryState":
        return MemoryState(dict(self.words), dict(self.codes))

    def revert(self, to: "MemoryState") -> None:
        self.words, self.codes = to.words, to.codes


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of one call. ``error`` is None, a signature, or the class name of a halt."""

    data: bytes
    error: str | None
    gas_used: int
    logs: tuple[tuple[tuple[bytes, ...], bytes], ...]

    def values(self, *types: str) -> tuple[Any, ...]:
        """Decoded results of a call that succeeded."""
        assert self.error is None, self.error
        return decode(types, self.data)

    def arguments(self) -> tuple[Any, ...]:
        """Arguments of the typed error."""
        assert self.error is not None
        assert self.data[:4] == selector(self.error)
        return decode(arguments_of(self.error), self.data[4:])


class Chain:
    """One state, block 7, and the native accounts with caches of their own."""

    def __init__(self) -> None:
        self.state = MemoryState()
        self.state.set_storage(MODEL_REGISTRY, 0, int.from_bytes(AUTHORITY, "big"))
        self.store = ModelStore()
        self.accounts = native_accounts(self.store)

    def call(
        self,
        address: bytes,
        calldata: bytes,
        *,
        caller: bytes = ALICE,
        gas: int = GAS,
        static: bool = False,
        value: int = 0,
    ) -> Outcome:
        """Call a native account; a failure undoes every write, as the chain's journal does."""
        left = gas
        logs: list[tuple[tuple[bytes, ...], bytes]] = []

        def charge(amount: int) -> None:
            nonlocal left
            assert amount >= 0
            if amount > left:
                raise OutOfGas(amount, left)
            left -= amount

        def emit(topics: Sequence[bytes], data: bytes) -> None:
            assert all(len(topic) == 32 for topic in topics)
            assert 1 <= len(topics) <= 4
            logs.append((tuple(topics), data))

        before = self.state.snapshot()
        call = Call(
            address=address,
            caller=caller,
            value=value,
            calldata=calldata,
            is_static=static,
            block_number=7,
            timestamp=1_700_000_000,
            state=self.state,
            charge=charge,
            gas_left=lambda: left,
            emit=emit,
        )
        try:
            data = self.accounts[address](call)
        except PrecompileRevert as error:
            self.state.revert(before)
            return Outcome(encode_revert(error), error.signature, gas - left, ())
        except PrecompileHalt as error:
            self.state.revert(before)
            return Outcome(b"", type(error).__name__, gas, ())
        return Outcome(data, None, gas - left, tuple(logs))

    def registry(self, signature: str, *arguments: Any, **options: Any) -> Outcome:
        """Call a function of the registry."""
        return self.call(MODEL_REGISTRY, calldata(signature, *arguments), **options)

    def inference(self, signature: str, *arguments: Any, **options: Any) -> Outcome:
        """Call a function of Inference."""
        return self.call(INFERENCE, calldata(signature, *arguments), **options)

    def upload(self, data: bytes, chunk_size: int = 64, *, claim: bytes | None = None) -> bytes:
        """Begin and upload; returns the id, which is ``claim`` when the bytes are not its own."""
        model_id = claim or keccak256(data)
        begun = self.registry("begin(bytes32,uint32,uint32)", model_id, len(data), chunk_size)
        (chunks,) = begun.values("uint32")
        for index in range(chunks):
            chunk = data[index * chunk_size : (index + 1) * chunk_size]
            outcome = self.registry("upload(bytes32,uint32,bytes)", model_id, index, chunk)
            assert outcome.values("uint32") == (chunks - index - 1,)
        return model_id

    def publish(self, data: bytes, chunk_size: int = 64) -> bytes:
        """Begin, upload and publish; returns the id."""
        model_id = self.upload(data, chunk_size)
        self.registry("publish(bytes32)", model_id).values("uint64")
        return model_id


def calldata(signature: str, *arguments: Any) -> bytes:
    """Selector and encoded arguments."""
    return selector(signature) + encode(arguments_of(signature), arguments)


def words(dtype: DType, values: Sequence[int]) -> bytes:
    """Raw border form of integers."""
    signed = dtype.bounds[0] < 0
    return b"".join(value.to_bytes(dtype.size, "little", signed=signed) for value in values)


def small_model() -> IntegerModel:
    """Three s32 inputs (0.5 per step), two s64 outputs (0.25 per step, zero point 1).

    y0 = x0 + 2 x1 + 3 x2 + 10, y1 = -x0 + x2.
    """
    s32, s64 = DType.S32, DType.S64
    weight = Constant(TensorType(s32, (3, 2)), words(s32, [1, -1, 2, 0, 3, 1]))
    bias = Constant(TensorType(s64, (2,)), words(s64, [10, 0]))
    return IntegerModel(
        inputs=(Port("features", 2, Quantization(1, 2, 0)),),
        outputs=(Port("scores", 3, Quantization(1, 4, 1)),),
        constants=(weight, bias),
        tensors=(TensorType(s32, (3,)), TensorType(s64, (2,))),
        instructions=(op.LinearInteger(x=2, weight=0, bias=1, output=3),),
    )


SMALL = encode_model(small_model())
SMALL_ID = keccak256(SMALL)
SMALL_ROWS = ([1, 2, 3], [-4, 0, 7])
SMALL_INPUT = words(DType.S32, [value for row in SMALL_ROWS for value in row])
SMALL_OUTPUT = words(DType.S64, [24, 2, 27, 11])
