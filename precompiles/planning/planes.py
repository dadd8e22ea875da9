"""Plans of images that arrive as a few planes: (C, H, W) bytes to pixels, border or not."""

from precompiles.kernels import image
from precompiles.model import operators as op
from precompiles.model.types import IntegerModel
from precompiles.planning.planner import Planner

MOST_PLANES = 4


def are_planes(instruction: op.Transpose, model: IntegerModel) -> bool:
    """True when ``instruction`` turns two to four planes of bytes into pixels."""
    kind = model.type_of(instruction.x)
    if kind.dtype.size > 1 or instruction.permutation != (1, 2, 0):
        return False
    return 2 <= kind.shape[0] <= MOST_PLANES and kind.shape[2] >= image.RUN


def plan_planes(instruction: op.Transpose, planner: Planner) -> None:
    """Interleave the planes."""
    planes, rows, columns = planner.model.type_of(instruction.x).shape
    out = planner.image(instruction.output)
    planner.emit(
        image.interleave_planes,
        *(planner.tensor(instruction.x), out.place, out.sample_bytes, out.row_bytes),
        *(rows, columns, planes),
    )
