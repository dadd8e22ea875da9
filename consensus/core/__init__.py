"""QBFT as pure functions: values in, values out."""
