"""Random blocks: py-evm as it is imports what we build, so every root, gas and bloom agrees."""

import random
from collections.abc import Callable

import pytest

from chain.blocks import decode_block
from chain.transactions import Transaction
from tests.chain import records
from tests.chain.evm_world import COINBASE, MemoryChain, contract, initcode, op, push
from tests.chain.stock_evm import stock_block, stock_chain

SENDERS = 6
PROGRAMS = 6
BLOCKS = 3
PER_BLOCK = 14


def address(index: int) -> bytes:
    return bytes([0x0A, index]) * 10


def snippet(rnd: random.Random) -> bytes:
    """A few opcodes that leave the stack as it was."""
    slot, value = rnd.randrange(4), rnd.choice([0, 0, 1, rnd.getrandbits(256)])
    program_address = address(rnd.randrange(PROGRAMS))
    target = rnd.choice([program_address, program_address, COINBASE, address(99), address(98)])
    gas = rnd.choice([0, 3_000, 50_000, 2**64])
    size = rnd.randrange(0, 96)
    amount = rnd.choice([0, 0, 1])
    created = rnd.choice([b"", b"\xfe", b"\xef", initcode(b"\x60\x01\x60\x02\x55\xff")])
    store_initcode = op(0x52, 0, int.from_bytes(created.ljust(32, b"\0")[:32], "big"))
    choices: list[Callable[[], bytes]] = [
        lambda: op(0x55, slot, value),
        lambda: op(0x54, slot) + b"\x50",
        lambda: op(0x5D, slot, value),
        lambda: op(0x5C, slot) + push(slot) + b"\x55",
        lambda: op(0xA0 + rnd.randrange(3), 0, size, slot, value),
        lambda: op(0xF1, gas, target, amount, 0, size, 0, size) + b"\x50",
        lambda: op(0xF2, gas, target, amount, 0, size, 0, size) + b"\x50",
        lambda: op(0xF4, gas, target, 0, size, 0, size) + b"\x50",
        lambda: op(0xFA, gas, target, 0, size, 0, size) + b"\x50",
        lambda: store_initcode + op(0xF0, amount, 0, min(len(created), 32)) + b"\x50",
        lambda: store_initcode + op(0xF5, amount, 0, min(len(created), 32), slot) + b"\x50",
        lambda: op(0x3B, target) + op(0x3F, target) + b"\x01" + push(slot) + b"\x55",
        lambda: op(0x31, target) + b"\x47\x01\x34\x01" + push(slot) + b"\x55",
        lambda: op(0x20, 0, size) + push(slot) + b"\x55",
        lambda: op(0x40, rnd.randrange(4)) + b"\x44\x01\x43\x01\x42\x01" + push(slot) + b"\x55",
        lambda: op(0x5E, size, 0, size) + op(0x51, 0) + push(slot) + b"\x55",
        lambda: b"\x3d" + push(slot) + b"\x55",
        lambda: rnd.choice([b"\x5a\x50", b"\x3d\x50", b"\x36\x50", b"\x5b", b"\x58\x50"]),
    ]
    return rnd.choice(choices)()


def program(rnd: random.Random) -> bytes:
    body = b"".join([snippet(rnd) for _ in range(rnd.randrange(1, 9))])
    selfdestruct = op(0xFF, address(rnd.choice([0, 1, 97])))
    end = rnd.choice([b"", b"\x00", op(0xF3, 0, 40), op(0xFD, 0, 40), b"\xfe", selfdestruct])
    return body + end


DELEGATED = op(0x55, 3, 9) + op(0xF1, 60_000, address(0), 1, 0, 40, 0, 0) + op(0xA0, 0, 7)
"""Code of delegated accounts: no creation, which stock charges twice (test_evm_holes)."""


def transactions(rnd: random.Random, nonces: list[int]) -> list[Transaction]:
    made = []
    for _ in range(PER_BLOCK):
        number = rnd.randrange(SENDERS)
        type_ = rnd.choice([0, 1, 2, 2, 4])
        is_creation = type_ != 4 and rnd.random() < 0.15
        code = initcode(program(rnd)) if rnd.random() < 0.5 else program(rnd)
        slots = [n.to_bytes(32, "big") for n in range(rnd.randrange(3))]
        signer = rnd.choice([number, 20, 21])
        signer_nonce = nonces[number] + 1 if signer == number else rnd.randrange(2)
        authority = [records.authorization(signer, nonce=signer_nonce)]
        recipient = rnd.choice([address(rnd.randrange(PROGRAMS + 1)), records.account(number)])
        fields: dict[str, object] = {
            "type": type_,
            "nonce": nonces[number],
            "gas": rnd.choice([100_000, 400_000, 1_000_000]),
            "to": b"" if is_creation else recipient,
            "value": rnd.choice([0, 1]),
            "data": code if is_creation else bytes(rnd.randrange(60)),
            "tip": rnd.choice([0, rnd.randrange(records.GWEI)]),
            "access_list": [[address(rnd.randrange(PROGRAMS)), slots]] if type_ in (1, 2) else [],
            "extra": [authority] if type_ == 4 else [],
        }
        made.append(records.transaction(number, **fields))
        nonces[number] += 2 if type_ == 4 and signer == number else 1
    return made


def nonces_of(chain: MemoryChain) -> list[int]:
    state = chain.state()
    return [state.account(records.account(number)).nonce for number in range(SENDERS)]


@pytest.mark.filterwarnings("ignore:SELFDESTRUCT opcode present:DeprecationWarning")
@pytest.mark.parametrize("seed", range(12))
def test_stock_imports_our_random_blocks(seed: int) -> None:
    rnd = random.Random(seed)
    programs = {
        address(index): contract(program(rnd), balance=5, storage={0: 1, 1: rnd.getrandbits(256)})
        for index in range(PROGRAMS)
    }
    chain = MemoryChain({**programs, records.RECIPIENT: contract(DELEGATED)})
    stock = stock_chain(chain)
    included = 0
    for _ in range(BLOCKS):
        built, rejected = chain.build(transactions(rnd, nonces_of(chain)))
        assert not rejected
        assert chain.execute(decode_block(built.block.rlp)) == built
        chain.append(built)
        imported = stock.import_block(stock_block(built.block)).imported_block
        assert imported.hash == built.block.hash
        included += len(built.receipts)
    assert included == BLOCKS * PER_BLOCK
