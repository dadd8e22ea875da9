"""Signed peer records and the book that keeps them."""

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain import rlp
from consensus.network import address_book
from consensus.network.address_book import AddressBook
from consensus.network.errors import AddressError, ForgedRecord, FrameError
from consensus.network.identity import Network, create_identity
from consensus.network.limits import Penalty
from consensus.network.records import (
    MAX_RECORD,
    Endpoint,
    PeerRecord,
    decode_records,
    encode_records,
    endpoint,
    parse_nat,
    plain_ip,
    sign_record,
)
from tests.consensus.pools import IDENTITIES, NETWORK

OWN_ID = b"\xee" * 20
PUBLIC = (endpoint("8.8.4.4", 30303), endpoint("2a00:1450::1", 30304))


def book(**options: object) -> AddressBook:
    return AddressBook(OWN_ID, random.Random(3), **options)  # type: ignore[arg-type]


def unsigned(number: int, host: str, sequence: int = 1) -> PeerRecord:
    """For the book, which takes records whose signature is checked."""
    return PeerRecord(number.to_bytes(20, "big"), sequence, (endpoint(host, 1),), bytes(65))


def spread(number: int) -> str:
    """A public address in a /24 of its own."""
    return f"{8 + number // 65536}.{number // 256 % 256}.{number % 256}.1"


@given(st.integers(0, 2**64 - 1), st.lists(st.sampled_from(PUBLIC), min_size=1, max_size=4))
@settings(deadline=None)
def test_a_record_survives_the_wire(sequence: int, endpoints: list[Endpoint]) -> None:
    record = sign_record(IDENTITIES[0], NETWORK, sequence, endpoints)
    body = encode_records([record])
    assert len(body) <= MAX_RECORD
    assert decode_records(body, NETWORK, 1) == [record]


@given(st.data())
@settings(deadline=None, max_examples=300)
def test_a_flipped_bit_is_no_record_of_that_node(data: st.DataObject) -> None:
    record = sign_record(IDENTITIES[0], NETWORK, 7, PUBLIC)
    damaged = bytearray(encode_records([record]))
    at = data.draw(st.integers(0, len(damaged) * 8 - 1))
    damaged[at // 8] ^= 1 << at % 8
    with pytest.raises(FrameError):
        decode_records(bytes(damaged), NETWORK, 1)


@pytest.mark.parametrize(
    "other",
    [
        replace(NETWORK, chain_id=1),
        replace(NETWORK, protocol_version=2),
        replace(NETWORK, genesis_hash=b"\x22" * 32),
    ],
)
def test_a_record_of_another_chain_is_forged(other: Network) -> None:
    body = encode_records([sign_record(IDENTITIES[0], NETWORK, 7, PUBLIC)])
    with pytest.raises(ForgedRecord, match="signed by") as caught:
        decode_records(body, other, 1)
    assert caught.value.penalty is Penalty.BAD_SIGNATURE


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"endpoints": ()}, "0 endpoints"),
        ({"endpoints": (PUBLIC[0],) * 5}, "5 endpoints"),
        ({"endpoints": (Endpoint(PUBLIC[0].ip, 0),)}, "port 0"),
        ({"endpoints": (replace(PUBLIC[0], port=65536),)}, "65536|16 bits"),
        ({"node_id": b"short"}, "expected 20 bytes"),
    ],
)
def test_malformed_records(changes: dict[str, object], reason: str) -> None:
    record = sign_record(IDENTITIES[0], NETWORK, 7, PUBLIC)
    body = encode_records([replace(record, **changes)])  # type: ignore[arg-type]
    with pytest.raises(FrameError, match=reason):
        decode_records(body, NETWORK, 1)


@pytest.mark.parametrize(
    "packed", [b"", bytes(4), bytes(16), b"\xe0\0\0\1", b"\xa9\xfe\1\1", bytes(10) + b"\xff" * 6]
)
def test_an_endpoint_that_nobody_can_dial(packed: bytes) -> None:
    items: list[rlp.Item] = [bytes(20), b"\1", [[packed, b"\1"]], bytes(65)]
    with pytest.raises(FrameError, match="malformed peer record"):
        decode_records(rlp.encode([items]), NETWORK, 1)


def test_no_more_records_than_asked_for() -> None:
    record = sign_record(IDENTITIES[0], NETWORK, 7, PUBLIC)
    with pytest.raises(FrameError, match="2 peer records, the limit is 1"):
        decode_records(encode_records([record, record]), NETWORK, 1)


def test_ip_literals_and_names() -> None:
    assert str(plain_ip("::ffff:1.2.3.4")) == "1.2.3.4"
    assert str(plain_ip("fe80::1%eth0")) == "fe80::1"
    assert plain_ip("node.example") is None
    for host in ("node.example", "0.0.0.0", "224.0.0.1", "fe80::1"):
        with pytest.raises(AddressError):
            endpoint(host, 1)


def test_nat_as_geth_reads_it() -> None:
    assert parse_nat("any") == ()
    assert parse_nat("none") is None
    assert parse_nat("extip:8.8.8.8") == ("8.8.8.8",)
    assert parse_nat("extip:8.8.8.8,[2a00::1]") == ("8.8.8.8", "2a00::1")
    for text in ("", "8.8.8.8", "extip:", "extip:host", "extip:0.0.0.0", "upnp"):
        with pytest.raises(AddressError):
            parse_nat(text)


def test_of_two_records_the_newer_counts() -> None:
    kept = book()
    assert kept.add(unsigned(1, "8.8.8.8", 5))
    for sequence in (4, 5):
        assert not kept.add(unsigned(1, "9.9.9.9", sequence))
    assert kept.add(unsigned(1, "9.9.9.9", 6))
    assert [str(r.endpoints[0].ip) for r in kept.sample(9)] == ["9.9.9.9"]
    assert not kept.add(replace(unsigned(1, "8.8.8.8"), node_id=OWN_ID))


@pytest.mark.parametrize("host", ["127.0.0.1", "10.1.2.3", "192.168.0.1", "::1", "fd00::1"])
def test_private_addresses_only_when_asked_for(host: str) -> None:
    assert not book().add(unsigned(1, host))
    assert book(private=True).add(unsigned(1, host))
    mixed = replace(unsigned(1, host), endpoints=(endpoint("8.8.8.8", 1), endpoint(host, 1)))
    assert not book().add(mixed)


def test_at_most_a_thousand_and_the_worst_goes_first() -> None:
    kept = book()
    for number in range(1000):
        assert kept.add(unsigned(number, spread(number)))
        if number % 2:
            kept.answered(number.to_bytes(20, "big"))
    for _ in range(3):
        kept.failed((10).to_bytes(20, "big"), 0.0, alone=False, alive=False)
    assert kept.add(unsigned(5000, spread(5000)))
    assert len(kept) == 1000
    assert (10).to_bytes(20, "big") not in kept
    for number in range(6000, 9000):
        kept.add(unsigned(number, spread(number)))
    assert len(kept) == 1000
    assert all(number.to_bytes(20, "big") in kept for number in range(1, 1000, 2))


def test_a_subnet_cannot_fill_the_book_and_validators_always_find_room() -> None:
    chosen = (77).to_bytes(20, "big")
    kept = book(is_validator=lambda node_id: node_id == chosen)
    taken = [kept.add(unsigned(number, f"8.8.8.{number}")) for number in range(1, 30)]
    assert sum(taken) == address_book.MAX_RECORDS_PER_SUBNET
    assert kept.add(unsigned(77, "8.8.8.77"))
    kept.forget((1).to_bytes(20, "big"))
    kept.forget((2).to_bytes(20, "big"))
    assert kept.add(unsigned(30, "8.8.8.30"))
    assert not kept.add(unsigned(31, "8.8.8.31"))
    assert kept.add(unsigned(77, "8.8.8.78", 2))


def test_dead_addresses_are_tried_less_often_and_then_forgotten() -> None:
    kept = book()
    kept.add(unsigned(1, "8.8.8.8"))
    (node_id,) = (record.node_id for record in kept.due(0.0, ()))
    assert kept.due(0.0, (node_id,)) == []
    now, pauses = 0.0, []
    while node_id in kept:
        kept.failed(node_id, now, alone=True, alive=False)  # our own fault: not counted
        kept.failed(node_id, now, alone=False, alive=False)
        start = now
        while node_id in kept and not kept.due(now, ()):
            now += 0.5
        pauses.append(now - start)
    assert len(pauses) == address_book.FORGET_AFTER
    assert pauses[:4] == sorted(pauses[:4])
    assert pauses[3] > 60
    assert max(pauses) <= 1.2 * address_book.LONGEST_PAUSE + 1
    kept.add(unsigned(1, "8.8.8.8"))
    for _ in range(50):
        kept.failed(node_id, now, alone=False, alive=True)
    assert node_id in kept
    assert kept.sample(9) == []  # not worth telling others
    kept.answered(node_id)
    assert len(kept.sample(9)) == 1


def test_subsets_are_random_and_leave_out_who_asks() -> None:
    kept = book()
    for number in range(200):
        kept.add(unsigned(number, spread(number)))
    first, second = kept.sample(32), kept.sample(32)
    assert len({record.node_id for record in first}) == 32
    assert first != second
    asker = first[0].node_id
    assert all(r.node_id != asker for r in kept.sample(1000, (asker,)))


def test_the_file_brings_everything_back_on_the_same_chain() -> None:
    kept = book()
    records = [
        sign_record(identity, NETWORK, 3, [endpoint(spread(number), 9)])
        for number, identity in enumerate(IDENTITIES)
    ]
    for record in records:
        kept.add(record)
    kept.answered(records[5].node_id)
    own_identity = create_identity(b"\x55" * 32)
    own = sign_record(own_identity, NETWORK, 8, PUBLIC)
    content = kept.encode(own)
    again = AddressBook(own_identity.node_id, random.Random(1))
    assert again.load(content, NETWORK) == own
    assert {r.node_id for r in again.sample(99)} == {i.node_id for i in IDENTITIES}
    assert book().load(kept.encode(None), NETWORK) is None
    for damaged in (content[:-1], b"", content.replace(bytes(1), b"\1", 1), b"\xc2\xc0\xc0"):
        with pytest.raises(FrameError):
            book().load(damaged, NETWORK)
    with pytest.raises(FrameError):
        book().load(content, replace(NETWORK, chain_id=9))
