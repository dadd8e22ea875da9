"""The holes of py-evm that concern blobs, on a chain with Ethereum's own rules."""

from dataclasses import replace

import pytest

from chain import rlp
from chain.blobs import GAS_PER_BLOB
from chain.errors import (
    InsufficientFunds,
    InvalidBlock,
    InvalidTransaction,
    TypeNotSupported,
)
from chain.transactions import Transaction, decode_transaction
from genesis.forks import BlobParameters, Fork, ForkSchedule
from genesis.spec import Allocation
from tests.chain.ethereum_world import ethereum_chain, ethereum_spec
from tests.chain.evm_world import MemoryChain
from tests.chain.records import GWEI, account, signed, transaction

FEE = 21_000 * 2 * GWEI + 1
START = 1_700_000_000


def blob_transaction(count: int, *, sender: int = 0, nonce: int = 0, fee: int = 1) -> Transaction:
    hashes = [b"\x01" + bytes([number]) * 31 for number in range(count)]
    return transaction(sender, type=3, nonce=nonce, extra=[rlp.uint(fee), hashes])


def test_sender_must_own_the_blob_fee_at_its_cap() -> None:
    for missing in (0, 1):
        poor = Allocation(balance=FEE + 5 * 2 * GAS_PER_BLOB - missing)
        chain = ethereum_chain(Fork.PRAGUE, {account(9): poor})
        spender = blob_transaction(2, sender=9, fee=5)
        if missing:
            assert isinstance(chain.refuse(spender), InsufficientFunds)
        else:
            assert chain.mine(spender)[0].status == 1


def test_transaction_with_its_blobs_is_refused_by_name() -> None:
    """The network form ``[transaction, blobs, commitments, proofs]`` (EIP-4844, EIP-7594)."""
    inner = rlp.decode(signed(type=3, extra=[b"\x01", [b"\x01" + bytes(31)]])[1:])
    for form in ([inner, [], [], []], [inner, b"\x01", [], [], []]):
        with pytest.raises(TypeNotSupported, match="sidecar"):
            decode_transaction(b"\x03" + rlp.encode(form))


def test_blob_limits_follow_the_schedule() -> None:
    few, many = BlobParameters(1, 2, 5_007_716), BlobParameters(3, 4, 5_007_716)
    schedule = ForkSchedule(
        blocks=((0, Fork.PARIS),),
        times=((0, Fork.OSAKA),),
        blobs=((0, few), (START + 100, many)),
    )
    chain = MemoryChain(natives={}, spec=ethereum_spec(schedule))
    assert isinstance(chain.refuse(blob_transaction(3)), InvalidTransaction)
    chain.mine(blob_transaction(2))
    assert chain.head.header.blob_gas_used == 2 * GAS_PER_BLOB
    built, rejected = chain.build([blob_transaction(4, nonce=1)], timestamp=START + 100)
    assert rejected == []
    chain.append(chain.execute(built.block))
    assert chain.head.header.excess_blob_gas == 0  # 2 used, target 3 by now
    chain.mine()
    assert chain.head.header.excess_blob_gas == (4 - 3) * GAS_PER_BLOB


def test_blobs_of_a_whole_block_are_bounded() -> None:
    chain = ethereum_chain(Fork.CANCUN)
    built, rejected = chain.build([blob_transaction(4), blob_transaction(3, sender=1)])
    assert [str(error).split(":")[0] for _, error in rejected] == ["blob gas limit reached"]
    assert built.block.header.blob_gas_used == 4 * GAS_PER_BLOB


def test_blob_transaction_belongs_to_no_assay_block() -> None:
    chain = MemoryChain()
    assert "blob" in str(chain.refuse(blob_transaction(1)))


def test_declared_blob_gas_must_be_that_of_the_transactions() -> None:
    chain = ethereum_chain(Fork.OSAKA)
    built, _ = chain.build([blob_transaction(1)])
    wrong = replace(built.block.header, blob_gas_used=2 * GAS_PER_BLOB)
    with pytest.raises(InvalidBlock, match="blob_gas_used"):
        chain.execute(replace(built.block, header=wrong))
