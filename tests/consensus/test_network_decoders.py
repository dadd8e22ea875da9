"""Every decoder of what peers send, fed with damaged and random bytes: typed errors only.

What is accepted encodes back to the same bytes: there is one form of each message.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from chain import rlp
from chain.blocks import decode_block
from chain.certificate import CommitCertificate, decode_certificate
from chain.errors import InvalidBlock, InvalidTransaction
from chain.header import decode_header
from chain.transactions import decode_transaction
from consensus.codec import decode_message, encode_message, header_part
from consensus.errors import MessageError
from consensus.network import handshake, wire
from consensus.network.errors import FrameError, HandshakeError
from consensus.network.records import decode_records, encode_records, endpoint, sign_record
from consensus.network.wire import BlockRange, BlockRequest, Code, SealedBlock, Status
from tests.consensus.pools import IDENTITIES, NETWORK
from tests.consensus.test_network_gossip import transfer
from tests.consensus.votes import BLOCK, commit, prepare, proposal, round_change
from tests.sim.world import DOMAIN

FAST, LONG = 4_000, 200_000
LOCKED = tuple(round_change(i, 2, (1, BLOCK)).signed for i in range(3))
PREPARES = tuple(prepare(i, 1).signed for i in range(3))
GREETING = handshake.new_greeting(IDENTITIES[0], NETWORK, b"instance", "assay/fuzz")
CERTIFICATE = CommitCertificate(1, (b"\1" * 65, b"\2" * 65, b"\3" * 65)).rlp
SEALED = SealedBlock(BLOCK.encoded, CERTIFICATE)
RECORDS = [
    sign_record(identity, NETWORK, 5, [endpoint("8.8.8.8", 9), endpoint("2a00:1450::1", 9)])
    for identity in IDENTITIES[:3]
]


@dataclass(frozen=True)
class Target:
    """A decoder with valid inputs, its errors, and its inverse where it has one."""

    decode: Callable[[bytes], object]
    seeds: tuple[bytes, ...]
    errors: tuple[type[Exception], ...]
    encode: Callable[[object], bytes] | None = None


def votes(code: int, *messages: object) -> Target:
    return Target(
        lambda body: decode_message(code, body, DOMAIN, lambda _: True),
        tuple(encode_message(message)[1] for message in messages),  # type: ignore[arg-type]
        (MessageError,),
        lambda message: encode_message(message)[1],  # type: ignore[arg-type]
    )


def frames(
    decode: Callable[[bytes], object], encode: Callable[..., bytes], *values: object
) -> Target:
    return Target(decode, tuple(encode(value) for value in values), (FrameError,), encode)


def greetings(decode: Callable[[bytes], object], *seeds: bytes) -> Target:
    return Target(decode, seeds, (HandshakeError,))


HELLO = handshake.encode_greeting(GREETING)
WELCOME = handshake.encode_greeting(GREETING, b"\7" * 65)
TRANSFERS = [transfer(0), transfer(1, gas=10**6, data=b"\5" * 90)]
TARGETS = {
    "HELLO": greetings(lambda body: handshake.decode_hello(body, NETWORK), HELLO),
    "WELCOME": greetings(lambda body: handshake.decode_welcome(body, NETWORK), WELCOME),
    "AUTH": greetings(handshake.decode_auth, handshake.encode_auth(b"\7" * 65)),
    "PROPOSAL": votes(0x12, proposal(0), proposal(2, 2, BLOCK, LOCKED, PREPARES)),
    "PREPARE": votes(0x13, prepare(1), prepare(1, 3)),
    "COMMIT": votes(0x14, commit(2), commit(2, 7)),
    "ROUND_CHANGE": votes(0x15, round_change(3, 1), round_change(3, 2, (1, BLOCK))),
    "STATUS": frames(wire.decode_status, wire.encode_status, Status(7, b"\1" * 32)),
    "NEW_BLOCK": frames(wire.decode_sealed, wire.encode_sealed, SEALED),
    "GET_BLOCKS": frames(
        wire.decode_block_request, wire.encode_block_request, BlockRequest(300, 1, 64)
    ),
    "BLOCKS": frames(
        wire.decode_block_range, wire.encode_block_range, BlockRange(9, (SEALED,) * 3)
    ),
    "ANNOUNCE": frames(wire.decode_hashes, wire.encode_hashes, [b"\1" * 32, b"\2" * 32]),
    "TRANSACTIONS": frames(wire.decode_transactions, wire.encode_transactions, TRANSFERS),
    "PEERS": frames(lambda body: decode_records(body, NETWORK, 32), encode_records, RECORDS),
    "frame": Target(
        wire.split_frame,
        tuple(wire.encode_frame(code, b"body") for code in Code),
        (FrameError,),
        lambda pair: wire.encode_frame(*pair),  # type: ignore[misc]
    ),
    "block header": Target(
        lambda encoded: decode_header(header_part(encoded)), (BLOCK.encoded,), (InvalidBlock,)
    ),
    "block": Target(decode_block, (BLOCK.encoded,), (InvalidBlock,)),
    "certificate": Target(
        decode_certificate,
        (CERTIFICATE,),
        (InvalidBlock,),
        lambda certificate: certificate.rlp,  # type: ignore[attr-defined]
    ),
    "transaction": Target(decode_transaction, tuple(TRANSFERS), (InvalidTransaction,)),
}


def bend_bytes(body: bytes, choose: random.Random) -> bytes:
    """Flip, cut, insert, repeat."""
    data = bytearray(body)
    for _ in range(choose.randint(1, 3)):
        at = choose.randrange(len(data) + 1)
        match choose.randrange(6):
            case 0:
                data[at : at + 1] = bytes([choose.randrange(256)])
            case 1:
                del data[at:]
            case 2:
                data[at:at] = choose.randbytes(choose.randint(1, 9))
            case 3:
                del data[at : at + choose.randint(1, 40)]
            case 4:
                data[at:at] = data[at : at + 33] * choose.randint(1, 3)
            case 5:
                data[at : at + 1] = bytes([choose.choice((0x80, 0xB8, 0xBF, 0xC0, 0xF8, 0xFF))])
    return bytes(data)


def bend_tree(item: rlp.Decoded, choose: random.Random) -> rlp.Item:
    """Change one node of decoded RLP; what comes out is canonical again."""
    if isinstance(item, list) and item and choose.random() < 0.8:
        at = choose.randrange(len(item))
        return [*item[:at], bend_tree(item[at], choose), *item[at + 1 :]]
    match choose.randrange(7):
        case 0:
            return b""
        case 1:
            return []
        case 2:
            return choose.randbytes(choose.choice((1, 4, 8, 20, 32, 65, 300)))
        case 3:
            return [item, item]
        case 4:
            return b"\xff" * choose.choice((1, 8, 9, 32))
        case 5:
            return item[: len(item) // 2]
        case _:
            return [item] if isinstance(item, bytes) else [part for part in item for _ in "ab"]


def damaged(target: Target, choose: random.Random) -> bytes:
    body = choose.choice(target.seeds)
    kind = choose.random()
    if kind < 0.05:
        return body
    if kind < 0.15:
        return choose.randbytes(choose.randint(0, 200))
    if kind < 0.6:
        return bend_bytes(body, choose)
    try:
        return rlp.encode(bend_tree(rlp.decode(body), choose))
    except rlp.RlpError:  # a body that is no RLP
        return bend_bytes(body, choose)


def fuzz(target: Target, inputs: int, seed: int) -> tuple[int, int]:
    """Accepted and refused inputs; anything but a typed error surfaces."""
    choose = random.Random(seed)
    accepted = 0
    for _ in range(inputs):
        body = damaged(target, choose)
        try:
            value = target.decode(body)
        except target.errors:
            continue
        accepted += 1
        if target.encode is not None:
            assert target.encode(value) == body
    return accepted, inputs - accepted


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_messages_are_typed_errors(name: str) -> None:
    accepted, refused = fuzz(TARGETS[name], FAST, 11)
    assert accepted > FAST // 50
    assert refused > FAST // 5


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.parametrize("name", TARGETS)
def test_two_hundred_thousand_damaged_messages(name: str) -> None:
    accepted, refused = fuzz(TARGETS[name], LONG, 12)
    assert accepted > LONG // 50
    assert refused > LONG // 5
