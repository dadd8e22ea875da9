"""Which forms transformers need: 16-bit residual streams and scores, 8-bit keys and values."""

from collections.abc import Iterator, Mapping
from math import isqrt

from precompiles.model.types import DType
from tools.compiler.graph import (
    Add,
    Affine,
    FloatGraph,
    Operation,
    Reshape,
    Slice,
    Softmax,
    Transpose,
    consumers,
    operands,
)
from tools.compiler.graph_attention import LayerNorm, MatMul
from tools.compiler.graph_choices import Expand, Select
from tools.compiler.precision import Form, dtype_rule
from tools.compiler.quantize import WORD_REACH

_MOVES = (Reshape, Transpose, Slice, Expand)
_SUM_LIMIT = (1 << 31) - 1
_LEAST_REACH = 255


def product_reaches(depth: int, a: int, b: int) -> tuple[int, int]:
    """Largest codes of both factors such that sums of ``depth`` products fit 31 bits.

    Args:
        depth: terms of a sum.
        a: largest ``|q| + |zero_point|`` of the first factor as it is.
        b: the same of the second.

    Returns:
        What each factor may have; the second gives way first, down to 8 bits.
    """
    if depth * a * b <= _SUM_LIMIT:
        return a, b
    room = _SUM_LIMIT // depth
    if a <= _LEAST_REACH or room // a >= 2 * _LEAST_REACH:
        return a, room // a
    if b <= _LEAST_REACH:
        return room // b, b
    half = isqrt(room)
    return min(a, max(half, room // b)), min(b, max(half, room // a))


def has_mask(graph: FloatGraph, name: str) -> bool:
    """True when a choice between the tensor and a constant reads it: masked scores."""
    return any(
        isinstance(item, Select) and name in (item.a, item.b)
        for item in consumers(graph).get(name, [])
    )


@dtype_rule
def attention_forms(graph: FloatGraph, base: DType) -> Mapping[str, Form]:
    """Scores and residual streams s16; second factors s8, or s16 with few bits."""
    producers = {item.output: item for item in graph.operations}
    forms: dict[str, Form] = {}
    for operation in graph.operations:
        if isinstance(operation, LayerNorm):
            _residual(operation.x, producers, forms)
        elif isinstance(operation, Softmax):
            _scores(operation.x, producers, forms)
    for operation in graph.operations:
        if isinstance(operation, MatMul):
            depth = graph.shapes[operation.a][-1]
            is_row = graph.shapes[operation.a][-2] == 1  # a weighted sum, as in pooling: cheap
            if base is DType.U8 and (is_row or operation.b in forms):
                reach = max(_LEAST_REACH, _SUM_LIMIT // depth // WORD_REACH)
                forms.setdefault(operation.a, Form(DType.S16, min(reach, WORD_REACH)))
                forms.setdefault(operation.b, Form(DType.S16))
                continue
            for name in _sources(graph, operation.b, producers):
                forms.setdefault(name, _factor(base, depth, operation.a, producers))
            if base is DType.S16 and not _from_softmax(operation.a, producers):
                reach = min(WORD_REACH, isqrt(_SUM_LIMIT // depth))
                for name in _sources(graph, operation.a, producers):
                    forms.setdefault(name, Form(DType.S16, reach))
    return forms


def _factor(base: DType, depth: int, a: str, producers: Mapping[str, Operation]) -> Form:
    """Form of the second factor of a product of ``depth`` terms."""
    if base is DType.U8:
        return Form(DType.S8)
    if _from_softmax(a, producers):
        return Form(
            DType.S16, min(WORD_REACH, max(_LEAST_REACH, _SUM_LIMIT // depth // WORD_REACH))
        )
    return Form(DType.S16, min(WORD_REACH, isqrt(_SUM_LIMIT // depth)))


def _from_softmax(name: str, producers: Mapping[str, Operation]) -> bool:
    made = producers.get(name)
    while isinstance(made, _MOVES):
        made = producers.get(made.x)
    return isinstance(made, Softmax)


def _sources(graph: FloatGraph, name: str, producers: Mapping[str, Operation]) -> Iterator[str]:
    """A factor, and the tensors that are only moved to become it."""
    readers = consumers(graph)
    yield name
    made = producers.get(name)
    while isinstance(made, _MOVES) and len(readers.get(made.x, [])) == 1:
        yield made.x
        made = producers.get(made.x)


def _residual(name: str, producers: Mapping[str, Operation], forms: dict[str, Form]) -> None:
    """A stream of sums, back to what is added and to the layers that start it."""
    if name in forms:
        return
    forms[name] = Form(DType.S16)
    made = producers.get(name)
    if isinstance(made, Add | Affine | Reshape | Transpose | Slice | Expand):
        for operand in operands(made):
            if operand in producers:
                _residual(operand, producers, forms)


def _scores(name: str, producers: Mapping[str, Operation], forms: dict[str, Form]) -> None:
    forms[name] = Form(DType.S16)
    made = producers.get(name)
    if isinstance(made, Select):
        for operand in (made.a, made.b):
            if operand in producers:
                _scores(operand, producers, forms)
    elif isinstance(made, Add | Affine | Reshape | Transpose | Slice | Expand):
        for operand in operands(made):
            if operand in producers:
                _scores(operand, producers, forms)
