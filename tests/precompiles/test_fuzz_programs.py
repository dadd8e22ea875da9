"""What the validator accepts runs clean and equal to the twins; what it refuses never runs."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from precompiles.model.operators import OPCODES
from tests.precompiles.fuzzing import Tally, fuzz, fuzz_bytes, judge, programs
from tests.precompiles.random_operators import DRAWERS
from tests.precompiles.random_programs import random_program

ROOT = Path(__file__).parents[2]


@settings(max_examples=60)
@given(st.integers(0, 1 << 40))
def test_a_program_runs_like_its_twins(seed: int) -> None:
    rng = random.Random(seed)
    tally = Tally()
    judge(random_program(rng, 6), rng, tally)
    assert tally.accepted == 1


def test_every_operator_is_drawn() -> None:
    assert set(DRAWERS) == set(OPCODES)
    drawn = {type(item) for model, _ in programs(0, 150) for item in model.instructions}
    assert drawn == set(OPCODES)


def test_mutants_of_programs_are_refused_or_run_like_their_twins() -> None:
    tally = fuzz(1_000, 60)
    assert tally.refused > 40
    assert tally.ran > 80


def test_mutants_of_bytes_are_refused_or_run_like_their_twins() -> None:
    tally = fuzz_bytes(2_000, 100)
    assert tally.refused > 100
    assert tally.ran > 10


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_many_programs_and_mutants(part: int) -> None:
    fuzz(100_000 * (part + 1), 600)
    fuzz_bytes(1_000_000 * (part + 1), 800)


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment", [{"NUMBA_BOUNDSCHECK": "1"}, {"NUMBA_DISABLE_JIT": "1"}], ids=str
)
def test_no_kernel_leaves_its_arrays(environment: dict[str, str], tmp_path: Path) -> None:
    """In a process of its own: machine code that checks every index, then plain Python."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("NUMBA_")}
    script = (
        "from tests.precompiles.fuzzing import fuzz, fuzz_bytes\n"
        "tally = fuzz(7_000_000, 200)\n"
        "fuzz_bytes(8_000_000, 200)\n"
        "assert tally.ran > 300, tally\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env={**kept, "PYTHONPATH": str(ROOT), "ASSAY_CACHE_DIR": str(tmp_path), **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
