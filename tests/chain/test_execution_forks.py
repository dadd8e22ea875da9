"""Blocks of every fork: built, encoded, decoded, executed; what each fork adds to one."""

from dataclasses import replace

import pytest

from chain import rlp
from chain.blocks import Block, Withdrawal, decode_block
from chain.errors import ExecutionMismatch, InvalidBlock
from chain.evm.payments import block_reward
from chain.header import field_count
from chain.trie import walk
from genesis.addresses import BEACON_ROOTS, HISTORY_STORAGE
from genesis.forks import Fork, ForkSchedule
from genesis.spec import Allocation
from precompiles.hashing import keccak256
from tests.chain.ethereum_world import ethereum_chain, ethereum_spec
from tests.chain.evm_world import COINBASE, CONTRACT, MemoryChain, contract, op, push
from tests.chain.records import ETHER, GWEI, account, transaction

HISTORY_SLOTS = 8191
RETURN_ONE_BYTE = bytes.fromhex("60016000f3")


def legacy(number: int = 0, nonce: int = 0, **fields: object) -> object:
    """A transaction that every fork takes: type 0, unprotected."""
    values = {"type": 0, "chain_id": None, "nonce": nonce, "gas": 200_000, **fields}
    return transaction(number, **values)


@pytest.mark.parametrize("fork", Fork)
def test_block_of_each_fork(fork: Fork) -> None:
    store = op(0x55, 1, 7) + b"\x00"
    chain = ethereum_chain(fork, {CONTRACT: contract(store)})
    receipts = chain.mine(
        legacy(0, 0, value=5),
        legacy(0, 1, to=CONTRACT, value=0),
        legacy(1, 0, to=b"", data=RETURN_ONE_BYTE, value=0),
    )
    header = chain.head.header
    assert header.field_count == field_count(fork)
    assert (header.difficulty == 0) == (fork >= Fork.PARIS)
    state = chain.state()
    assert state.storage(CONTRACT, 1) == 7
    fees = sum(
        (2 * GWEI - header.base_fee_per_gas) * used
        for used in (
            receipts[0].cumulative_gas_used,
            receipts[1].cumulative_gas_used - receipts[0].cumulative_gas_used,
            receipts[2].cumulative_gas_used - receipts[1].cumulative_gas_used,
        )
    )
    assert state.account(COINBASE).balance == fees + block_reward(fork)
    for receipt in receipts:
        assert (len(receipt.post_state) == 32) == (fork < Fork.BYZANTIUM)
        assert receipt.status == 1
    assert len({receipt.post_state for receipt in receipts}) == (3 if fork < Fork.BYZANTIUM else 1)


def test_chain_through_every_fork_by_block() -> None:
    forks = [fork for fork in Fork if fork <= Fork.PARIS]
    schedule = ForkSchedule(blocks=tuple((number, fork) for number, fork in enumerate(forks)))
    chain = MemoryChain(natives={}, spec=ethereum_spec(schedule))
    for nonce, _ in enumerate(forks[1:]):
        gas_limit = chain.head.header.gas_limit
        if schedule.fork(nonce + 1, 0) == Fork.LONDON:
            gas_limit *= 2
        built, rejected = chain.build([legacy(0, nonce)], gas_limit=gas_limit)
        assert not rejected
        chain.append(chain.execute(decode_block(built.block.rlp)))
    assert chain.head.header.number == Fork.PARIS
    assert [block.header.base_fee_per_gas > 0 for block in chain.blocks] == [
        fork >= Fork.LONDON for fork in forks
    ]
    assert chain.blocks[Fork.LONDON].header.base_fee_per_gas == GWEI
    assert [block.header.difficulty > 0 for block in chain.blocks] == [
        fork < Fork.PARIS for fork in forks
    ]


def test_empty_accounts_are_made_until_spurious_dragon() -> None:
    empty = bytes.fromhex("aa" * 20)
    for fork in (Fork.FRONTIER, Fork.TANGERINE_WHISTLE, Fork.SPURIOUS_DRAGON, Fork.OSAKA):
        chain = ethereum_chain(fork)
        chain.mine(legacy(to=empty, value=0))
        found, _ = walk(chain.node, chain.head.header.state_root, keccak256(empty))
        assert (found is not None) == (fork < Fork.SPURIOUS_DRAGON)


@pytest.mark.parametrize(
    ("fork", "quotient"), [(Fork.ISTANBUL, 2), (Fork.BERLIN, 2), (Fork.LONDON, 5)]
)
def test_refund_is_at_most_a_part_of_the_gas_used(fork: Fork, quotient: int) -> None:
    clear = b"".join(op(0x55, slot, 0) for slot in range(1, 21)) + b"\x00"
    words = {slot: 1 for slot in range(1, 21)}
    gas: dict[bool, int] = {}
    for has_words in (True, False):
        chain = ethereum_chain(
            fork, {CONTRACT: contract(clear, storage=words if has_words else {})}
        )
        gas[has_words] = chain.mine(legacy(to=CONTRACT, gas=1_000_000, value=0))[
            0
        ].cumulative_gas_used
    before = 21_000 + 20 * (6 + 5_000)
    refund = 20 * (4_800 if fork >= Fork.LONDON else 15_000)
    assert gas[True] == before - min(refund, before // quotient)


def corrected(chain: MemoryChain, block: Block) -> Block:
    """The block with every result that its header declares wrongly."""
    for _ in range(8):
        try:
            chain.execute(block)
        except ExecutionMismatch as error:
            computed = bytes.fromhex(str(error).rsplit("0x", 1)[1])
            block = replace(block, header=replace(block.header, **{error.field: computed}))
        else:
            return block
    raise AssertionError("no end")


def test_withdrawals_are_paid_and_belong_to_the_root() -> None:
    chain = ethereum_chain(Fork.SHANGHAI)
    built, _ = chain.build()
    block = replace(built.block, withdrawals=(Withdrawal(0, 1, account(9), 7),))
    with pytest.raises(ExecutionMismatch, match="withdrawals_root"):
        chain.execute(block)
    chain.append(chain.execute(corrected(chain, block)))
    assert chain.state().account(account(9)).balance == 7 * GWEI


def test_ommers_are_checked_and_paid() -> None:
    chain = ethereum_chain(Fork.LONDON)
    side, _ = chain.build(coinbase=account(9))  # stale: another block becomes number 1
    chain.mine(legacy())
    built, _ = chain.build()
    block = corrected(chain, replace(built.block, ommers=(side.block.header,)))
    chain.append(chain.execute(block))
    assert chain.state().account(account(9)).balance == 2 * ETHER * 7 // 8
    again, _ = chain.build()
    twice = replace(again.block, ommers=block.ommers)
    with pytest.raises(InvalidBlock, match="ommer 0"):
        corrected(chain, twice)


@pytest.mark.parametrize("fork", [Fork.SHANGHAI, Fork.CANCUN, Fork.PRAGUE])
def test_system_contracts_note_roots_and_hashes(fork: Fork) -> None:
    chain = ethereum_chain(fork)
    chain.mine()
    chain.mine()
    header, state = chain.head.header, chain.state()
    slot = header.timestamp % HISTORY_SLOTS
    noted = state.storage(BEACON_ROOTS, slot) == header.timestamp
    assert noted == (fork >= Fork.CANCUN)
    hashed = state.storage(HISTORY_STORAGE, 1).to_bytes(32, "big") == chain.blocks[1].hash
    assert hashed == (fork >= Fork.PRAGUE)


def test_difficulty_is_what_opcode_44_reads_until_paris() -> None:
    read = b"\x44" + push(0) + b"\x55\x00"
    for fork in (Fork.GRAY_GLACIER, Fork.PARIS):
        chain = ethereum_chain(fork, {CONTRACT: contract(read)})
        chain.mine(legacy(to=CONTRACT, value=0))
        header = chain.head.header
        mix = int.from_bytes(header.mix_hash, "big")
        assert chain.state().storage(CONTRACT, 0) == (
            mix if fork >= Fork.PARIS else header.difficulty
        )


def test_ethereum_chain_has_no_native_accounts() -> None:
    native = bytes.fromhex("00" * 18 + "a100")
    chain = ethereum_chain(Fork.OSAKA)
    chain.natives = None  # type: ignore[assignment]  # the chain's own: none
    receipt = chain.mine(legacy(to=native, data=b"\x01" * 4, value=0))[0]
    assert receipt.status == 1
    assert receipt.cumulative_gas_used == 21_160


def test_gas_limit_moves_slowly_on_an_ethereum_chain() -> None:
    chain = ethereum_chain(Fork.OSAKA)
    chain.build(gas_limit=chain.head.header.gas_limit + 1)
    with pytest.raises(InvalidBlock, match="gas_limit"):
        chain.build(gas_limit=chain.head.header.gas_limit * 2)


def test_blob_transaction_pays_for_its_blobs() -> None:
    chain = ethereum_chain(Fork.OSAKA, {account(9): Allocation(balance=ETHER)})
    extra = [rlp.uint(GWEI), [b"\x01" + bytes([n]) * 31 for n in range(2)]]
    before = chain.state().account(account(0)).balance
    receipt = chain.mine(transaction(type=3, value=1, tip=0, extra=extra))[0]
    header = chain.head.header
    assert header.blob_gas_used == 2 << 17
    paid = before - chain.state().account(account(0)).balance
    assert paid == 1 + receipt.cumulative_gas_used * header.base_fee_per_gas + (2 << 17)
