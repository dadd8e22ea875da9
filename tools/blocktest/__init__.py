"""Runs Ethereum's official blockchain tests on this chain's execution."""
