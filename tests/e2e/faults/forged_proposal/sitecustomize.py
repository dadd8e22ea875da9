"""A dishonest proposer: inference is wrong in the blocks it builds, right in those it checks."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from patching import patch_after_import

building = False


def forge_while_building(model_store: ModuleType) -> None:
    correct = model_store.ModelStore.run

    def run(*arguments: Any) -> bytes:
        output = correct(*arguments)  # what the store caches is right
        return bytes([output[0] ^ 1]) + output[1:] if building else output

    model_store.ModelStore.run = run


def mark_building(execution: ModuleType) -> None:
    honest = execution.build_block

    def build_block(*arguments: Any, **options: Any) -> Any:
        global building
        building = True
        try:
            return honest(*arguments, **options)
        finally:
            building = False

    execution.build_block = build_block


patch_after_import("precompiles.model_store", forge_while_building)
patch_after_import("chain.execution", mark_building)
