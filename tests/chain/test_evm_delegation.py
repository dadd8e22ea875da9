"""Authorizations of type-4 transactions (EIP-7702) and what is warm from the start."""

import pytest

from genesis.forks import Fork
from genesis.spec import Allocation
from tests.chain.ethereum_world import ethereum_chain
from tests.chain.evm_world import COINBASE, CONTRACT, OTHER, MemoryChain, contract, op, push
from tests.chain.records import CHAIN_ID, ETHER, account, authorization, transaction

AUTHORITY = account(2)
DESIGNATOR = b"\xef\x01\x00" + CONTRACT
AUTHORIZATION_GAS = 25_000
BASE_GAS = 21_000 + AUTHORIZATION_GAS


def authorize(*tuples: list[bytes], to: bytes = OTHER, **fields: object) -> tuple[MemoryChain, int]:
    """A chain after one type-4 transaction, and the gas that it used."""
    accounts = fields.pop("accounts", {})
    chain = ethereum_chain(Fork.PRAGUE, accounts)  # type: ignore[arg-type]
    values = {"type": 4, "to": to, "gas": 500_000, "value": 0, "extra": [list(tuples)], **fields}
    receipt = chain.mine(transaction(0, **values))[0]
    return chain, receipt.cumulative_gas_used


def code_of(chain: MemoryChain, address: bytes = AUTHORITY) -> bytes:
    return chain.state().code(address)


@pytest.mark.parametrize("chain_id", [0, CHAIN_ID])
def test_authorization_sets_the_designator(chain_id: int) -> None:
    chain, used = authorize(authorization(2, chain_id=chain_id, to=CONTRACT))
    assert code_of(chain) == DESIGNATOR
    assert chain.state().account(AUTHORITY).nonce == 1
    assert used == BASE_GAS - min(12_500, BASE_GAS // 5)  # the account existed


def test_new_account_earns_no_refund() -> None:
    chain, used = authorize(authorization(7, to=CONTRACT))
    assert code_of(chain, account(7)) == DESIGNATOR
    assert used == BASE_GAS


@pytest.mark.parametrize(
    "fields", [{"chain_id": CHAIN_ID + 1}, {"nonce": 1}, {"nonce": (1 << 64) - 1}]
)
def test_authorization_for_elsewhere_is_skipped(fields: dict[str, int]) -> None:
    chain, used = authorize(authorization(2, to=CONTRACT, **fields))
    assert code_of(chain) == b""
    assert chain.state().account(AUTHORITY).nonce == 0
    assert used == BASE_GAS


def test_greatest_nonce_is_skipped_even_when_it_is_the_accounts() -> None:
    last = (1 << 64) - 1
    accounts = {account(7): Allocation(balance=1, nonce=last)}
    chain, _ = authorize(authorization(7, nonce=last, to=CONTRACT), accounts=accounts)
    assert code_of(chain, account(7)) == b""


def test_signature_of_nobody_is_skipped() -> None:
    for position, value in ((3, b"\x02"), (4, b""), (5, b"\xff" * 32)):
        item = authorization(2, to=CONTRACT)
        item[position] = value
        chain, used = authorize(item)
        assert code_of(chain) == b""
        assert used == BASE_GAS


def test_account_with_code_is_skipped() -> None:
    accounts = {AUTHORITY: Allocation(balance=ETHER, code=b"\x00")}
    chain, used = authorize(authorization(2, to=CONTRACT), accounts=accounts)
    assert code_of(chain) == b"\x00"
    assert used == BASE_GAS


def test_zero_address_takes_the_delegation_back() -> None:
    accounts = {AUTHORITY: Allocation(balance=ETHER, code=DESIGNATOR)}
    chain, _ = authorize(authorization(2, to=bytes(20)), accounts=accounts)
    assert code_of(chain) == b""


def test_last_valid_authorization_counts() -> None:
    tuples = (authorization(2, to=OTHER), authorization(2, nonce=1, to=CONTRACT))
    assert code_of(authorize(*tuples)[0]) == DESIGNATOR
    assert code_of(authorize(tuples[0], tuples[0])[0]) == b"\xef\x01\x00" + OTHER


def test_authorizations_outlive_a_revert() -> None:
    accounts = {OTHER: contract(op(0xFD, 0, 0))}
    chain, _ = authorize(authorization(2, to=CONTRACT), accounts=accounts)
    assert code_of(chain) == DESIGNATOR


def test_delegate_of_the_recipient_is_warm() -> None:
    """BALANCE of the delegate costs 100, of another account 2,600."""
    probe = {}
    for watched in (CONTRACT, OTHER):
        code = op(0x31, watched) + b"\x50\x00"
        accounts = {CONTRACT: contract(code), account(7): Allocation(balance=1, code=DESIGNATOR)}
        chain = ethereum_chain(Fork.PRAGUE, accounts)
        probe[watched] = chain.mine(transaction(to=account(7), gas=100_000, value=0))[0]
    difference = probe[OTHER].cumulative_gas_used - probe[CONTRACT].cumulative_gas_used
    assert difference == 2_500


@pytest.mark.parametrize(("fork", "warm"), [(Fork.PARIS, False), (Fork.SHANGHAI, True)])
def test_coinbase_is_warm_from_shanghai_on(fork: Fork, warm: bool) -> None:
    used = {}
    for watched in (COINBASE, bytes.fromhex("ee" * 20)):
        chain = ethereum_chain(fork, {CONTRACT: contract(op(0x31, watched) + b"\x50\x00")})
        receipt = chain.mine(transaction(to=CONTRACT, gas=100_000, value=0))[0]
        used[watched] = receipt.cumulative_gas_used
    assert (len(set(used.values())) == 2) == warm


def test_access_list_makes_slots_warm() -> None:
    code = push(5) + b"\x54\x50\x00"
    used = []
    for access in ([], [[CONTRACT, [(5).to_bytes(32, "big")]]]):
        chain = ethereum_chain(Fork.BERLIN, {CONTRACT: contract(code)})
        spender = transaction(type=1, to=CONTRACT, gas=100_000, value=0, access_list=access)
        used.append(chain.mine(spender)[0].cumulative_gas_used)
    assert used[1] - used[0] == 2_400 + 1_900 - 2_000


def test_precompiled_contract_does_not_run_for_a_delegated_account() -> None:
    identity = (4).to_bytes(20, "big")
    designator = b"\xef\x01\x00" + identity
    chain = ethereum_chain(Fork.PRAGUE, {account(7): Allocation(balance=1, code=designator)})
    receipt = chain.mine(transaction(to=account(7), data=b"\x01" * 64, gas=100_000, value=0))[0]
    assert receipt.status == 1
    assert receipt.cumulative_gas_used == 21_000 + 64 * 40  # the floor: nothing ran


def test_designator_means_nothing_before_prague() -> None:
    accounts = {account(7): Allocation(balance=1, code=DESIGNATOR), CONTRACT: contract(b"\x00")}
    chain = ethereum_chain(Fork.CANCUN, accounts)
    receipt = chain.mine(transaction(to=account(7), gas=100_000, value=0))[0]
    assert (receipt.status, receipt.cumulative_gas_used) == (0, 100_000)  # 0xef is no opcode
