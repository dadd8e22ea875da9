"""Unit prices in 1/512 gas. Derivation: docs/spec/integer-model.md section 6.

The rule: 30 million gas of any operator take at most one second on one core of the slow class, so
one gas buys 33 ns there. Units are counted from shapes alone, dense dimensions padded.

Calibrated on 2026-11-21 by ``assay bench gas`` on an AMD EPYC (Zen 4), kernels compiled for
x86-64-v3 and for generic: a price is the time of a unit on ``generic``, the slowest, over 33 ns,
times 2 to 3. Worst operator 0.53 s per 30 million gas, median 0.33 s: a core half as fast holds the
rule but for that one, by a twentieth.
"""

SCALE = 512
"""Price units in one gas."""

MULTIPLY_ADD = 1
NARROW_MULTIPLY_ADD = 2
"""One u8 product added to an int32 sum; narrow where the register tile is not full: few rows, or
one vector of columns."""

WORD_FACTOR = 2
"""An s16 product, in u8 products."""

DEPTHWISE_MULTIPLY_ADD = 8
"""One byte's product of a convolution with one input channel per filter."""

WINDOW = 128
"""One row of a matrix product, one window, whatever its size."""

SEGMENT = 16
"""One tap of one window."""

OUTPUT = 80
"""One requantised output, columns padded."""

MATRIX = 1024
"""One pair of matrices in a product of computed ones."""

PACKED_ELEMENT = 24
"""One element of a computed matrix brought into the order of the product."""

POOLED_BYTE = 4
POOLED_TAP = 128
"""One byte of one position of a pooling window; the position itself."""

WEIGHT_BYTE = 2
"""One byte of constant data, read once per call."""

ELEMENT = 32
ELEMENT_BYTE = 8
RESCALE_STEPS = 3
"""One step of one element; a byte of the widest operand; steps of a rescaling operator."""

WALKED_ROW = 1152
WALKED_BLOCK = 4096
"""One row, and one block of rows, of operands that broadcast."""

TABLE_ELEMENT = 32
"""One lookup in a table."""

WIDE_MULTIPLY_ADD = 32
"""One int64 product and sum."""

CURVE_ELEMENT = 256
SEARCH_STEP = 128
"""One piecewise-linear function value; one halving of its knots."""

DIVISION = 512
"""One 64-bit division."""

SQUARE_ROOT = 1536
"""One 64-bit square root."""

SOFTMAX_ELEMENT = 128
NORM_ELEMENT = 72
"""One element of a normalised row."""

HEAP_ROW = 1024
HEAP_LEVEL = 160
"""One row whose largest are sought; one level that an element sinks in their heap."""

GATHERED_ROW = 128
GATHERED_BYTE = 8
"""One row fetched by index; a byte of it."""

ROW = 256
"""One last-axis row of a reduction, whatever its length."""

COPIED_BYTE = 8
COPIED_RUN = 160
"""One byte moved by a layout operator, or across the border of the program; one run of them."""

REPEATED_BYTE = 32
"""One byte of an image whose channels are repeated."""

TREE_VISITS = ((512 << 10, 64), (8 << 20, 256))
TREE_VISIT_LARGE = 2048
"""One decision of a tree, by bytes of its nodes in memory: (at most, price), else the other."""

INSTRUCTION = 60 * SCALE
"""One instruction, once per call."""

PORT = 20 * SCALE
"""One input or output, once per call."""

CALL = 3000 * SCALE
"""One call of a model."""

SLICE_BYTES = 64 << 20
"""Buffers of one slice of a batch. The runner cuts a batch so, and each slice costs what a call
does, so a sample pays its share of a slice."""
