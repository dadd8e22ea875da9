"""Contracts without bytecode: Ethereum's precompiled contracts and this chain's native accounts.

Each is a ``chain.evm.frame.Precompile``: it charges the frame, then returns its output, or raises a
``Halt``. The same input gives the same output on every machine: integers only, and a library that
is missing or broken stops the node instead of changing a result.
"""
