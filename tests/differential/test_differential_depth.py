"""A contract that calls itself until something stops it: depth 1,024, or gas."""

import pytest

from chain.deep_stack import run_deep
from genesis.forks import Fork
from genesis.predeploys import system_allocations
from genesis.spec import Allocation
from tests.chain.records import account
from tests.differential.assembly import push
from tests.differential.compare import differences
from tests.differential.eels import FORKS, Eels
from tests.differential.signing import Draft, encode
from tests.differential.worlds import CHAIN_ID, ETHER, Case, Environment, program_address

CALL, CREATE = 0xF1, 0xF0
KEPT = 400
"""Gas that a call keeps for itself where it may give all the rest away."""


def nested_calls(fork: Fork) -> bytes:
    """Calls itself with all gas but ``KEPT`` and counts in slot 0 how many calls succeeded."""
    keep = push(KEPT) + b"\x5a\x03" if fork < Fork.TANGERINE_WHISTLE else b"\x5a"
    call = push(0) * 5 + push(program_address(0)) + keep + bytes((CALL,))
    return call + push(0) + b"\x54\x01" + push(0) + b"\x55"


def nested_creations() -> bytes:
    """Initcode that creates with itself as initcode and returns nothing."""
    copy = b"\x38" + push(0) + push(0) + b"\x39"  # CODECOPY(0, 0, CODESIZE)
    return copy + b"\x38" + push(0) + push(0) + bytes((CREATE,)) + b"\x00"


@pytest.mark.parametrize("fork", list(FORKS), ids=lambda fork: fork.name)
def test_calls_and_creations_as_deep_as_they_go(eels: Eels, fork: Fork) -> None:
    gas = 16_000_000
    alloc = {account(0): Allocation(balance=ETHER), account(1): Allocation(balance=ETHER)}
    alloc[program_address(0)] = Allocation(1, 1, nested_calls(fork))
    chain_id = CHAIN_ID if fork >= Fork.SPURIOUS_DRAGON else None
    draft = Draft(max_fee=7, gas=gas, chain_id=chain_id)
    sent = [
        draft.with_(to=program_address(0)),
        draft.with_(sender=1, data=nested_creations()),
    ]
    if fork >= Fork.CANCUN:
        alloc |= system_allocations()
    environment = Environment(base_fee_per_gas=7 if fork >= Fork.LONDON else 0)
    case = Case(fork, {}, alloc, tuple(encode(item) for item in sent), {}, environment)
    assert run_deep(differences, eels, case) == []
