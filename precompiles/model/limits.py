"""Limits of a legal model. Changing one is a consensus change (docs/spec/integer-model.md)."""

MAX_RANK = 6
MAX_DIM = 1 << 24
MAX_ELEMENTS = 1 << 26
"""Elements of one value per sample (L1)."""

MAX_MODEL_BYTES = 64 << 20
MAX_CODE_BYTES = 64 << 10
"""Bytes of the encoding outside constant data (L3)."""

MAX_INSTRUCTIONS = 4096
MAX_VALUES = 8192
MAX_PORTS = 64
MAX_NAME_BYTES = 64

MAX_SCRATCH_BYTES = 256 << 20
"""Buffers alive at once, for one sample (L2)."""

MAX_PREPARED_BYTES = 256 << 20
"""Constants in memory, as stored and as kernels read them (L2)."""

MAX_CALL_GAS = 1 << 24
"""Gas of a call with one sample (L16), the transaction cap of EIP-7825."""

MAX_ACCUMULATOR_TERMS = 65_793
"""Terms of one int32 sum of u8 x s8 products: 255 * 128 * K < 2**31 (L5)."""

MAX_KERNEL = 32
MAX_STRIDE = 16
"""Convolution window, stride and dilation per axis (L12)."""

MAX_KNOTS = 1024
MAX_TREE_DEPTH = 24
MAX_CONCAT = 64
MAX_SHIFT = 62

MAX_SOFTMAX_ROW = 32_767
"""Terms of one int32 sum of exponentials of at most 2**16 (L13)."""

MAX_SOFTMAX_SHIFT = 30
MAX_NORM_ROW = 65_535
"""``N * sum(x**2) < 2**62`` for abs(x) < 2**15 (L13)."""

MAX_EPSILON = (1 << 61) - 1
MAX_TOP_K = 1024
