"""Headers and their three encodings."""

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain import rlp
from chain.blocks import MAX_BLOCK_SIZE, Block, Withdrawal, decode_block
from chain.certificate import CommitCertificate, decode_certificate
from chain.errors import InvalidBlock, InvalidSeal
from chain.extra_data import (
    chain_extra_data,
    check_chain_extra_data,
    commit_digest,
    commit_hash,
    parse_extra_data,
    sealed_extra_data,
    unseal,
)
from chain.header import ABSENT, FIELDS, Header, decode_header
from chain.receipts import decode_receipt
from precompiles.hashing import keccak256
from tests.chain import records

HASH = st.binary(min_size=32, max_size=32)
U64 = st.integers(0, 2**64 - 1)
KNOWN_HASH = "fb652ffce4c17b28b10fe52330e7fe99f4d9227e7042c2d2d14273d748b524b6"
SEALS = st.lists(st.binary(min_size=65, max_size=65), max_size=5).map(tuple)
ROUNDS = st.integers(0, 2**32 - 1)
HEADERS = st.builds(
    records.header,
    parent_hash=HASH,
    coinbase=st.binary(min_size=20, max_size=20),
    number=U64,
    gas_limit=U64,
    gas_used=U64,
    timestamp=U64,
    extra_data=st.binary(max_size=26).map(chain_extra_data),
    base_fee_per_gas=st.integers(0, 2**256 - 1),
    logs_bloom=st.binary(min_size=256, max_size=256),
)


@given(HEADERS)
def test_header_round_trip(header: Header) -> None:
    again = decode_header(header.rlp)
    assert again == header
    assert again.hash == header.hash == keccak256(header.rlp)


def test_field_order_is_that_of_the_record() -> None:
    names = [field.name for field in fields(Header) if field.init]
    assert names == [*FIELDS, "field_count"]
    assert list(ABSENT) == list(FIELDS[15:])


def test_hash_of_a_known_header() -> None:
    """Computed with py-evm's PragueBlockHeader from the same values."""
    header = records.header(number=7, coinbase=b"\x11" * 20, gas_used=5)
    assert header.hash.hex() == KNOWN_HASH


@pytest.mark.parametrize("name", FIELDS)
def test_a_wrong_field_is_named(name: str) -> None:
    items = rlp.decode_list(records.header(number=1).rlp)
    items[FIELDS.index(name)] = [b"list"]
    with pytest.raises(InvalidBlock, match=f"header {name}: "):
        decode_header(rlp.encode(items))


@pytest.mark.parametrize("count", [0, 14, 18, 19, 22])
def test_no_fork_has_a_header_of_another_length(count: int) -> None:
    items = [*rlp.decode_list(records.header().rlp), b""][:count]
    with pytest.raises(InvalidBlock, match=f"header has {count} fields, want 15, 16, 17, 20 or 21"):
        decode_header(rlp.encode(items))


def test_extra_data_vectors() -> None:
    assert chain_extra_data().hex() == "c580c0c080c0"
    assert chain_extra_data(b"assay").hex() == "ca856173736179c0c080c0"
    assert len(chain_extra_data(b"v" * 26)) == 32
    with pytest.raises(ValueError, match="27 bytes"):
        chain_extra_data(b"v" * 27)


def test_sealed_size_of_contract_mode() -> None:
    """consensus.md: 209 bytes for four validators, that is three seals."""
    seals = tuple(bytes((i,)) * 65 for i in (1, 2, 3))
    assert (
        len(
            sealed_extra_data(
                records.header(extra_data=chain_extra_data()), CommitCertificate(0, seals)
            )
        )
        == 209
    )


@given(HEADERS, ROUNDS, SEALS)
def test_three_forms_of_one_header(header: Header, round: int, seals: tuple[bytes, ...]) -> None:
    certificate = CommitCertificate(round, seals)
    sealed = replace(header, extra_data=sealed_extra_data(header, certificate))
    assert unseal(sealed) == (header, certificate)
    assert commit_hash(sealed, round) == commit_hash(header, round)
    assert commit_hash(header, 0) == header.hash
    assert (commit_hash(header, round) == header.hash) == (round == 0)
    assert commit_digest(Block(header, ()).rlp, round) == commit_hash(header, round)
    assert decode_certificate(certificate.rlp) == certificate


@pytest.mark.parametrize(
    ("extra_data", "text"),
    [
        (b"", "extra_data: truncated"),
        (b"assay", "extra_data: 4 bytes after the item"),
        (rlp.encode([b"", [], [], b""]), "4 fields, want 5"),
        (rlp.encode([b"", [b"v" * 20], [], b"", []]), "carries validators"),
        (rlp.encode([b"", [], [b"v" * 20, b"\xff"], b"", []]), "carries validators or a vote"),
        (rlp.encode([b"v" * 27, [], [], b"", []]), "of 33 bytes"),
        (rlp.encode([b"", [], [], b"\x01", []]), "round 1 and 0 seals"),
        (rlp.encode([b"", [], [], b"\x00", []]), "leading zero"),
        (rlp.encode([b"", [], [], b"\x01" * 5, []]), "exceeds 32 bits"),
        (rlp.encode([b"", [], [], b"", [b"seal"]]), "expected 65 bytes"),
        (rlp.encode([b"", [], [], b"", [b"s" * 65]]), "at most 32"),
    ],
)
def test_stored_extra_data_must_be_the_chain_form(extra_data: bytes, text: str) -> None:
    with pytest.raises(InvalidBlock, match=text):
        check_chain_extra_data(extra_data)


def test_long_vanity_is_refused_in_every_form() -> None:
    with pytest.raises(InvalidBlock, match="vanity of 27 bytes"):
        parse_extra_data(rlp.encode([b"v" * 27, [], [], b"", []]))


def test_certificate_is_strict() -> None:
    for wrong in (
        b"",
        b"\x80",
        rlp.encode([b""]),
        rlp.encode([b"\0", []]),
        rlp.encode([b"", [b"1"]]),
    ):
        with pytest.raises(InvalidSeal, match="certificate"):
            decode_certificate(wrong)


def test_block_round_trip_with_every_type() -> None:
    transactions = tuple(
        records.transaction(
            type=kind, nonce=kind, **({"extra": [[records.authorization(1)]]} if kind == 4 else {})
        )
        for kind in (0, 1, 2, 4)
    )
    block = Block(records.header(), transactions, (Withdrawal(1, 2, b"a" * 20, 3),))
    assert decode_block(block.rlp) == block
    assert block.hash == block.header.hash


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ([], "block is an empty list"),
        ([None, b"\xc0", b"\xc0"], "block has 3 parts, want 4"),
        ([b"\xc0"] * 4, "header has 0 fields"),
        ([None, b"\xc0", b"\xc1\x80", b"\xc0"], "expected a list"),
        ([None, b"\xc0", b"\xc1\xc0", b"\xc0"], "header has 0 fields"),
        ([None, b"\xc1\x80", b"\xc0", b"\xc0"], "transaction 0: empty transaction"),
        ([None, rlp.encode([b"\x05abc"]), b"\xc0", b"\xc0"], "transaction 0: transaction type not"),
        ([None, rlp.encode([records.signed(type=0)]), b"\xc0", b"\xc0"], "wrapped in a string"),
        ([None, rlp.encode([[b"x"]]), b"\xc0", b"\xc0"], "transaction 0: type 0 transaction has 1"),
        ([None, b"\xc0", b"\xc0", rlp.encode([[b"\x01"]])], "withdrawal has 1 fields"),
        ([None, b"\xc0", b"\xc0", rlp.encode([[b"\x01", b"", b"a", b""]])], "expected 20 bytes"),
    ],
)
def test_bad_blocks(parts: list[bytes | None], text: str) -> None:
    filled = [records.header().rlp if part is None else part for part in parts]
    with pytest.raises(InvalidBlock, match=text):
        decode_block(rlp.join_list(filled))


def test_block_size_is_checked_before_decoding() -> None:
    with pytest.raises(InvalidBlock, match="at most 8388608"):
        decode_block(bytes(MAX_BLOCK_SIZE + 1))


BLOCK = Block(
    records.header(number=1),
    (
        records.transaction(type=0),
        records.transaction(data=b"data", access_list=[[b"\1" * 20, []]]),
    ),
).rlp


@given(st.binary(max_size=120), st.integers(0, len(BLOCK) - 1), st.binary(min_size=1, max_size=4))
def test_fuzzed_bytes_are_typed_errors_or_equal_themselves(
    data: bytes, position: int, patch: bytes
) -> None:
    patched = BLOCK[:position] + patch + BLOCK[position + len(patch) :]
    for encoded in (data, patched, BLOCK[:position], BLOCK + data[:3]):
        try:
            assert decode_block(encoded).rlp == encoded
        except InvalidBlock:
            continue
    for decode in (parse_extra_data, decode_header, decode_certificate, decode_receipt):
        with pytest.raises(InvalidBlock):  # InvalidSeal is one
            decode(data)
