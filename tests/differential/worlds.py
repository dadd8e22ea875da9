"""One block to execute: the state before it, what its header says, and its transactions."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from chain.evm.transition import contract_address
from genesis.forks import BlobParameters, Fork, schedule_of
from genesis.predeploys import system_allocations
from genesis.spec import Allocation
from tests.chain.records import account
from tests.differential.assembly import assemble
from tests.differential.programs import Statements, flat, random_program

CHAIN_ID: Final = 1
GWEI: Final = 10**9
ETHER: Final = 10**18
SENDERS: Final = 40
"""Keys with money, each for few transactions, so that nonces are known."""

CONTRACT_SENDER: Final = 50
"""Key of an account with money and code (EIP-3607)."""

POOR_SENDER: Final = 51
"""Key of an account with next to no money."""

AUTHORITY: Final = 60
"""First key of accounts that only sign authorizations."""

COINBASE: Final = bytes.fromhex("c0" * 20)
PROGRAMS: Final = 8
_EMPTY: Final = bytes.fromhex("e0" * 20)
_HAS_STORAGE_ONLY: Final = bytes.fromhex("e1" * 20)


@dataclass(frozen=True)
class Environment:
    """Header fields that a block's execution depends on."""

    number: int = 300
    timestamp: int = 1_700_000_000
    gas_limit: int = 30_000_000
    coinbase: bytes = COINBASE
    mix_hash: bytes = bytes.fromhex("5a" * 32)
    difficulty: int = 131_072
    base_fee_per_gas: int = 7
    excess_blob_gas: int = 0
    parent_beacon_block_root: bytes = bytes.fromhex("be" * 32)
    ancestors: tuple[bytes, ...] = tuple(bytes([n % 251 + 1]) * 32 for n in range(256))


@dataclass(frozen=True)
class Case:
    """A block with the state before it.

    Attributes:
        fork: rules of the block.
        programs: code of accounts as statements, so that they can be made shorter.
        alloc: all other accounts.
        transactions: raw, executed in order; invalid ones are left out.
        balances: wei of the program accounts.
        storages: storage of the program accounts.
        withdrawals: index, validator index, address, Gwei each.
        ommers: number and coinbase each.
        notes: transaction index -> the rule that was broken.
    """

    fork: Fork
    programs: Mapping[bytes, Statements]
    alloc: Mapping[bytes, Allocation]
    transactions: tuple[bytes, ...]
    storages: Mapping[bytes, Mapping[int, int]]
    environment: Environment = Environment()
    withdrawals: tuple[tuple[int, int, bytes, int], ...] = ()
    ommers: tuple[tuple[int, bytes], ...] = ()
    notes: Mapping[int, str] = field(default_factory=dict)

    def state(self) -> dict[bytes, Allocation]:
        """All accounts before the block."""
        accounts = dict(self.alloc)
        for address, statements in self.programs.items():
            code = assemble(flat(statements))
            accounts[address] = Allocation(5, 1, code, self.storages.get(address, {}))
        return accounts

    def blob_parameters(self) -> BlobParameters | None:
        """Blob limits of the block."""
        return schedule_of(self.fork).blob_parameters(self.environment.timestamp)


def eels_environment(case: Case) -> dict[str, Any]:
    """The case's header fields under EELS's names."""
    given = case.environment
    return {
        "block_gas_limit": given.gas_limit,
        "block_hashes": list(given.ancestors),
        "coinbase": given.coinbase,
        "number": given.number,
        "base_fee_per_gas": given.base_fee_per_gas,
        "time": given.timestamp,
        "difficulty": given.difficulty,
        "prev_randao": given.mix_hash,
        "excess_blob_gas": given.excess_blob_gas,
        "parent_beacon_block_root": given.parent_beacon_block_root,
    }


def program_address(index: int) -> bytes:
    """Account of program ``index``."""
    return bytes([0x0A, index]) * 10


def delegated_address(index: int) -> bytes:
    """Account whose code is a designator (from Prague on)."""
    return bytes([0x0D, index]) * 10


def random_environment(rnd: random.Random, fork: Fork) -> Environment:
    """A header that rules of this fork allow."""
    return Environment(
        base_fee_per_gas=rnd.choice([7, GWEI, 3 * GWEI]) if fork >= Fork.LONDON else 0,
        excess_blob_gas=rnd.choice([0, 0, 1 << 17, 40_000_000]) if fork >= Fork.CANCUN else 0,
        mix_hash=rnd.randbytes(32),
        coinbase=rnd.choice([COINBASE, COINBASE, program_address(0), account(SENDERS - 1)]),
    )


def callees(rnd: random.Random, fork: Fork) -> list[bytes]:
    """Addresses that programs should meet."""
    found = [program_address(index) for index in range(PROGRAMS)] * 3
    found += [COINBASE, _EMPTY, account(0), account(SENDERS - 1), bytes(20), _HAS_STORAGE_ONLY]
    found += [number.to_bytes(20, "big") for number in (1, 2, 3, 4)]
    if fork >= Fork.PRAGUE:
        found += [delegated_address(index) for index in range(6)] * 2
        found += [account(AUTHORITY + index) for index in range(4)]
    rnd.shuffle(found)
    return found


def random_world(rnd: random.Random, fork: Fork) -> Case:
    """A state with programs, without transactions."""
    alloc = {account(number): Allocation(balance=1_000 * ETHER) for number in range(SENDERS)}
    alloc[account(CONTRACT_SENDER)] = Allocation(ETHER, 1, b"\x60\x01\x60\x01\x55")
    alloc[account(POOR_SENDER)] = Allocation(balance=21_000)
    alloc[_HAS_STORAGE_ONLY] = Allocation(balance=1, storage={1: 1})
    in_the_way = [
        Allocation(1),
        Allocation(1, 1),
        Allocation(1, 0, b"\0"),
        Allocation(1, 0, b"", {1: 1}),
    ]
    for sender, nonce in ((account(1), 0), (account(2), 0), (program_address(0), 1)):
        if rnd.random() < 0.2:  # an account where a contract would be created
            alloc[contract_address(sender, nonce)] = rnd.choice(in_the_way)
    others = callees(rnd, fork)
    programs = {
        program_address(index): random_program(rnd, fork, others) for index in range(PROGRAMS)
    }
    storages = {
        address: {0: 1, 1: rnd.getrandbits(256), 2: 5} for address in programs if rnd.random() < 0.7
    }
    if fork >= Fork.PRAGUE:
        targets = [program_address(0), program_address(1), delegated_address(0), _EMPTY]
        targets += [(4).to_bytes(20, "big"), delegated_address(5)]
        for index, target in enumerate(targets):
            code = b"\xef\x01\x00" + target
            alloc[delegated_address(index)] = Allocation(ETHER, 1, code, {0: 1})
        alloc[account(AUTHORITY)] = Allocation(balance=1)
        alloc[account(AUTHORITY + 1)] = Allocation(nonce=1, code=b"\xef\x01\x00" + targets[0])
        alloc[account(AUTHORITY + 2)] = Allocation(nonce=1, code=b"\x00")
    if fork >= Fork.CANCUN:
        alloc |= system_allocations()
    withdrawals: tuple[tuple[int, int, bytes, int], ...] = ()
    if fork >= Fork.SHANGHAI and rnd.random() < 0.3:
        addresses = [_EMPTY, program_address(1), COINBASE, rnd.randbytes(20)]
        withdrawals = tuple(
            (n, 7 + n, address, rnd.choice([0, 1, GWEI])) for n, address in enumerate(addresses)
        )
    ommers: tuple[tuple[int, bytes], ...] = ()
    if fork < Fork.PARIS and rnd.random() < 0.3:
        known = [(299, _EMPTY), (294, program_address(1)), (297, rnd.randbytes(20))]
        ommers = tuple(rnd.sample(known, rnd.randrange(1, 3)))
    environment = random_environment(rnd, fork)
    return Case(fork, programs, alloc, (), storages, environment, withdrawals, ommers)
