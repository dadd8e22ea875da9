"""Plans are made once, hold about their model's bytes, and leave when there are too many."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from precompiles import model_store
from precompiles.errors import PrecompileFault
from precompiles.model import operators as op
from precompiles.model.codec import encode_model
from precompiles.model.types import DType, IntegerModel, TensorType
from precompiles.model_store import ModelStore, chunk_address
from precompiles.runner import Plan, plan_model, run_reference
from precompiles.selftest_draft import Draft
from precompiles.selftest_models import random_constant, sample_input
from precompiles.selftest_networks import mlp
from tests.precompiles.native_calls import SMALL, SMALL_ID, SMALL_INPUT, SMALL_OUTPUT, Chain


def wide_mlp(size: int) -> IntegerModel:
    """u8 (size) -> u8 (size), one square layer."""
    draft = Draft()
    x = draft.input(TensorType(DType.U8, (size,)))
    weight = draft.constant(random_constant(DType.S8, (size, size), 1, -127, 127))
    bias = draft.constant(random_constant(DType.S32, (size,), 2, -99, 99))
    multiplier = draft.constant(random_constant(DType.S32, (size,), 3, 1 << 30, (1 << 31) - 1))
    gemm = op.Gemm(x, weight, bias, multiplier, 44, 128, 0, 255, 0)
    return draft.finish(draft.run(gemm, TensorType(DType.U8, (size,))))


def test_threads_that_ask_at_once_share_one_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    chain, store = Chain(), ModelStore()
    chain.publish(SMALL)
    chunks = -(-len(SMALL) // 64)
    made: list[Plan] = []
    together = Barrier(4)

    def remember(model: IntegerModel) -> Plan:
        made.append(plan_model(model))
        return made[-1]

    def ask(index: int) -> Plan:
        together.wait()
        return store.plan(chain.state, SMALL_ID, chunks)

    monkeypatch.setattr(model_store, "plan_model", remember)
    with ThreadPoolExecutor(4) as pool:
        plans = list(pool.map(ask, range(4)))
    assert len(made) == 1
    assert plans == made * 4
    assert store.run(plans[0], SMALL_ID, SMALL_INPUT, 2) == SMALL_OUTPUT


def test_a_plan_holds_about_the_bytes_of_its_model() -> None:
    model = wide_mlp(512)
    plan = plan_model(model)
    size = len(encode_model(model))
    assert sum(len(item.data) for item in plan.model.constants) == 0
    assert [item.type for item in plan.model.constants] == [item.type for item in model.constants]
    assert size <= plan.nbytes <= 1.1 * size
    data, batch = sample_input(model, 1)
    store = ModelStore()
    assert store.run(plan, b"id", data, batch) == run_reference(model, data, batch)
    assert store.plans.weight == plan.nbytes <= 1.1 * size


def test_plans_leave_by_the_bytes_they_hold() -> None:
    plans = {name: plan_model(wide_mlp(size)) for name, size in ((b"a", 64), (b"b", 65))}
    store = ModelStore(plan_bytes=plans[b"a"].nbytes + plans[b"b"].nbytes)
    for name, plan in plans.items():
        store.plans.put(name, plan, plan.nbytes)
    assert len(store.plans) == 2
    store.run(plans[b"b"], b"b", bytes(65 * 300), 300)  # its arena no longer fits beside the other
    assert store.plans.get(b"a") is None
    assert store.plans.get(b"b") is plans[b"b"]


def test_a_damaged_chunk_is_a_fault_and_leaves_no_plan() -> None:
    chain, store = Chain(), ModelStore()
    data = encode_model(mlp())
    model_id = chain.publish(data, 2048)
    chunks = -(-len(data) // 2048)
    address = chunk_address(model_id, 1)
    code = chain.state.code(address)
    chain.state.set_code(address, code[:-1] + bytes([code[-1] ^ 1]))
    with pytest.raises(PrecompileFault, match="damaged"):
        store.plan(chain.state, model_id, chunks)
    assert len(store.plans) == 0
    chain.state.set_code(address, code)
    assert store.plan(chain.state, model_id, chunks).cost.output_bytes_per_sample == 14
