"""A dishonest proposer: inference is wrong in the blocks it builds, right in those it checks."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from patching import patch_after_import

building = False


def forge_while_building(runner: ModuleType) -> None:
    correct = runner.run_plan

    def run_plan(plan: object, data: bytes, batch: int) -> bytes:
        output = correct(plan, data, batch)
        return bytes([output[0] ^ 1]) + output[1:] if building else output

    runner.run_plan = run_plan


def mark_building(execution: ModuleType) -> None:
    honest = execution.build_block

    def build_block(*args: Any, **kwargs: Any) -> Any:
        global building
        building = True
        try:
            return honest(*args, **kwargs)
        finally:
            building = False

    execution.build_block = build_block


patch_after_import("precompiles.runner", forge_while_building)
patch_after_import("chain.execution", mark_building)
