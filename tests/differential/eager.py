"""Our interpreter with everything compiled before it runs: tier 2 alone."""

from chain.evm.frame import Frame
from chain.evm.interpreter import interpret
from chain.evm.program import program_of
from chain.evm.transpiler.compiler import compile_at

JUMPDEST = 0x5B


def interpret_compiled(frame: Frame) -> None:
    """As ``interpret``, but every block that can be entered is machine code of tier 2."""
    program = program_of(frame.code, frame.evm.block.fork)
    entries = {0} | {block.start for block in program.blocks}
    entries |= {pc for pc, byte in enumerate(frame.code) if byte == JUMPDEST}
    for pc in sorted(entries):
        if pc and not program.is_destination(pc) and not program.is_reached(pc):
            continue
        block = program.block(pc)
        if block.compiled is None:
            block.compiled = compile_at(program, pc, whole=True)
    interpret(frame)
