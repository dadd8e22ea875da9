"""Every opcode of every fork, grouped as in the Yellow Paper's appendix H.

operation     what an interpreter knows of an opcode
table         the 256 opcodes of a fork
gas           what changed in price
arithmetic    functions of words
environment   message, transaction, block, other accounts
memory        loads, stores, copies, Keccak, logs, RETURN, REVERT
storage       persistent and transient
calls         CALL, CALLCODE, DELEGATECALL, STATICCALL
creation      CREATE, CREATE2, SELFDESTRUCT
"""

from chain.evm.operations.operation import Operation
from chain.evm.operations.table import operations_of

__all__ = ["Operation", "operations_of"]
