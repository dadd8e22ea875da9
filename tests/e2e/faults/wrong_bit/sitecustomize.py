"""A broken node: every inference of a transaction or call has its lowest bit flipped.

The kernels themselves stay right, or the self-test would not let the node start.
"""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from patching import patch_after_import


def flip_lowest_bit(model_store: ModuleType) -> None:
    correct = model_store.ModelStore.run

    def run(*arguments: Any) -> bytes:
        output = correct(*arguments)
        return bytes([output[0] ^ 1]) + output[1:]

    model_store.ModelStore.run = run


patch_after_import("precompiles.model_store", flip_lowest_bit)
