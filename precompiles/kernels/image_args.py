"""Places in the args row that the kernels of depthwise convolutions and pools share."""

X, X_SAMPLE, X_ROW, X_STEP = range(4)
"""x: byte offset of the first window; byte distances of samples, of rows and columns of windows."""

OUT, OUT_SAMPLE, OUT_ROW, OUT_STEP = range(4, 8)
"""The same of the output's pixels."""

ROWS, COLUMNS = range(8, 10)
"""Windows."""

FLIP, SHIFT, ROUNDING, ZERO_POINT, LO, HI = range(10, 16)
"""As ``tile.Rounding``."""

OWN = 16
"""First place that each kernel names itself."""
