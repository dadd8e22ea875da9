"""Ensembles of decision trees."""

from dataclasses import dataclass

from precompiles.model.operators.fields import Value


@dataclass(frozen=True, slots=True)
class TreeEnsemble:
    """Sum over trees of the leaf reached, plus ``base``; one row of targets per leaf.

    x s32 or s64 (F). Node n: leaf when ``feature[n] < 0``, then it holds leaf row
    ``-feature[n] - 1``; else go to ``right[n]`` when ``x[feature[n]] >= threshold[n]``, to
    ``left[n]`` otherwise; a missing x (the lowest word of its dtype) goes right iff
    ``missing_right[n]``.
    Children have larger indices than their parent, so every walk ends; ``depth`` bounds it (<= 24).

    roots const s32 (T) · feature, left, right const s32 (nodes) · threshold const, dtype of x
    (nodes) · missing_right const u8 (nodes) · leaves const s64 (rows, targets) · base const s64
    (targets) · out s64 (targets).
    """

    x: Value
    roots: Value
    feature: Value
    threshold: Value
    left: Value
    right: Value
    missing_right: Value
    leaves: Value
    base: Value
    depth: int
    output: Value
