"""Plans of elementwise operators and tables."""

from precompiles.kernels import clip
from precompiles.model import operators as op
from precompiles.model.types import DType
from precompiles.planning.planner import Planner
from precompiles.planning.registry import plan

_CLIP = {
    DType.U8: clip.clip_u8,
    DType.S8: clip.clip_s8,
    DType.S16: clip.clip_s16,
    DType.S32: clip.clip_s32,
    DType.S64: clip.clip_s64,
}


@plan.register
def _(instruction: op.Clip, planner: Planner) -> None:
    kind = planner.model.type_of(instruction.x)
    x, out = planner.tensor(instruction.x), planner.tensor(instruction.output)
    kernel = _CLIP[kind.dtype]
    planner.emit(kernel, x, kind.elements, instruction.lo, instruction.hi, out)
