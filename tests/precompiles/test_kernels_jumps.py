"""JUMPDEST analysis: the kernel against its plain form and the Yellow Paper, on any code."""

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from precompiles.kernels.jumps import mark_destinations

GUARD = 8
JUMPDEST, PUSH1, PUSH32 = 0x5B, 0x60, 0x7F

opcodes = st.one_of(
    st.just(JUMPDEST), st.sampled_from([PUSH1, PUSH1 + 1, PUSH32, 0x5F, 0x80]), st.integers(0, 255)
)


def naive(code: bytes, pc: int = 0) -> bytes:
    """D_J of the Yellow Paper: opcode by opcode, each followed by N(i, w) bytes of data."""
    mask = bytearray(len(code))
    while pc < len(code):
        mask[pc] = code[pc] == JUMPDEST
        pc += code[pc] - PUSH1 + 2 if code[pc] in range(PUSH1, PUSH32 + 1) else 1
    return bytes(mask)


def marked(code: bytes, *, plain: bool = False) -> bytes:
    """What the kernel makes of ``code`` between JUMPDESTs that it must not touch or read."""
    guard = bytes([JUMPDEST]) * GUARD
    memory = np.frombuffer(bytearray(guard + code + guard), np.uint8)
    run = mark_destinations.source if plain else mark_destinations
    run(memory[GUARD : GUARD + len(code)], np.zeros(0, np.uint8), np.zeros(0, np.int64), 1)
    assert memory[:GUARD].tobytes() == memory[GUARD + len(code) :].tobytes() == guard
    return memory[GUARD : GUARD + len(code)].tobytes()


@given(st.lists(opcodes, max_size=200).map(bytes))
@settings(max_examples=300)
def test_any_code(code: bytes) -> None:
    assert marked(code) == marked(code, plain=True) == naive(code)


@pytest.mark.parametrize("push", range(PUSH1 - 2, PUSH32 + 3))
def test_push_data_of_every_length_at_every_distance_from_the_end(push: int) -> None:
    for size in range(36):
        code = bytes([JUMPDEST, push]) + bytes([JUMPDEST]) * size
        assert marked(code) == marked(code, plain=True) == naive(code)


@pytest.mark.parametrize(
    "unit", [b"\x5b", b"\x7f", b"\x60\x5b", b"\x60", b"\x5b\x60", b"\x7e\x5b", b"\0"]
)
def test_hostile_codes_of_full_size(unit: bytes) -> None:
    code = (unit * 49_152)[:49_152]
    assert marked(code) == naive(code)


def test_random_codes_of_full_size() -> None:
    random = Random(1)
    for _ in range(20):
        code = random.randbytes(random.randrange(24_000, 49_153))
        assert marked(code) == naive(code)


def test_no_code() -> None:
    assert marked(b"") == marked(b"", plain=True) == b""
