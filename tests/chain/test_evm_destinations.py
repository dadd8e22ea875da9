"""Jump analysis: machine code equals Python equals the Yellow Paper, and is loaded late."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.errors import ExecutorFault
from chain.evm import destinations as module
from chain.evm.destinations import JumpAnalysis, jump_self_test, load_machine_scan, plain_scan
from precompiles.kernels import jit
from tests.chain.evm_programs import destinations

ROOT = Path(__file__).parents[2]
BYTES = [0x5B, 0x5B, 0x60, 0x61, 0x7F, 0x5F, 0x80, 0]
CODES = [
    b"",
    b"\x5b",
    b"\x5b" * 3_000,
    b"\x7f" * 3_000,
    b"\x60\x5b" * 1_500,
    b"\x5b" * 40 + b"\x7f",
    b"\0" * 40 + b"\x62\x5b\x5b",
]

codes = st.lists(st.one_of(st.sampled_from(BYTES), st.integers(0, 255)), max_size=150).map(bytes)


def positions(mask: bytearray, code: bytes) -> set[int]:
    assert len(mask) == len(code)
    assert set(mask) <= {0, 1}
    return {pc for pc, mark in enumerate(mask) if mark}


@pytest.fixture(scope="module")
def machine_scan() -> module.Scan:
    return load_machine_scan()


@given(codes)
@settings(max_examples=300, deadline=None)
def test_both_scans_equal_the_definition(machine_scan: module.Scan, code: bytes) -> None:
    assert positions(plain_scan(code), code) == destinations(code)
    assert positions(machine_scan(code), code) == destinations(code)


@pytest.mark.parametrize("code", CODES, ids=range(len(CODES)))
def test_hostile_codes(machine_scan: module.Scan, code: bytes) -> None:
    assert positions(plain_scan(code), code) == destinations(code)
    assert positions(machine_scan(code), code) == destinations(code)


@given(st.lists(codes, max_size=12), st.integers(0, 400))
@settings(max_examples=100, deadline=None)
def test_an_analysis_never_shows_when_it_changes_over(program: list[bytes], plain: int) -> None:
    analysis = JumpAnalysis(plain)
    for code in program:
        before = bytes(code)
        assert positions(analysis(code), code) == destinations(code)
        assert code == before


def test_a_process_without_a_compiler_stays_in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jit, "load_numba", lambda: None)
    assert load_machine_scan() is plain_scan
    analysis = JumpAnalysis(0)
    for code in CODES:
        assert positions(analysis(code), code) == destinations(code)


LOADS = """
import sys
from chain.evm.program import Program
from genesis.forks import Fork
def heavy():
    return [name for name in ("numba", "numpy") if name in sys.modules]
print(heavy())
for number in range(400):
    code = b"\\x5b\\x60" * 12_288 + number.to_bytes(2, "big")
    assert not Program(code, Fork.OSAKA).is_destination(1)
    assert Program(code, Fork.OSAKA).is_destination(24_574) is False
    if number == 100:
        print(heavy())
print(heavy())
"""


@pytest.mark.parametrize(("switch", "loaded"), [("0", ["numba", "numpy"]), ("1", None)])
def test_a_process_that_scans_little_never_loads_numba(switch: str, loaded: object) -> None:
    if switch == "0" and jit.load_numba() is None:
        pytest.skip("there is no compiler")
    done = subprocess.run(
        [sys.executable, "-c", LOADS],
        env={**os.environ, "NUMBA_DISABLE_JIT": switch},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert lines[:2] == ["[]", "[]"]
    assert loaded is None or lines[2] == str(loaded)


def test_the_self_test_passes() -> None:
    jump_self_test()


@pytest.mark.parametrize("wrong", [0, 2_048, 4_098])
def test_the_self_test_stops_a_node_that_is_wrong_in_one_byte(
    wrong: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scan(code: bytes) -> bytearray:
        mask = plain_scan(code)
        mask[wrong] ^= 1
        return mask

    monkeypatch.setattr(module, "jump_destinations", JumpAnalysis(0))
    monkeypatch.setattr(module, "load_machine_scan", lambda: scan)
    with pytest.raises(ExecutorFault, match="JUMPDEST"):
        jump_self_test()
