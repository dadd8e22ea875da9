import re
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from chain.errors import InvalidTransaction
from chain.fees import next_base_fee
from chain.header import EMPTY_TRIE_ROOT, Header
from chain.mempool import Mempool, MempoolLimits
from chain.state_reader import Account, StateReader
from chain.transactions import Transaction
from precompiles.hashing import EMPTY_HASH, keccak256
from tests.chain import records
from tests.chain.records import ETHER, GWEI, transaction

SPEC = records.spec()
SENDERS = [records.account(number) for number in range(10)]
CONTRACT_CODE, DELEGATION = b"\x60\x00", b"\xef\x01\x00" + b"\1" * 20


def state_with(nonces: dict[int, int], balance: int = 10 * ETHER) -> StateReader:
    """Accounts 0 to 5 with these nonces; 6 has code, 7 a delegation, 8 nothing at all."""
    accounts = {
        SENDERS[number]: Account(nonces.get(number, 0), balance, EMPTY_TRIE_ROOT, EMPTY_HASH)
        for number in range(6)
    }
    for number, code in ((6, CONTRACT_CODE), (7, DELEGATION)):
        accounts[SENDERS[number]] = Account(0, balance, EMPTY_TRIE_ROOT, keccak256(code))
    root, nodes = records.state(accounts, SENDERS[:4])
    codes = {keccak256(code): code for code in (CONTRACT_CODE, DELEGATION)}
    return StateReader({**nodes, **codes}.__getitem__, root)


def pool_with(
    nonces: dict[int, int] | None = None, balance: int = 10 * ETHER, **limits: int
) -> Mempool:
    return Mempool(
        SPEC, records.header(), state_with(nonces or {}, balance), MempoolLimits(**limits)
    )


def refuse(pool: Mempool, tx: Transaction, text: str) -> None:
    before = (pool.hashes(), pool.counts(), pool.content())
    with pytest.raises(InvalidTransaction, match=re.escape(text)):
        pool.add(tx)
    assert (pool.hashes(), pool.counts(), pool.content()) == before


def test_texts_that_clients_parse() -> None:
    pool = pool_with({1: 5})
    refuse(pool, transaction(1, nonce=4), "nonce too low: next nonce 5, tx nonce 4")
    refuse(pool, transaction(1, nonce=10**6), "nonce too high: next nonce 5, tx nonce 1000000")
    refuse(pool, transaction(chain_id=1), "invalid chain id for signer: have 1 want 42330")
    refuse(
        pool,
        transaction(type=0, chain_id=None),
        "only replay-protected (EIP-155) transactions allowed over RPC",
    )
    refuse(pool, transaction(gas=20_999), "intrinsic gas too low: have 20999, want 21000")
    refuse(
        pool,
        transaction(gas=21_039, data=b"\1"),
        "insufficient gas for floor data gas cost: have 21039, want 21040",
    )
    refuse(pool, transaction(to=b"", gas=52_999), "intrinsic gas too low: have 52999, want 53000")
    refuse(
        pool,
        transaction(gas=60_000_001),
        "exceeds block gas limit: tx gas limit 60000001, available 60000000",
    )
    refuse(
        pool,
        transaction(gas=2**25 + 1),
        "transaction gas limit too high (cap: 33554432, tx: 33554433)",
    )
    refuse(
        pool,
        transaction(to=b"", gas=10**7, data=bytes(49_153)),
        "max initcode size exceeded: code size 49153 limit 49152",
    )
    poor = SENDERS[8].hex()
    refuse(
        pool,
        transaction(8, value=7),
        f"insufficient funds for gas * price + value: address 0x{poor} have 0 want "
        f"{7 + 21_000 * 2 * GWEI}",
    )
    low = next_base_fee(records.header()) - 1
    refuse(
        pool,
        transaction(max_fee=low),
        f"max fee per gas less than block base fee: address 0x{SENDERS[0].hex()}, "
        f"maxFeePerGas: {low}, baseFee: {low + 1}",
    )
    refuse(
        pool,
        transaction(6),
        f"sender not an eoa: address 0x{SENDERS[6].hex()}, len(code): 2",
    )
    refuse(pool, transaction(type=3, extra=[b"\1", [b"\1" * 32]]), "transaction type not supported")
    refuse(
        pool, transaction(gas=10**7, data=bytes(131_072)), "oversized data: transaction size 131"
    )
    known = transaction()
    pool.add(known)
    refuse(pool, known, "already known")
    assert pool.hashes() == (known.hash,)


def test_every_type_and_a_delegated_sender() -> None:
    pool = pool_with()
    for number, kind in enumerate((0, 1, 2, 4)):
        extra = [[records.authorization(9)]] if kind == 4 else []
        pool.add(transaction(number, type=kind, gas=60_000, extra=extra))
    pool.add(transaction(7))
    assert len(pool) == 5


def test_pending_and_queued() -> None:
    pool = pool_with({1: 5})
    for nonce in (7, 5, 9):
        pool.add(transaction(1, nonce=nonce))
    assert pool.pending_nonce(SENDERS[1]) == 6
    assert pool.counts() == (1, 2)
    pool.add(transaction(1, nonce=6))
    assert pool.pending_nonce(SENDERS[1]) == 8
    assert pool.counts() == (3, 1)
    pending, queued = pool.content()
    assert [list(part[SENDERS[1]]) for part in (pending, queued)] == [[5, 6, 7], [9]]
    assert pool.pending_nonce(SENDERS[2]) == 0
    assert pool.pending_nonce(b"\1" * 20) == 0


def test_replacement_needs_ten_percent_more_of_both_fees() -> None:
    pool = pool_with()
    old = transaction(tip=100, max_fee=2 * GWEI)
    pool.add(old)
    text = "replacement transaction underpriced"
    refuse(pool, transaction(value=2, tip=110, max_fee=2 * GWEI), text)
    refuse(pool, transaction(value=2, tip=109, max_fee=3 * GWEI), text)
    new = transaction(value=2, tip=110, max_fee=22 * GWEI // 10)
    pool.add(new)
    assert pool.hashes() == (new.hash,)
    assert pool.get(old.hash) is None
    assert pool.get(new.hash) == new


def test_funds_cover_everything_that_waits() -> None:
    cost = 21_000 * 2 * GWEI + 1
    pool = pool_with(balance=2 * cost)
    pool.add(transaction(nonce=0))
    pool.add(transaction(nonce=1))
    refuse(pool, transaction(nonce=2), f"have {2 * cost} want {3 * cost}")
    # a replacement counts in place of what it replaces
    refuse(pool, transaction(nonce=1, tip=2, max_fee=22 * GWEI // 10), "insufficient funds")
    pool.discard(pool.hashes()[0])
    pool.add(transaction(nonce=0, value=1))


def test_select_orders_by_tip_and_keeps_nonces_in_order() -> None:
    pool = pool_with()
    plan = [(0, 0, 5), (0, 1, 500), (1, 0, 100), (1, 1, 1), (2, 0, 5)]
    for number, nonce, tip in plan:
        pool.add(transaction(number, nonce=nonce, tip=tip))
    chosen = pool.select(GWEI, 60_000_000)
    order = [(SENDERS.index(tx.sender), tx.nonce) for tx in chosen]
    assert order == [(1, 0), (0, 0), (0, 1), (2, 0), (1, 1)]
    assert pool.select(GWEI, 60_000_000, limit=2) == chosen[:2]
    assert pool.select(GWEI, 21_000 * 3 + 20_999) == chosen[:3]
    assert pool.select(GWEI, 60_000_000, size=len(chosen[0].raw)) == chosen[:1]
    assert len(pool) == 5  # selecting takes nothing away


def test_select_leaves_out_what_cannot_pay_the_base_fee() -> None:
    pool = pool_with()
    pool.add(transaction(0, nonce=0, max_fee=GWEI))
    pool.add(transaction(0, nonce=1, max_fee=9 * GWEI))
    pool.add(transaction(1, nonce=0, max_fee=5 * GWEI))
    assert [tx.sender for tx in pool.select(3 * GWEI, 60_000_000)] == [SENDERS[1]]
    assert pool.select(10 * GWEI, 60_000_000) == []
    assert len(pool.select(GWEI, 60_000_000)) == 3


def advance(pool: Mempool, head: Header, nonces: dict[int, int], *included: Transaction) -> Header:
    header = replace(
        head, parent_hash=head.hash, number=head.number + 1, timestamp=head.timestamp + 1
    )
    pool.set_head(header, state_with(nonces), included)
    return header


def test_mined_transactions_leave() -> None:
    pool, head = pool_with(), records.header()
    waiting = [transaction(0, nonce=nonce) for nonce in range(4)]
    for tx in waiting:
        pool.add(tx)
    advance(pool, head, {0: 2}, *waiting[:2])
    assert pool.hashes() == tuple(tx.hash for tx in waiting[2:])
    assert pool.select(GWEI, 60_000_000) == waiting[2:]
    refuse(pool, waiting[0], "nonce too low: next nonce 2, tx nonce 0")


def test_a_competing_transaction_with_the_same_nonce_evicts_ours() -> None:
    pool, head = pool_with(), records.header()
    pool.add(transaction(0, nonce=0))
    pool.add(transaction(0, nonce=1))
    advance(pool, head, {0: 1}, transaction(0, nonce=0, value=99))
    assert [tx.nonce for tx in pool.select(GWEI, 60_000_000)] == [1]


def test_a_used_authorization_moves_its_author() -> None:
    pool, head = pool_with(), records.header()
    pool.add(transaction(5, nonce=0))
    pool.add(transaction(5, nonce=1))
    mined = transaction(0, type=4, gas=60_000, extra=[[records.authorization(5)]])
    advance(pool, head, {0: 1, 5: 1}, mined)
    assert [tx.nonce for tx in pool.select(GWEI, 60_000_000)] == [1]


def test_skipped_heads_refresh_everybody() -> None:
    pool, head = pool_with(), records.header()
    pool.add(transaction(3, nonce=0))
    pool.set_head(replace(head, number=7, parent_hash=b"\1" * 32), state_with({3: 1}), [])
    assert len(pool) == 0


def test_rejected_by_the_builder() -> None:
    pool = pool_with()
    waiting = [transaction(0, nonce=nonce) for nonce in range(3)]
    for tx in waiting:
        pool.add(tx)
    pool.discard(waiting[1].hash)
    pool.discard(b"\7" * 32)
    assert pool.counts() == (1, 1)
    assert pool.pending_nonce(SENDERS[0]) == 1
    pool.add(transaction(0, nonce=1, value=5))
    assert pool.counts() == (3, 0)


def test_full_pool_evicts_the_cheapest_last_or_refuses() -> None:
    pool = pool_with(transactions=4)
    for number, nonce, tip in [(0, 0, 9), (0, 1, 2), (1, 0, 3), (2, 0, 5)]:
        pool.add(transaction(number, nonce=nonce, tip=tip))
    refuse(pool, transaction(3, tip=2), "txpool is full: 4 transactions")
    refuse(pool, transaction(3, tip=1), "txpool is full")
    pool.add(transaction(3, tip=4))  # evicts (0, 1), the cheapest
    assert pool.pending_nonce(SENDERS[0]) == 1
    pool.add(transaction(4, tip=4))  # evicts (1, 0)
    assert pool.pending_nonce(SENDERS[1]) == 0
    assert len(pool) == 4
    pool.add(transaction(3, tip=40, max_fee=3 * GWEI))  # a replacement needs no room
    assert len(pool) == 4


def test_byte_limit_and_sender_limit() -> None:
    size = len(transaction().raw)
    pool = pool_with(size=2 * size)
    pool.add(transaction(0))
    pool.add(transaction(1))
    refuse(pool, transaction(2), "txpool is full")
    narrow = pool_with(per_sender=2)
    narrow.add(transaction(0, nonce=0))
    narrow.add(transaction(0, nonce=1))
    refuse(narrow, transaction(0, nonce=2), "account limit exceeded: 2 transactions wait, limit 2")


def test_old_transactions_are_forgotten() -> None:
    pool, head = pool_with(lifetime_seconds=100), records.header()
    pool.add(transaction(0, nonce=3))
    late = replace(head, parent_hash=head.hash, number=64, timestamp=head.timestamp + 101)
    pool.set_head(late, state_with({}), [])
    assert len(pool) == 0


class PoolMachine(RuleBasedStateMachine):
    """Against a model: a dict of (sender, nonce) and the state's nonces."""

    @initialize()
    def start(self) -> None:
        self.head = records.header()
        self.nonces = dict.fromkeys(range(3), 0)
        self.pool = pool_with()
        self.held: dict[tuple[int, int], Transaction] = {}

    @rule(number=st.integers(0, 2), nonce=st.integers(0, 6), tip=st.sampled_from([1, 2, 4, 8]))
    def add(self, number: int, nonce: int, tip: int) -> None:
        tx = transaction(number, nonce=nonce, tip=tip, max_fee=tip * 2 * GWEI)
        old = self.held.get((number, nonce))
        fine = nonce >= self.nonces[number] and (old is None or tip > old.max_priority_fee_per_gas)
        try:
            self.pool.add(tx)
        except InvalidTransaction:
            assert not fine
        else:
            assert fine
            self.held[number, nonce] = tx

    @rule(count=st.integers(1, 5))
    def mine(self, count: int) -> None:
        chosen = self.pool.select(GWEI, 60_000_000, limit=count)
        for tx in chosen:
            number = SENDERS.index(tx.sender)
            assert tx.nonce == self.nonces[number]
            self.nonces[number] += 1
            del self.held[number, tx.nonce]
        self.head = advance(self.pool, self.head, self.nonces, *chosen)

    @rule(data=st.data())
    def discard(self, data: st.DataObject) -> None:
        if self.held:
            slot = data.draw(st.sampled_from(sorted(self.held)))
            self.pool.discard(self.held.pop(slot).hash)

    @invariant()
    def same_content(self) -> None:
        assert set(self.pool.hashes()) == {tx.hash for tx in self.held.values()}
        pending, queued = self.pool.content()
        for number in range(3):
            following = self.nonces[number]
            while (number, following) in self.held:
                following += 1
            assert self.pool.pending_nonce(SENDERS[number]) == following
            assert all(nonce < following for nonce in pending.get(SENDERS[number], {}))
            assert all(nonce > following for nonce in queued.get(SENDERS[number], {}))
        assert sum(self.pool.counts()) == len(self.pool) == len(self.held)


TestPoolMachine = PoolMachine.TestCase
TestPoolMachine.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
