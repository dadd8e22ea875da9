"""Handshake rules as pure functions: every refusal names what differs."""

import os
from dataclasses import replace

import pytest

from chain import rlp
from consensus.network.errors import AddressError, HandshakeError
from consensus.network.handshake import (
    CLIENT,
    SERVER,
    check_identity,
    check_signature,
    decode_auth,
    decode_hello,
    decode_welcome,
    encode_auth,
    encode_greeting,
    new_greeting,
    transcript,
)
from consensus.network.identity import (
    Network,
    PeerAddress,
    create_identity,
    parse_peer_address,
    signer_of,
)

NETWORK = Network(1, 4242, b"\x11" * 32)
ALICE = create_identity(b"\x01" * 32)
BOB = create_identity(b"\x02" * 32)


def greetings():
    alice = new_greeting(ALICE, NETWORK, b"instance", "assay/test")
    bob = new_greeting(BOB, NETWORK, b"instancf", "assay/test")
    return alice, bob


def test_node_id_is_the_ethereum_address_of_the_key() -> None:
    known = create_identity(
        bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
    )
    assert known.node_id.hex() == "f39fd6e51aad88f6f4ce6ab8827279cfffb92266"


def test_greetings_round_trip() -> None:
    alice, bob = greetings()
    assert decode_hello(encode_greeting(alice), NETWORK) == alice
    signature = BOB.sign(b"\x05" * 32)
    assert decode_welcome(encode_greeting(bob, signature), NETWORK) == (bob, signature)
    assert decode_auth(encode_auth(signature)) == signature


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (replace(NETWORK, protocol_version=2), "protocol version 2, this node speaks 1"),
        (replace(NETWORK, chain_id=1), "chain id 1, this node is on 4242"),
        (replace(NETWORK, genesis_hash=b"\x22" * 32), "genesis 0x2222"),
    ],
)
def test_another_chain_is_refused_with_both_values(other: Network, reason: str) -> None:
    hello = encode_greeting(new_greeting(ALICE, other, b"instance", "x"))
    with pytest.raises(HandshakeError, match=reason):
        decode_hello(hello, NETWORK)


def test_a_newer_version_with_more_items_is_still_named() -> None:
    body = rlp.encode([rlp.uint(9), b"a", b"b", b"c", b"d", b"e", b"f", b"g", b"h"])
    with pytest.raises(HandshakeError, match="protocol version 9"):
        decode_hello(body, NETWORK)


def test_malformed_greetings_are_refused() -> None:
    hello = encode_greeting(greetings()[0])
    for size in range(len(hello)):
        with pytest.raises(HandshakeError):
            decode_hello(hello[:size], NETWORK)
    with pytest.raises(HandshakeError):
        decode_hello(hello + b"\0", NETWORK)
    with pytest.raises(HandshakeError, match="client text"):
        decode_hello(encode_greeting(replace(greetings()[0], client="a\nb")), NETWORK)


def test_both_signatures_are_accepted_by_the_other_side() -> None:
    alice, bob = greetings()
    for role, identity in ((CLIENT, ALICE), (SERVER, BOB)):
        signature = identity.sign(transcript(role, alice, bob, BOB.certificate))
        check_signature(role, alice, bob, BOB.certificate, signature)


def test_a_signature_over_another_certificate_is_a_relay() -> None:
    alice, bob = greetings()
    relay = create_identity(b"\x03" * 32)
    signature = BOB.sign(transcript(SERVER, alice, bob, BOB.certificate))
    with pytest.raises(HandshakeError, match="does not prove node id"):
        check_signature(SERVER, alice, bob, relay.certificate, signature)


def test_signatures_do_not_cross_roles_nonces_or_keys() -> None:
    alice, bob = greetings()
    good = BOB.sign(transcript(SERVER, alice, bob, BOB.certificate))
    swapped = BOB.sign(transcript(CLIENT, alice, bob, BOB.certificate))
    wrong_key = ALICE.sign(transcript(SERVER, alice, bob, BOB.certificate))
    fresh = replace(alice, nonce=os.urandom(32))
    for client, signature in ((alice, swapped), (alice, wrong_key), (fresh, good)):
        with pytest.raises(HandshakeError):
            check_signature(SERVER, client, bob, BOB.certificate, signature)


def test_bad_signatures_are_typed() -> None:
    digest = b"\x07" * 32
    good = ALICE.sign(digest)
    assert signer_of(digest, good) == ALICE.node_id
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    high_s = (order - int.from_bytes(good[32:64], "big")).to_bytes(32, "big")
    flipped = good[:32] + high_s + bytes([good[64] ^ 1])
    for bad in (b"", good[:64], good + b"\0", good[:64] + b"\2", b"\0" * 65, flipped):
        with pytest.raises(HandshakeError):
            signer_of(digest, bad)


def test_expected_peer_and_self_are_told_apart() -> None:
    alice, _ = greetings()
    check_identity(alice, BOB.node_id, ALICE.node_id)
    with pytest.raises(HandshakeError, match="expected node 0x"):
        check_identity(alice, BOB.node_id, b"\x09" * 20)
    with pytest.raises(HandshakeError, match="itself"):
        check_identity(alice, ALICE.node_id, None)


def test_peer_addresses_round_trip() -> None:
    some_id = bytes(range(20))
    for address in (
        PeerAddress("127.0.0.1", 30303),
        PeerAddress("::1", 30303, some_id),
        PeerAddress("node.example.org", 1, some_id),
    ):
        assert parse_peer_address(str(address)) == address
    assert parse_peer_address(some_id.hex() + "@h:2").node_id == some_id


@pytest.mark.parametrize(
    "text", ["", "host", "host:", ":1", "host:0", "host:65536", "host:x", "::1:30303", "12@h:1",
             "zz@h:1", "@h:1", "[::1:3", "h:1@"],
)  # fmt: skip
def test_bad_peer_addresses_are_typed(text: str) -> None:
    with pytest.raises(AddressError):
        parse_peer_address(text)
