"""Offsets of buffers from the steps that name them."""

from collections.abc import Sequence

Lifetime = tuple[int, int]


def lifetimes(
    count: int, steps: Sequence[Sequence[int]], first: Sequence[int], last: Sequence[int]
) -> list[Lifetime | None]:
    """(first step, last step) of each buffer; None when nothing names it.

    Args:
        count: buffers.
        steps: buffers that each step names.
        first: buffers that are filled before the first step.
        last: buffers that are read after the last step.
    """
    found: list[Lifetime | None] = [None] * count
    for index, buffers in enumerate([first, *steps, last]):
        for buffer in buffers:
            known = found[buffer]
            found[buffer] = (known[0] if known else index, index)
    return found


def place(sizes: Sequence[int], lives: Sequence[Lifetime | None]) -> tuple[list[int], int]:
    """Offset of each buffer such that no two alive at one step overlap; and the bytes of all.

    Large buffers first, each at the lowest offset where it fits. The total is at least the largest
    sum of sizes alive at one step, and equals it for chains; it never exceeds the sum of all sizes.
    """
    offsets = [0] * len(sizes)
    placed: list[int] = []
    total = 0
    for buffer in sorted(range(len(sizes)), key=lambda item: (-sizes[item], item)):
        life = lives[buffer]
        if life is None:
            continue
        offset = 0
        for other in placed:  # in order of offset
            there = lives[other]
            if there is None or there[1] < life[0] or life[1] < there[0]:
                continue
            if offsets[other] - offset >= sizes[buffer]:
                break
            offset = max(offset, offsets[other] + sizes[other])
        offsets[buffer] = offset
        placed.append(buffer)
        placed.sort(key=lambda item: offsets[item])
        total = max(total, offset + sizes[buffer])
    return offsets, total
