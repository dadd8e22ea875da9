"""Frames to run precompiled contracts in."""

from typing import Any, NamedTuple, cast

from chain.evm.errors import Halt
from chain.evm.frame import Evm, Frame, Precompile

PLENTY = 10**12


class Outcome(NamedTuple):
    """Gas used and output of a call that succeeded."""

    gas: int
    output: bytes


def frame_of(data: bytes, gas: int = PLENTY, evm: Any = None) -> Frame:
    """A frame whose contract needs no state."""
    zero = bytes(20)
    return Frame(cast(Evm, evm), zero, zero, zero, 0, data, b"", gas)


def outcome_of(run: Precompile, data: bytes, gas: int = PLENTY) -> Outcome | None:
    """What a contract makes of its input; None when it halts."""
    frame = frame_of(data, gas)
    try:
        output = run(frame)
    except Halt:
        return None
    return Outcome(gas - frame.gas, output)
