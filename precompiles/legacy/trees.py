"""Tree ensembles: integer thresholds, integer leaves, one walk per tree."""

from precompiles.kernels.arrays import S32, S64, U8, Exact
from precompiles.legacy.jit import kernel


def trees_reference(
    x: Exact,
    roots: Exact,
    feature: Exact,
    threshold: Exact,
    left: Exact,
    right: Exact,
    missing_right: Exact,
    leaves: Exact,
    base: Exact,
    missing: int,
) -> Exact:
    """``base`` plus the leaf row reached in each tree; x (F), leaves (rows, targets)."""
    total = base
    for root in roots:
        node = root
        while feature[node] >= 0:
            value = x[feature[node]]
            is_missing = value == missing
            goes_right = missing_right[node] if is_missing else value >= threshold[node]
            node = right[node] if goes_right else left[node]
        total = total + leaves[-feature[node] - 1]
    return total


@kernel(
    "void(int64[:, ::1], int32[::1], int32[::1], int64[::1], int32[::1], int32[::1], uint8[::1],"
    " int64[:, ::1], int64[::1], int64, int64[:, ::1])"
)
def trees(
    x: S64,
    roots: S32,
    feature: S32,
    threshold: S64,
    left: S32,
    right: S32,
    missing_right: U8,
    leaves: S64,
    base: S64,
    missing: int,
    out: S64,
) -> None:
    """Equal trees_reference on each sample; x (B, F), out (B, targets), written.

    Children have larger indices than their parent, so every walk ends.
    """
    for sample in range(out.shape[0]):
        out[sample, :] = base
    for tree in range(roots.size):
        for sample in range(out.shape[0]):
            row = x[sample]
            node = roots[tree]
            chosen = feature[node]
            while chosen >= 0:
                value = row[chosen]
                if value == missing:
                    goes_right = missing_right[node] != 0
                else:
                    goes_right = value >= threshold[node]
                node = right[node] if goes_right else left[node]
                chosen = feature[node]
            leaf = leaves[-(chosen + 1)]
            sums = out[sample]
            for target in range(sums.size):
                sums[target] += leaf[target]
