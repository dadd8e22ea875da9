"""Where tensors lie: lifetimes, alignment, borders, aliases; walks by address and in Python."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from precompiles.errors import PrecompileFault
from precompiles.kernels import jit
from precompiles.kernels.arrays import S64, U8
from precompiles.kernels.jit import Kernel, kernel, subroutine
from precompiles.kernels.walk import WALK, walk_python
from precompiles.model import operators as op
from precompiles.model.cost import cost_of
from precompiles.model.types import DType, IntegerModel, TensorType
from precompiles.planning import arena as arena_module
from precompiles.planning import program as program_module
from precompiles.planning.arena import Arenas
from precompiles.planning.borders import choose_borders, reads_image, writes_image
from precompiles.planning.memory import Lifetime, lifetimes, place
from precompiles.planning.planner import SLACK, Border, Place, Planner, aligned, empty_aligned
from precompiles.planning.program import Program, plan_program
from precompiles.runner import plan_model, run_plan, run_reference
from precompiles.selftest_draft import Draft
from precompiles.selftest_models import constant, sample_input, sample_models, single
from precompiles.selftest_networks import network_models
from tests.precompiles.random_programs import random_program

NETWORKS = {name: model for name, model, _ in network_models()}
MODELS = {**dict(sample_models()), **NETWORKS}
BYTES = TensorType(DType.U8, (5,))


@subroutine
def twice(value: int) -> int:
    return value * 2


@kernel
def double_first(memory: U8, weights: U8, args: S64, batch: int) -> None:
    memory[args[0]] = twice(int(memory[args[0]])) + weights[args[1]] * batch


@kernel
def fail_late(memory: U8, weights: U8, args: S64, batch: int) -> None:
    memory[0] = 77
    wide = memory[:3].view(np.int16)  # 3 bytes are no words: refused when it runs
    wide[0] = 1


@pytest.fixture(autouse=True, scope="module")
def _only_ours() -> Iterator[None]:
    yield
    jit.KERNELS.remove(double_first)
    jit.KERNELS.remove(fail_late)


@st.composite
def buffers(draw: st.DrawFn) -> tuple[list[int], list[tuple[int, int] | None]]:
    count = draw(st.integers(0, 40))
    sizes = [64 * draw(st.integers(1, 9)) for _ in range(count)]
    lives: list[tuple[int, int] | None] = []
    for _ in range(count):
        first = draw(st.integers(0, 20))
        lives.append(draw(st.sampled_from([None, (first, first + draw(st.integers(0, 9)))])))
    return sizes, lives


@settings(max_examples=300)
@given(buffers())
def test_buffers_alive_together_never_overlap(
    drawn: tuple[list[int], list[tuple[int, int] | None]],
) -> None:
    sizes, lives = drawn
    offsets, total = place(sizes, lives)
    spans = [
        (life, offset, offset + size)
        for size, life, offset in zip(sizes, lives, offsets, strict=True)
        if life
    ]
    for index, (life, start, end) in enumerate(spans):
        assert start % 64 == 0
        assert end <= total
        for other, low, high in spans[:index]:
            if life[0] <= other[1] and other[0] <= life[1]:
                assert end <= low or high <= start
    alive = [
        sum(end - start for life, start, end in spans if life[0] <= step <= life[1])
        for step in range(30)
    ]
    assert max(alive) <= total <= sum(end - start for _, start, end in spans)


def alive_together(sizes: Sequence[int], lives: Sequence[Lifetime | None]) -> int:
    """Largest sum of sizes at one step."""
    ends = max((life[1] for life in lives if life), default=0)
    known = [(life, size) for life, size in zip(lives, sizes, strict=True) if life]
    return max(
        sum(size for life, size in known if life[0] <= step <= life[1]) for step in range(ends + 1)
    )


def planned_peak(model: IntegerModel) -> tuple[int, int]:
    """(largest sum of buffers alive, bytes of an arena) of one sample."""
    seen: list[int] = []

    def measured(sizes: Sequence[int], lives: Sequence[Lifetime | None]) -> tuple[list[int], int]:
        seen.append(alive_together(sizes, lives))
        return place(sizes, lives)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program_module, "place", measured)
        total = plan_program(model).bytes_per_sample
    return seen[0], total


def check_bound(model: IntegerModel) -> tuple[int, int]:
    """L2's bytes, from types alone, hold what is planned; bytes alive at once, and of the arena."""
    planned, total = planned_peak(model)
    assert planned <= cost_of(model).scratch_bytes_per_sample
    return planned, total


@pytest.mark.parametrize("name", sorted(MODELS))
def test_planned_buffers_are_bounded_from_types_alone(name: str) -> None:
    planned, total = check_bound(MODELS[name])
    assert total <= planned + planned // 4 + 256  # gaps; drawn programs were seen to add a third


@settings(max_examples=150)
@given(st.integers(0, 1 << 40))
def test_buffers_of_random_programs_are_bounded_from_types_alone(seed: int) -> None:
    check_bound(random_program(seed, 8))


def test_a_chain_needs_no_more_than_its_two_largest_neighbours() -> None:
    sizes = [64, 640, 128, 640, 64]
    lives = lifetimes(5, [[0, 1], [1, 2], [2, 3], [3, 4]], [0], [4])
    assert lives == [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]
    assert place(sizes, lives)[1] == 768


def test_constants_are_placed_once_aligned_with_slack_behind() -> None:
    planner = Planner(single(op.Clip(0, 3, 9, 1), [BYTES], BYTES))
    first = planner.place(np.arange(70, dtype=np.uint8))
    second = planner.place(np.arange(5, dtype=np.int32))
    assert (first, second) == (0, 128)
    assert planner.place(np.arange(70, dtype=np.uint8)) == first
    weights = planner.weights()
    assert weights.ctypes.data % 64 == 0
    assert weights.nbytes == aligned(70) + aligned(20) + SLACK
    assert weights[:70].tolist() == list(range(70))
    assert not weights[70:128].any()
    assert weights[128:148].view(np.int32).tolist() == list(range(5))


def test_a_constant_operand_lies_in_the_weights() -> None:
    model = single(op.Minimum(1, 0, 2), [BYTES], BYTES, [constant(DType.U8, (5,), [1, 2, 3, 4, 5])])
    planner = Planner(model)
    assert planner.operand(0) == (True, 0)
    assert planner.operand(1) == (False, Place(0))
    with pytest.raises(ValueError, match="constant"):
        planner.tensor(0)
    assert planner.tensor(1) + 3 + 4 == Place(0, 7)


@pytest.mark.parametrize("name", sorted(MODELS))
@pytest.mark.parametrize("value", [0x00, 0x5A, 0xFF])
def test_no_result_depends_on_what_memory_held_before(
    name: str, value: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = MODELS[name]

    def poisoned(size: int) -> U8:
        memory = empty_aligned(size)
        memory[...] = value
        return memory

    expected = run_plan(plan_model(model), *sample_input(model, 9))
    plan = plan_model(model)
    monkeypatch.setattr(arena_module, "empty_aligned", poisoned)
    assert run_plan(plan, *sample_input(model, 9)) == expected


@pytest.mark.parametrize("name", sorted(MODELS))
def test_no_kernel_writes_weights_or_outside_its_buffers(name: str) -> None:
    model = MODELS[name]
    program = plan_program(model)
    before = program.weights.tobytes()
    for batch in (1, 3):
        size = program.bytes_per_sample * batch
        memory = empty_aligned(size + 2 * SLACK)
        memory[...] = 0xA7
        rng = np.random.default_rng(1)
        inner = memory[SLACK : SLACK + size + SLACK]
        arena = arena_module.Arena(program, None, batch, inner)
        for window in arena.inputs:
            window[...] = rng.integers(0, 256, window.shape)
        walk_python(program.kernels, inner, program.weights, arena.table, batch)
        assert (memory[:SLACK] == 0xA7).all()
        assert (inner[size:] == 0xA7).all()
    assert program.weights.tobytes() == before


def test_reshape_moves_no_byte() -> None:
    program = plan_program(MODELS["reshape"])
    assert program.kernels == ()
    assert program.inputs[0].scaled == program.outputs[0].scaled


def test_an_early_output_keeps_its_place_to_the_end() -> None:
    draft = Draft()
    kind = TensorType(DType.U8, (300,))
    early = draft.run(op.Clip(draft.input(kind), 3, 200, 0), kind)
    late = early
    for hi in range(190, 150, -10):
        late = draft.run(op.Clip(late, 4, hi, 0), kind)
    model = draft.finish(early, late, early)
    data, batch = sample_input(model, 8)
    assert run_plan(plan_model(model), data, batch) == run_reference(model, data, batch)


def padded_twice(first: tuple[int, ...], second: tuple[int, ...], value: int) -> IntegerModel:
    """Two convolutions of one image by their pads; the second may fill with another value."""
    model = MODELS["conv"]
    conv = model.instructions[0]
    assert isinstance(conv, op.Conv)
    height, width, _ = model.tensors[0].shape
    kernel_h, kernel_w = model.constants[conv.weight].type.shape[:2]
    tensors = [model.tensors[0]]
    instructions = []
    for index, (pads, fill) in enumerate(((first, conv.pad_value), (second, value))):
        rows = height + pads[0] + pads[2] - kernel_h + 1
        columns = width + pads[1] + pads[3] - kernel_w + 1
        tensors.append(TensorType(DType.U8, (rows, columns, model.tensors[1].shape[2])))
        instructions.append(replace(conv, pads=pads, pad_value=fill, output=conv.output + index))
    port = model.outputs[0]
    outputs = port, replace(port, name="second", value=port.value + 1)
    return replace(model, tensors=tuple(tensors), instructions=tuple(instructions), outputs=outputs)


def test_the_widest_border_of_one_value_wins() -> None:
    model = padded_twice((1, 0, 2, 1), (0, 1, 1, 1), 9)
    conv = model.instructions[0]
    assert isinstance(conv, op.Conv)
    assert reads_image(conv, model, conv.x)
    assert choose_borders(model) == {conv.x: Border(1, 1, 2, 1, conv.pad_value)}
    data, batch = sample_input(model, 4)
    assert run_plan(plan_model(model), data, batch) == run_reference(model, data, batch)


def test_two_values_make_no_border() -> None:
    model = padded_twice((1, 0, 2, 1), (0, 1, 1, 1), 10)
    assert choose_borders(model) == {}
    data, batch = sample_input(model, 4)
    assert run_plan(plan_model(model), data, batch) == run_reference(model, data, batch)


def test_a_reader_that_needs_whole_rows_prevents_a_border() -> None:
    model = padded_twice((1, 1, 1, 1), (1, 1, 1, 1), 9)
    conv = model.instructions[0]
    assert isinstance(conv, op.Conv)
    kind = model.tensors[0]
    flat = op.Reshape(conv.x, model.instructions[1].output)
    shaped = replace(
        model,
        tensors=(*model.tensors[:2], TensorType(kind.dtype, (kind.elements,))),
        instructions=(conv, flat),
    )
    assert not writes_image(flat, shaped)
    assert choose_borders(shaped) == {}
    data, batch = sample_input(shaped, 4)
    assert run_plan(plan_model(shaped), data, batch) == run_reference(shaped, data, batch)


def test_images_of_a_network_lie_in_their_borders() -> None:
    program, borders = plan_program(NETWORKS["cnn"]), choose_borders(NETWORKS["cnn"])
    assert len(borders) >= 2
    assert not program.inputs[0].is_flat


def numba_or_skip() -> None:
    if jit.load_numba() is None:
        pytest.skip("there is no compiler")


def program_of(*kernels: Kernel) -> Program:
    """Steps of args (0, 0) on one byte in, one byte out."""
    words = np.array([4, 0, 0, 0] * len(kernels), np.int64)
    window = plan_program(single(op.Clip(0, 3, 9, 1), [BYTES], BYTES)).inputs[0]
    return Program(
        kernels,
        np.arange(len(kernels)) * 4,
        words,
        np.zeros_like(words),
        empty_aligned(SLACK),
        64,
        (window,),
        (window,),
    )


def test_a_native_walk_equals_a_walk_in_python() -> None:
    numba_or_skip()
    program = program_of(double_first, double_first, double_first)
    program.weights[...] = 1
    table = program.fixed.copy()
    table[program.positions + 1] = double_first.address()
    native, plain = np.full(8, 5, np.uint8), np.full(8, 5, np.uint8)
    assert WALK(native, program.weights, table, 2) == -1
    walk_python(program.kernels, plain, program.weights, program.fixed, 2)
    assert native.tolist() == plain.tolist() == [54, 5, 5, 5, 5, 5, 5, 5]


def test_a_failing_step_is_a_fault_of_this_node() -> None:
    numba_or_skip()
    arenas = Arenas(program_of(double_first, fail_late, double_first))
    arena = arenas.take(1)
    with pytest.raises(PrecompileFault, match=r"step 1, .*fail_late"):
        arenas.run(arena)
    assert arena.memory[0] == 77


def test_an_address_needs_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jit, "load_numba", lambda: None)
    plain = Kernel(double_first.source)
    with pytest.raises(RuntimeError, match="double_first is not compiled"):
        plain.address()


def test_arenas_are_used_again_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    arenas = Arenas(plan_program(MODELS["clip_u8"]))
    first = arenas.take(4)
    arenas.give(first)
    assert arenas.take(4) is first
    arenas.give(first)
    smaller = arenas.take(2)
    assert smaller.memory is first.memory
    assert smaller.batch == 2
    assert len(smaller.read()) == 2 * 7
    lent = [smaller, *(arenas.take(2) for _ in range(20))]
    assert len({id(item.memory) for item in lent}) == 21
    for item in lent:
        arenas.give(item)
    held = arenas.nbytes
    assert held <= 8 * max(item.memory.nbytes for item in lent) + (64 << 10)
    monkeypatch.setattr(arena_module, "KEPT_BYTES", 1)
    arenas.give(arenas.take(2))
    arenas.give(arenas.take(3))
    assert arenas.nbytes <= held


def test_threads_never_share_an_arena() -> None:
    arenas = Arenas(plan_program(MODELS["clip_u8"]))

    def use(index: int) -> bool:
        arena = arenas.take(1)
        arena.fill(bytes([90 + index % 50]) * 7)
        arenas.run(arena)
        same = arena.read() == bytes([90 + index % 50]) * 7
        arenas.give(arena)
        return same

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(use, range(2000)))
