"""Chunk accounts to model bytes, and the caches that no result depends on.

A chunk is the code of the account ``keccak256(0xA1 ‖ model_id ‖ uint32 index)[12:]``, after one
STOP byte, so that it can never run. A plan and a result are pure functions of their keys, so a
cache hit changes the wall time of a call, never its output or its gas.
"""

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from time import perf_counter_ns
from typing import Final, Generic, Protocol, TypeVar

from precompiles.context import StateView
from precompiles.errors import ModelError, PrecompileFault
from precompiles.hashing import keccak256
from precompiles.model.codec import decode_model
from precompiles.runner import Plan, plan_model, run_plan

STOP: Final = b"\0"
_CHUNK_DOMAIN: Final = b"\xa1"

PLAN_BYTES: Final = 256 << 20
"""Bytes of prepared constants and idle arenas that are kept. A plan takes about its model's size:
constants are stored once, packed, and the bytes they came from are let go."""

RESULT_BYTES: Final = 32 << 20
_ENTRY_BYTES: Final = 200

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


def chunk_address(model_id: bytes, index: int) -> bytes:
    """Account that holds chunk ``index``, 20 bytes."""
    return keccak256(_CHUNK_DOMAIN + model_id + index.to_bytes(4, "big"))[12:]


class CodeView(Protocol):
    """Anything that reads codes."""

    def code(self, address: bytes) -> bytes:
        """Code of an account; empty when it has none."""


def read_model_bytes(view: CodeView, model_id: bytes, chunks: int) -> bytes:
    """Bytes of a published model.

    Raises:
        PrecompileFault: they do not hash to the id, so this node's state is damaged.
    """
    data = b"".join(view.code(chunk_address(model_id, index))[1:] for index in range(chunks))
    got = keccak256(data)
    if got != model_id:
        raise PrecompileFault(
            f"chunks of model 0x{model_id.hex()} hash to 0x{got.hex()}: the database is damaged"
        )
    return data


class BoundedCache(Generic[Key, Value]):
    """Drops least recently used entries when the sum of weights passes a limit; thread-safe."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.weight = 0
        self._entries: OrderedDict[Key, tuple[Value, int]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Key) -> Value | None:
        """The value, which becomes the most recently used; None when absent."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            self._entries.move_to_end(key)
            return entry[0]

    def put(self, key: Key, value: Value, weight: int) -> None:
        """Keep a value; one heavier than the limit is kept until the next comes."""
        with self._lock:
            _, old = self._entries.pop(key, (None, 0))
            self._entries[key] = (value, weight)
            self.weight += weight - old
            while self.weight > self.limit and len(self._entries) > 1:
                _, (_, dropped) = self._entries.popitem(last=False)
                self.weight -= dropped

    def __len__(self) -> int:
        return len(self._entries)


class ModelStore:
    """Plans by model id, results by model id and input hash. Safe for several threads.

    Attributes:
        runs, cached: calls that ran a model, and those answered from ``results``; for operators,
            like ``run_nanoseconds``, the time of the former. Under several threads a lower bound.
    """

    def __init__(self, plan_bytes: int = PLAN_BYTES, result_bytes: int = RESULT_BYTES) -> None:
        self.plans: BoundedCache[bytes, Plan] = BoundedCache(plan_bytes)
        self.results: BoundedCache[tuple[bytes, bytes], bytes] = BoundedCache(result_bytes)
        self.runs = self.cached = self.run_nanoseconds = 0
        self._planning = Lock()

    def plan(self, view: StateView, model_id: bytes, chunks: int) -> Plan:
        """Plan of a published model.

        Raises:
            PrecompileFault: the chunks in state are not what was published.
        """
        cached = self.plans.get(model_id)
        if cached is not None:
            return cached
        with self._planning:
            return self.plans.get(model_id) or self._plan(view, model_id, chunks)

    def _plan(self, view: StateView, model_id: bytes, chunks: int) -> Plan:
        try:
            plan = plan_model(decode_model(read_model_bytes(view, model_id, chunks)))
        except ModelError as error:
            raise PrecompileFault(f"published model 0x{model_id.hex()}: {error}") from error
        self.plans.put(model_id, plan, plan.nbytes)
        return plan

    def run(self, plan: Plan, model_id: bytes, data: bytes, batch: int) -> bytes:
        """Outputs of ``batch`` samples in raw border form, of the right length by the caller."""
        key = (model_id, keccak256(data))
        cached = self.results.get(key)
        if cached is not None:
            self.cached += 1
            return cached
        started = perf_counter_ns()
        output = run_plan(plan, data, batch)
        self.run_nanoseconds += perf_counter_ns() - started
        self.runs += 1
        self.plans.put(model_id, plan, plan.nbytes)  # its arenas may have grown
        self.results.put(key, output, len(output) + _ENTRY_BYTES)
        return output
