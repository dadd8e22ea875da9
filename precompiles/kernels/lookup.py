"""Tables of 256 or 65,536 entries; the twin is ``layout.lookup_reference``."""

from precompiles.kernels.arrays import S64, U8, Array
from precompiles.kernels.jit import subroutine


def lookup_blocks(x: U8, table: U8, out: U8) -> int:
    """Look up as many of the first elements as the processor does by blocks; their number.

    None in Python; with the table in registers where there are instructions for it.
    """
    return 0


@subroutine
def lookup_row(x: Array, table: Array, out: Array, words: S64) -> None:
    """``table[x]``; x as uint8 with 256 entries or uint16 with 65,536, so it cannot leave."""
    for i in range(out.size):
        out[i] = table[x[i]]


@subroutine
def lookup_bytes_row(x: U8, table: U8, out: U8, words: S64) -> None:
    """As lookup_row, bytes to bytes."""
    done = lookup_blocks(x, table, out)
    lookup_row(x[done:], table, out[done:], words)
