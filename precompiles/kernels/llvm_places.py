"""Walking over the windows of ``tile.multiply_windows``: columns of rows of samples."""

from dataclasses import dataclass, replace
from typing import Any

from precompiles.kernels import tile
from precompiles.kernels.llvm_lanes import I64


@dataclass(frozen=True)
class Walk:
    """Where a tile stands: first bytes of a window and its output, column, row."""

    x: Any
    out: Any
    column: Any
    row: Any

    @property
    def values(self) -> list[Any]:
        """In the order of the fields."""
        return [self.x, self.out, self.column, self.row]


@dataclass(frozen=True)
class Places:
    """Writes the code of a walk; ``given`` is the args row as int64 values."""

    b: Any
    given: list[Any]

    def at(self, x: Any, out: Any, window: Any) -> Walk:
        """The place of a window by its number."""
        b, given = self.b, self.given
        columns, rows = given[tile.COLUMNS], given[tile.ROWS]
        line = b.sdiv(window, columns)
        sample = b.sdiv(line, rows)
        column, row = b.sub(window, b.mul(line, columns)), b.sub(line, b.mul(sample, rows))
        steps = [
            [b.mul(count, given[step + i]) for i, count in ((1, sample), (2, row), (3, column))]
            for step in (tile.X, tile.OUT)
        ]
        x, out = (
            b.gep(start, [b.add(b.add(*step[:2]), step[2])])
            for start, step in zip((x, out), steps, strict=True)
        )
        return Walk(x, out, column, row)

    def chosen(self, is_first: Any, first: Walk, second: Walk) -> Walk:
        """One of two places."""
        x, out, column, row = (
            self.b.select(is_first, *pair) for pair in zip(first.values, second.values, strict=True)
        )
        return Walk(x, out, column, row)

    def wrapped(self, at: Walk) -> Walk:
        """The same place, from behind the end of a row to the start of the next."""
        b, given = self.b, self.given
        columns, rows = given[tile.COLUMNS], given[tile.ROWS]
        row_ends = b.icmp_signed("==", at.column, columns)
        row = b.select(row_ends, b.add(at.row, I64(1)), at.row)
        sample_ends = b.icmp_signed("==", row, rows)
        places = []
        for start, step in ((at.x, tile.X), (at.out, tile.OUT)):
            back = b.sub(given[step + 2], b.mul(columns, given[step + 3]))
            by = b.select(row_ends, back, I64(0))
            back = b.sub(given[step + 1], b.mul(rows, given[step + 2]))
            places.append(b.gep(start, [b.add(by, b.select(sample_ends, back, I64(0)))]))
        column = b.select(row_ends, I64(0), at.column)
        return Walk(places[0], places[1], column, b.select(sample_ends, I64(0), row))

    def next(self, at: Walk, count: int) -> Walk:
        """``count`` windows further in one row."""
        b = self.b
        steps = (self.given[tile.X_STEP], self.given[tile.OUT_STEP])
        x, out = (
            b.gep(start, [b.mul(step, I64(count))])
            for start, step in zip((at.x, at.out), steps, strict=True)
        )
        return replace(at, x=x, out=out, column=b.add(at.column, I64(count)))

    def taken(self, at: Walk, height: int) -> tuple[list[Any], list[Any], Walk]:
        """Places of the next ``height`` windows and outputs, and where the walk stands then."""
        b = self.b
        if height == 1:
            return [at.x], [at.out], self.next(at, 1)
        ends: list[tuple[Any, list[Any]]] = []
        after = self.next(at, height)
        is_straight = b.icmp_signed("<=", after.column, self.given[tile.COLUMNS])
        with b.if_else(is_straight) as (straight, bent):
            with straight:
                walks = [self.next(at, index) for index in range(height)]
                last = self.next(walks[-1], 1)
                ends.append((b.block, self.merged(walks, last)))
            with bent:
                walks = [at]
                for _ in range(height - 1):
                    walks.append(self.wrapped(self.next(walks[-1], 1)))
                last = self.next(walks[-1], 1)
                ends.append((b.block, self.merged(walks, last)))
        merged = []
        for pair in zip(ends[0][1], ends[1][1], strict=True):
            phi = b.phi(pair[0].type)
            for (block, _), value in zip(ends, pair, strict=True):
                phi.add_incoming(value, block)
            merged.append(phi)
        return merged[:height], merged[height : 2 * height], Walk(*merged[2 * height :])

    def merged(self, walks: list[Walk], last: Walk) -> list[Any]:
        """What two ways of walking must agree on."""
        return [walk.x for walk in walks] + [walk.out for walk in walks] + last.values
