"""Measurements: ours beside the peer that a user would pick, in the same run."""
