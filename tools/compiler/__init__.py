"""ONNX to integer model, on the author's machine: the only place where floats live."""
