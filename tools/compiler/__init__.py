"""Model file to integer model, on the author's machine: the only place where floats live.

``compile_model`` (``compile_onnx`` for ONNX alone) is the whole interface; ``Compiled`` is what it
returns and ``CompileError`` the only error it raises.
"""

from tools.compiler.errors import CompileError
from tools.compiler.pipeline import Compiled, compile_model, compile_onnx
from tools.compiler.report import Report

__all__ = ["CompileError", "Compiled", "Report", "compile_model", "compile_onnx"]
