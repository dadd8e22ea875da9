"""The type that each operator derives for its output, and the structure it demands of operands.

``output_type(instruction, model)`` checks dtypes, shapes and attributes that need no constant data
(rules L4, L5, L7, L8, L12, L15) and returns the derived type. Where an operator leaves the output
free (dtype of a requantised result, shape of Reshape and Slice), the declared one is checked and
returned. Value ids must already be known to exist.
"""

from precompiles.model.shapes import dense, elementwise, moves, rows, trees
from precompiles.model.shapes.rules import output_type, window_outputs

__all__ = ["dense", "elementwise", "moves", "output_type", "rows", "trees", "window_outputs"]
