"""Unit prices in 1/512 gas. Derivation: docs/spec/integer-model.md section 6.

The rule: 30 million gas of any operator take at most one second on one core of the slow class, so
one gas buys 33 ns there. Units are counted from shapes alone, dense dimensions padded.
"""

SCALE = 512
"""Price units in one gas."""

MULTIPLY_ADD = 8
"""One u8 or s16 product added to an int32 sum."""

DEPTHWISE_MULTIPLY_ADD = 16
"""One product of a convolution with few channels per group."""

WINDOW_PASS = 350 * SCALE
"""One group of a gathered convolution, once per sample."""

WINDOW_TAP = 256
"""One position of one convolution window gathered, whatever its channels; one pooling window."""

OUTPUT = 64
"""One requantised output of a dense operator."""

WEIGHT_BYTE = 2
"""One byte of constant data, read once per call."""

ELEMENT = 64
"""One fused elementwise step."""

TABLE_ELEMENT = 32
"""One lookup in a table."""

WIDE_MULTIPLY_ADD = 32
"""One int64 product and sum."""

SEARCH_ELEMENT = 1024
"""One piecewise-linear function value."""

DIVISION = 1024
"""One 64-bit division."""

SQUARE_ROOT = 1536
"""One 64-bit square root."""

SOFTMAX_ELEMENT = 64
NORM_ELEMENT = 128
"""One element of a normalised row."""

SELECTION = 16
"""One element compared for one of the k largest."""

PACKED_ELEMENT = 16
"""One element of a computed matrix brought into the order of the product."""

GATHERED_ROW = 1536
"""One row fetched by index, besides its bytes."""

ROW = 1024
"""One last-axis row of a reduction, whatever its length."""

COPIED_BYTE = 16
"""One byte moved by a layout operator, or across the border of the program."""

TREE_VISITS = ((256 << 10, 128), (8 << 20, 512))
TREE_VISIT_LARGE = 2048
"""One decision of a tree, by bytes of the node arrays: (at most, price), else the large price."""

INSTRUCTION = 300 * SCALE
"""One instruction, once per call."""

PORT = 100 * SCALE
"""One input or output, once per call."""

CALL = 3000 * SCALE
"""One call of a model."""

SLICE_BYTES = 64 << 20
"""Buffers of one slice of a batch. The runner cuts a batch so, and each slice costs what a call
does, so a sample pays its share of a slice."""
