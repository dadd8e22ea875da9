"""Which dtype every tensor has: the base precision, what rules ask for, what was raised.

A *rule* is a function of the graph that a family of operations registers; it names tensors that
need more (or other) than the base precision gives, for instance a residual stream of 16 bits. The
search in ``pipeline`` adds tensors that the samples show to be too coarse.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from precompiles.model.types import DType
from tools.compiler.graph import (
    Concat,
    FloatGraph,
    Function,
    Operation,
    Pad,
    Pool,
    Reduce,
    Reshape,
    Slice,
    Transpose,
    operands,
)
from tools.compiler.quantize import WORD_REACH

PRECISIONS = ("int8", "int16", "wide")
BASES = {"int8": DType.U8, "int16": DType.S16, "wide": DType.S32}
_WIDTH = {DType.U8: 8, DType.S8: 8, DType.S16: 16, DType.S32: 32, DType.S64: 64}
_MOVES = (Reshape, Transpose, Slice, Concat, Pad, Reduce)


@dataclass(frozen=True, slots=True)
class Form:
    """Element type of an activation; ``reach`` bounds the codes of s16 (``Grid.reach``)."""

    dtype: DType
    reach: int = WORD_REACH


Rule: TypeAlias = Callable[[FloatGraph, DType], Mapping[str, Form]]
"""From the graph and the base dtype to the forms of the tensors that the rule knows better."""

RULES: list[Rule] = []


def dtype_rule(rule: Rule) -> Rule:
    """Register a rule (decorator). Later rules do not narrow what earlier ones asked for."""
    RULES.append(rule)
    return rule


@dataclass(frozen=True, slots=True)
class Precision:
    """The forms of one lowering.

    Attributes:
        name: int8, int16 or wide: the base.
        forms: tensors whose form is not the base's; never consulted when the base is wide.
        raised: tensors that the search raised to 16 bits (for the report).
    """

    name: str
    forms: Mapping[str, Form] = field(default_factory=dict)
    raised: frozenset[str] = frozenset()

    @property
    def base(self) -> DType:
        """Dtype of every tensor without a form of its own."""
        return BASES[self.name]

    def form_of(self, name: str) -> Form:
        """Form of a tensor's activation."""
        return self.forms.get(name, Form(self.base))


def precision_of(graph: FloatGraph, name: str, raised: Iterable[str] = ()) -> Precision:
    """The forms that rules, fixed grids and the raised tensors give, carried through mere moves."""
    chosen = frozenset(raised)
    if BASES[name] is DType.S32:
        return Precision(name, {}, chosen)
    forms = _asked_for(graph, BASES[name])
    forms.update((tensor, Form(grid.dtype, grid.reach)) for tensor, grid in graph.grids.items())
    for tensor in chosen:
        if tensor not in graph.grids and _WIDTH[forms.get(tensor, Form(BASES[name])).dtype] < 16:
            forms[tensor] = Form(DType.S16)
    for operation in graph.operations:
        if is_move(operation) and operation.output not in forms:
            found = [forms[item] for item in operands(operation) if item in forms]
            if found:
                forms[operation.output] = max(found, key=lambda form: _WIDTH[form.dtype])
    return Precision(name, forms, chosen)


def _asked_for(graph: FloatGraph, base: DType) -> dict[str, Form]:
    forms: dict[str, Form] = {}
    for rule in RULES:
        for tensor, form in rule(graph, base).items():
            known = forms.get(tensor)
            if known is None or _WIDTH[form.dtype] > _WIDTH[known.dtype]:
                forms[tensor] = form
    return forms


def is_move(operation: Operation) -> bool:
    """True for operations whose result has the codes of their operand."""
    if isinstance(operation, Pool):
        return operation.kind == "max"
    if isinstance(operation, Function):
        return operation.clamp is not None
    return isinstance(operation, _MOVES)
