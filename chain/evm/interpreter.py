"""Tier 1: runs decoded blocks one step after the other. Yellow Paper section 9.

Gas and program counter live in local variables, words are ints. What programs consist of (PUSH,
DUP, SWAP, arithmetic, memory, jumps) is done here; all else by ``Operation.run``.
Hot blocks continue as machines of tier 2.
"""

from chain.evm.errors import InvalidJump, InvalidOpcode, OutOfGas, StackOverflow, StackUnderflow
from chain.evm.frame import Frame, expand
from chain.evm.program import (
    DUP,
    GAS,
    JUMP,
    JUMP_TO,
    JUMPI,
    JUMPI_TO,
    MLOAD,
    MSTORE,
    NEXT,
    POP,
    PUSH,
    READ,
    RUN,
    RUN_END,
    RUN_GAS,
    STOP,
    SWAP,
    WORDS1,
    WORDS2,
    program_of,
)
from chain.evm.transpiler import HOT, heat


def interpret(frame: Frame) -> None:  # noqa: C901 - a call per opcode is what it saves
    """Run ``frame.code`` until it ends; sets ``gas`` and ``output``.

    Raises:
        Halt: how it failed; Revert with ``output`` set. All others burn the gas left, so its
            amount does not matter then.
    """
    program = program_of(frame.code, frame.evm.block.fork)
    places, landings, size = program.places, program.landings, len(frame.code)
    stack, memory, gas = frame.stack, frame.memory, frame.gas
    push, pop = stack.append, stack.pop
    block = places[0][0] or program.block(0)
    while True:
        compiled = block.compiled
        if compiled is not None:
            pc = compiled(frame, stack, memory, gas)
            if pc >= 0:
                gas = frame.gas
                block = places[pc >> 5][pc & 31] or program.block(pc)
                continue
            if pc == -1:
                return
        else:
            block.entries += 1
            if block.entries == HOT:
                heat(program, block)
                if block.compiled is not None:
                    continue
        gas -= block.gas
        if gas < 0:
            raise OutOfGas
        height = len(stack)
        if height < block.needs:
            raise StackUnderflow
        if height > block.room:
            raise StackOverflow
        for kind, argument in block.steps:
            if kind == PUSH:
                push(argument)
            elif kind == DUP:
                push(stack[argument])
            elif kind == WORDS2:
                first = pop()
                stack[-1] = argument(first, stack[-1])
            elif kind == SWAP:
                word = stack[-1]
                stack[-1] = stack[argument]
                stack[argument] = word
            elif kind == POP:
                pop()
            elif kind == MLOAD:
                offset = stack[-1]
                end = offset + 32
                if end > len(memory):
                    frame.gas = gas
                    expand(frame, end)
                    gas = frame.gas
                stack[-1] = int.from_bytes(memory[offset:end], "big")
            elif kind == MSTORE:
                offset = pop()
                end = offset + 32
                if end > len(memory):
                    frame.gas = gas
                    expand(frame, end)
                    gas = frame.gas
                memory[offset:end] = pop().to_bytes(32, "big")
            elif kind == READ:
                push(argument(frame))
            elif kind == WORDS1:
                stack[-1] = argument(stack[-1])
            elif kind == RUN:
                frame.gas = gas
                argument(frame)
                gas = frame.gas
            elif kind == RUN_GAS:
                run, charged = argument
                frame.gas = gas + charged
                run(frame)
                gas = frame.gas - charged
                if gas < 0:
                    raise OutOfGas
            elif kind == GAS:
                push(gas + argument)
            else:
                first, word = pop(), pop()
                stack[-1] = argument(first, word, stack[-1])
        kind, argument = block.end
        if kind == JUMPI_TO:
            if pop():
                block = landings[argument >> 5][argument & 31] or program.land(argument)
                continue
        elif kind == JUMP_TO:
            block = landings[argument >> 5][argument & 31] or program.land(argument)
            continue
        elif kind == JUMP:
            target = pop()
            if target >= size:
                raise InvalidJump
            block = landings[target >> 5][target & 31] or program.land(target)
            continue
        elif kind == JUMPI:
            target = pop()
            if pop():
                if target >= size:
                    raise InvalidJump
                block = landings[target >> 5][target & 31] or program.land(target)
                continue
        elif kind != NEXT:
            frame.gas = gas
            if kind == RUN_END:
                argument(frame)
            elif kind != STOP:
                raise InvalidOpcode(argument)
            return
        pc = block.next
        block = places[pc >> 5][pc & 31] or program.block(pc)
