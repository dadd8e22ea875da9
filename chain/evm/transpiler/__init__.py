"""Tier 2: hot code becomes Python functions, without a stack and with few checks left.

word        what is known of a stack item before the code runs
path        the symbolic machine along one way through the code
algebra     functions of words, simplified by what is known of their operands
memory      loads, stores, hashes as statements
trace       from code to the source of one function
writer      the text of that function
runtime     what compiled functions call
compiler    when to compile, and what it may cost

A compiled block does what tier 1 does, but for gas: it is charged once per way through the block,
before anything that can observe it. That cannot be noticed, because every exceptional halt burns
all gas and undoes all changes.
"""

from chain.evm.transpiler.compiler import HOT, heat, source_of

__all__ = ["HOT", "heat", "source_of"]
