"""What the compiler refuses: ``CompileError`` (a ``ToolError``), the only error it raises."""

from tools.errors import ToolError


class CompileError(ToolError):
    """The ONNX file or the samples cannot become an integer model.

    Attributes:
        reason: what is wrong, with the values that differ.
        advice: what the author can do about it; may be empty.
        node: ONNX node name (or its first output when the node has no name); may be empty.
        operator: ONNX operator type; may be empty.
    """

    def __init__(
        self, reason: str, *, advice: str = "", node: str = "", operator: str = ""
    ) -> None:
        self.reason = reason
        self.advice = advice
        self.node = node
        self.operator = operator
        where = f"{operator} node {node!r}: " if operator else ""
        super().__init__(f"{where}{reason}" + (f"; {advice}" if advice else ""))
