"""A processor that adds wrongly: every run of a model has its lowest bit flipped, everywhere."""

import sys
from pathlib import Path
from types import ModuleType

sys.path.insert(0, str(Path(__file__).parents[1]))

from patching import patch_after_import


def flip_lowest_bit(runner: ModuleType) -> None:
    correct = runner.run_plan

    def run_plan(plan: object, data: bytes, batch: int) -> bytes:
        output = correct(plan, data, batch)
        return bytes([output[0] ^ 1]) + output[1:]

    runner.run_plan = run_plan


patch_after_import("precompiles.runner", flip_lowest_bit)
