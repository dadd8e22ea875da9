"""Which images lie in memory with their border around them, so that no convolution copies them.

A tensor (H, W, C) gets a border when a convolution pads it, everybody who reads it can step over
rows longer than W * C, and whoever writes it can, too. All borders of one tensor have one value;
the widest wins. Who can is registered beside the plan of the operator; by default nobody.
"""

from functools import singledispatch

from precompiles.kernels.border import fill_border
from precompiles.model import operators as op
from precompiles.model.operands import operands_of
from precompiles.model.types import IntegerModel
from precompiles.planning.planner import Border, Planner


@singledispatch
def reads_image(instruction: op.Instruction, model: IntegerModel, value: int) -> bool:
    """True when the plan of ``instruction`` finds its operand ``value`` by ``planner.image``."""
    return False


@singledispatch
def writes_image(instruction: op.Instruction, model: IntegerModel) -> bool:
    """True when the plan of ``instruction`` writes its output by ``planner.image``."""
    return False


def choose_borders(model: IntegerModel) -> dict[int, Border]:
    """Border of every tensor that gets one."""
    first = len(model.constants)
    able = {first + index: True for index in range(len(model.inputs))}
    wanted: dict[int, list[Border]] = {}
    for instruction in model.instructions:
        able[instruction.output] = writes_image(instruction, model)
        for value in {*operands_of(instruction)} & able.keys():
            able[value] = able[value] and reads_image(instruction, model, value)
        if isinstance(instruction, op.Conv) and any(instruction.pads):
            top, left, bottom, right = instruction.pads
            border = Border(top, left, bottom, right, instruction.pad_value)
            wanted.setdefault(instruction.x, []).append(border)
    return {
        value: _widest(borders)
        for value, borders in wanted.items()
        if able[value] and len({item.value for item in borders}) == 1
    }


def _widest(borders: list[Border]) -> Border:
    return Border(
        max(item.top for item in borders),
        max(item.left for item in borders),
        max(item.bottom for item in borders),
        max(item.right for item in borders),
        borders[0].value,
    )


def fill(planner: Planner, value: int) -> None:
    """Emit the step that writes the border of a tensor, if it has one."""
    if value not in planner.borders:
        return
    image = planner.image(value)
    border = image.border
    kind = planner.model.type_of(value)
    pixel = kind.shape[2] * kind.dtype.size
    first = image.place + -(border.top * image.row_bytes + border.left * pixel)
    rows = border.top, kind.shape[0], border.bottom
    columns = border.left * pixel, kind.shape[1] * pixel, border.right * pixel
    planner.emit(fill_border, first, *rows, *columns, border.value, kind.dtype.size)
