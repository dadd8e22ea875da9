"""Tables of 256 or 65,536 entries; the twin is ``layout.lookup_reference``."""

from precompiles.kernels.arrays import S64, Array
from precompiles.kernels.jit import subroutine


@subroutine
def lookup_row(x: Array, table: Array, out: Array, words: S64) -> None:
    """``table[x]``; x as uint8 with 256 entries or uint16 with 65,536, so it cannot leave."""
    for i in range(out.size):
        out[i] = table[x[i]]
