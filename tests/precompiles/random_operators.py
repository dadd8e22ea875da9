"""One random instruction of each operator, mostly legal."""

from tests.precompiles import random_dense, random_elementwise, random_moves, random_rows
from tests.precompiles.random_drafts import ANY, DRAWERS, Draft

__all__ = [
    "ANY",
    "DRAWERS",
    "Draft",
    "random_dense",
    "random_elementwise",
    "random_moves",
    "random_rows",
]
