import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from chain import rlp
from chain.errors import InvalidTransaction, MalformedTransaction, TypeNotSupported
from chain.fees import floor_gas, intrinsic_gas, next_base_fee
from chain.signatures import ORDER
from chain.transactions import decode_transaction
from genesis.forks import Fork
from precompiles.hashing import keccak256
from tests.chain import records

SECRET = "0x" + "4c" * 32
AUTHOR = bytes.fromhex(Account.from_key(SECRET).address[2:])
ACCESS = [{"address": "0x" + "22" * 20, "storageKeys": ["0x" + "00" * 31 + "05"]}]
FEES = {"maxFeePerGas": 30, "maxPriorityFeePerGas": 2}


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (0, {"gasPrice": 30}),
        (1, {"gasPrice": 30, "accessList": ACCESS}),
        (2, {**FEES, "accessList": ACCESS}),
        (2, FEES),
    ],
)
@given(
    nonce=st.integers(0, 2**64 - 2),
    value=st.integers(0, 2**255),
    data=st.binary(max_size=300),
    to=st.one_of(st.none(), st.binary(min_size=20, max_size=20)),
)
def test_equals_eth_account(
    kind: int, fields: dict[str, object], nonce: int, value: int, data: bytes, to: bytes | None
) -> None:
    request = {"chainId": 7, "nonce": nonce, "gas": 100_000, "value": value, "data": data, **fields}
    if to is not None:
        request["to"] = to
    signed = Account.sign_transaction(request, SECRET)
    tx = decode_transaction(bytes(signed.raw_transaction))
    assert (tx.type, tx.hash, tx.sender) == (kind, bytes(signed.hash), AUTHOR)
    assert (tx.chain_id, tx.nonce, tx.gas_limit, tx.value) == (7, nonce, 100_000, value)
    assert (tx.to, tx.data) == (to, data)
    assert (tx.v, tx.r, tx.s) == (signed.v, signed.r, signed.s)
    assert (tx.max_fee_per_gas, tx.max_priority_fee_per_gas) == (30, 2 if kind == 2 else 30)
    assert tx.access_list == (((b"\x22" * 20, (5,)),) if "accessList" in fields else ())
    assert decode_transaction(tx.raw, tx.sender) == tx


def test_set_code_transaction() -> None:
    tx = records.transaction(0, type=4, extra=[[records.authorization(5, nonce=3)]])
    (entry,) = tx.authorization_list
    assert (tx.sender, entry.authority()) == (records.account(0), records.account(5))
    assert (entry.nonce, entry.chain_id, entry.address) == (3, records.CHAIN_ID, records.RECIPIENT)


def test_authorization_with_a_bad_signature_is_nobody() -> None:
    bad = records.authorization(5)
    bad[3] = b"\x02"
    (entry,) = records.transaction(0, type=4, extra=[[bad]]).authorization_list
    assert entry.authority() is None


def test_fees() -> None:
    tx = records.transaction(tip=3, max_fee=10)
    assert [tx.effective_gas_price(base) for base in (0, 7, 8, 10)] == [3, 10, 10, 10]
    assert tx.priority_fee(11) == -1
    legacy = records.transaction(type=0, max_fee=10)
    assert legacy.effective_gas_price(4) == 10
    assert legacy.maximum_cost() == 1 + 21_000 * 10


def test_unprotected_legacy_is_decoded() -> None:
    tx = records.transaction(type=0, chain_id=None)
    assert (tx.chain_id, tx.sender, tx.v in (27, 28)) == (None, records.account(0), True)


def tampered(kind: int, position: int, value: rlp.Item) -> bytes:
    """A signed transaction with one RLP field replaced."""
    extra = [[records.authorization(1)]] if kind == 4 else []
    raw = records.signed(type=kind, extra=extra)
    prefix, body = (b"", raw) if kind == 0 else (raw[:1], raw[1:])
    items: list[rlp.Item] = list(rlp.decode_list(body))
    items[position] = value
    return prefix + rlp.encode(items)


BIG = b"\xff" * 9
HIGH_S = rlp.uint(ORDER // 2 + 1)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"", "empty transaction"),
        (b"\x00", "type not supported: type 0"),
        (b"\x05\xc0", "type not supported: type 5"),
        (b"\x7f", "type not supported: type 127"),
        (b"\x80", "type not supported: type 128"),
        (b"\x02", "truncated"),
        (b"\x02\xc0", "type 2 transaction has 0 fields, want 12"),
        (b"\xc0", "type 0 transaction has 0 fields, want 9"),
        (records.signed() + b"\0", "after the item"),
        (records.signed()[:-1], "truncated"),
        (tampered(0, 0, b"\0\1"), "leading zero"),
        (tampered(0, 0, BIG), "exceeds 64 bits"),
        (tampered(0, 0, b"\xff" * 8), "nonce has max value"),
        (tampered(0, 2, BIG), "exceeds 64 bits"),
        (tampered(0, 3, b"\1" * 19), "expected 20 bytes, found 19"),
        (tampered(0, 4, b"\xff" * 33), "exceeds 256 bits"),
        (tampered(0, 5, []), "expected bytes"),
        (tampered(0, 6, b"\x1a"), "v 26"),
        (tampered(0, 6, b"\x22"), "v 34"),
        (tampered(0, 7, b""), "r out of range"),
        (tampered(0, 8, b""), "s out of range"),
        (tampered(0, 8, HIGH_S), "s out of range or high"),
        (tampered(2, 2, b"\xff" * 8), "max priority fee per gas higher than max fee per gas: max"),
        (tampered(2, 8, b""), "expected a list"),
        (tampered(2, 8, [[b"\1" * 20]]), "access list entry has 1 fields, want 2"),
        (tampered(2, 8, [[b"\1" * 19, []]]), "expected 20 bytes"),
        (tampered(2, 8, [[b"\1" * 20, [b"\1"]]]), "expected 32 bytes"),
        (tampered(2, 8, [b"\1"]), "expected a list"),
        (tampered(2, 9, b"\2"), "y parity 2"),
        (tampered(2, 10, b""), "r out of range"),
        (tampered(2, 11, HIGH_S), "high"),
        (tampered(4, 5, b""), "cannot create a contract"),
        (tampered(4, 9, []), "empty authorization list"),
        (tampered(4, 9, b""), "expected a list"),
        (tampered(4, 9, [[b""] * 5]), "authorization list entry has 5 fields, want 6"),
        (tampered(4, 9, [[b"", b"\1" * 20, b"", b"\1\1", b"\1", b"\1"]]), "exceeds 8 bits"),
        (records.signed(type=3, extra=[b"\1", []]), "without blobs"),
        (records.signed(type=3, extra=[b"\1", [bytes(32)]]), "blob hash version 0"),
        (b"\x03" + rlp.encode([[b""], [], [], []]), "no blob pool"),
    ],
)
def test_refuses(raw: bytes, text: str) -> None:
    with pytest.raises(InvalidTransaction, match=text):
        decode_transaction(raw)


@given(st.binary(max_size=200))
def test_random_bytes_are_always_typed_errors(data: bytes) -> None:
    for raw in (data, b"\x02" + data, b"\x04" + rlp.encode([data] * 13)):
        with pytest.raises(InvalidTransaction):
            decode_transaction(raw)


@given(st.integers(0, 10_000), st.integers(0, 255))
def test_flipped_bytes_never_keep_hash_and_sender(position: int, value: int) -> None:
    raw = bytearray(records.signed(data=b"some data", access_list=[[b"\1" * 20, [b"\2" * 32]]]))
    position %= len(raw)
    if raw[position] == value:
        return
    raw[position] = value
    try:
        tx = decode_transaction(bytes(raw))
    except InvalidTransaction:
        return
    assert tx.hash == keccak256(bytes(raw)) != keccak256(records.signed())
    assert tx.sender != records.account(0)


def test_blob_transaction_decodes_so_that_it_can_be_refused_by_name() -> None:
    tx = records.transaction(type=3, extra=[b"\7", [b"\1" * 32]])
    assert (tx.type, tx.max_fee_per_blob_gas, tx.blob_versioned_hashes) == (3, 7, (b"\1" * 32,))
    assert issubclass(TypeNotSupported, InvalidTransaction)
    assert issubclass(MalformedTransaction, InvalidTransaction)


def test_intrinsic_and_floor_gas() -> None:
    plain = records.transaction(data=b"\0\0\1\1\1")
    assert intrinsic_gas(plain, Fork.PRAGUE) == 21_000 + 2 * 4 + 3 * 16
    assert floor_gas(plain, Fork.PRAGUE) == 21_000 + 10 * (2 + 3 * 4)
    creation = records.transaction(to=b"", data=b"\1" * 33)
    assert intrinsic_gas(creation, Fork.PRAGUE) == 21_000 + 33 * 16 + 32_000 + 2 * 2
    listed = records.transaction(access_list=[[b"\1" * 20, [b"\2" * 32] * 3]])
    assert intrinsic_gas(listed, Fork.PRAGUE) == 21_000 + 2_400 + 3 * 1_900
    delegating = records.transaction(type=4, extra=[[records.authorization(1)] * 2])
    assert intrinsic_gas(delegating, Fork.PRAGUE) == 21_000 + 2 * 25_000


def test_base_fee() -> None:
    """EIP-1559's rule: 1/8 at most, at least 1 up, unchanged at the target."""
    parent = dict(gas_limit=60_000_000, base_fee_per_gas=1_000)
    for used, fee in [(0, 875), (30_000_000, 1_000), (60_000_000, 1_125), (30_000_001, 1_001)]:
        assert next_base_fee(records.header(gas_used=used, **parent)) == fee
    assert next_base_fee(records.header(base_fee_per_gas=7)) == 7
