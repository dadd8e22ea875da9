"""Frames: limits before decoding, canonical bodies, plain limits."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.network import wire
from consensus.network.admission import Candidate, origin, refusal, survives
from consensus.network.errors import FrameError
from consensus.network.limits import BAN_SECONDS, Penalty, RecentSet, Score, TokenBucket
from consensus.network.standing import ATTEMPTS_BURST, MAX_REMEMBERED, Standing
from consensus.network.wire import BlockRange, BlockRequest, SealedBlock, Status

NUMBERS = st.integers(0, 2**64 - 1)
HASHES = st.binary(min_size=32, max_size=32)
SEALED = st.builds(SealedBlock, st.binary(max_size=64), st.binary(max_size=64))


@given(st.builds(Status, NUMBERS, HASHES))
def test_status_round_trip(status: Status) -> None:
    assert wire.decode_status(wire.encode_status(status)) == status


@given(SEALED)
def test_sealed_block_round_trip(sealed: SealedBlock) -> None:
    assert wire.decode_sealed(wire.encode_sealed(sealed)) == sealed


@given(st.builds(BlockRequest, NUMBERS, NUMBERS, st.integers(1, 64)))
def test_block_request_round_trip(request: BlockRequest) -> None:
    assert wire.decode_block_request(wire.encode_block_request(request)) == request


@given(st.builds(BlockRange, NUMBERS, st.lists(SEALED, max_size=5).map(tuple)))
def test_block_range_round_trip(answer: BlockRange) -> None:
    assert wire.decode_block_range(wire.encode_block_range(answer)) == answer


@given(st.lists(HASHES, min_size=1, max_size=9))
def test_hashes_round_trip(hashes: list[bytes]) -> None:
    assert wire.decode_hashes(wire.encode_hashes(hashes)) == hashes


@given(st.binary(max_size=200))
def test_any_bytes_decode_or_are_typed(body: bytes) -> None:
    for decode in (
        wire.decode_status,
        wire.decode_sealed,
        wire.decode_block_request,
        wire.decode_block_range,
        wire.decode_hashes,
        wire.decode_transactions,
        wire.split_frame,
    ):
        try:
            decode(body)
        except FrameError:
            continue


def test_limits_hold_on_raw_bytes() -> None:
    for code, limit in wire.LIMITS.items():
        frame = bytes([code]) + bytes(limit)
        assert wire.split_frame(frame) == (code, bytes(limit))
        with pytest.raises(FrameError, match=f"limit is {limit}"):
            wire.split_frame(frame + b"\0")
        with pytest.raises(FrameError, match=f"limit is {limit}"):
            wire.encode_frame(code, bytes(limit + 1))
    with pytest.raises(FrameError, match="unknown code 0x7f"):
        wire.split_frame(b"\x7f")
    with pytest.raises(FrameError, match="empty"):
        wire.split_frame(b"")


def test_requests_outside_the_range_are_refused() -> None:
    for count in (0, 65):
        with pytest.raises(FrameError, match="64"):
            wire.decode_block_request(wire.encode_block_request(BlockRequest(1, 1, count)))
    with pytest.raises(FrameError):
        wire.decode_transactions(wire.encode_transactions([b"x" * (wire.MAX_TRANSACTION + 1)]))
    with pytest.raises(FrameError):
        wire.decode_transactions(wire.encode_transactions([b"x"] * (wire.MAX_REQUESTED + 1)))
    with pytest.raises(FrameError):
        wire.decode_transactions(wire.encode_transactions([b""]))
    sealed = [SealedBlock(b"block", b"\xc0")] * 65
    with pytest.raises(FrameError, match="at most 64 items"):
        wire.decode_block_range(wire.encode_block_range(BlockRange(1, tuple(sealed))))
    fat = SealedBlock(b"block", bytes(wire.MAX_CERTIFICATE + 1))
    with pytest.raises(FrameError, match="certificate of 16385 bytes"):
        wire.decode_sealed(wire.encode_sealed(fat))


def test_token_bucket_refills_with_time() -> None:
    bucket = TokenBucket(rate=2.0, burst=3.0, now=10.0)
    assert [bucket.take(10.0) for _ in range(4)] == [True, True, True, False]
    assert bucket.take(10.5)
    assert not bucket.take(10.5)
    assert bucket.available(99.0) == 3.0
    assert not bucket.take(99.0, 4.0)


def test_score_bans_at_one_hundred_and_recovers() -> None:
    assert Score().penalize(0.0, Penalty.INVALID_BLOCK)
    score = Score()
    assert not score.penalize(0.0, Penalty.BAD_SIGNATURE)
    assert not score.penalize(10.0, Penalty.BAD_SIGNATURE)
    assert score.points == -90.0
    assert not score.penalize(1000.0, Penalty.SPAM)
    assert score.points == -10.0


def test_recent_set_forgets_the_oldest() -> None:
    recent = RecentSet(2)
    assert [recent.add(item) for item in (b"a", b"b", b"a", b"c")] == [True, True, False, True]
    assert b"a" not in recent
    assert b"b" in recent
    assert len(recent) == 2


def candidate(tail: int, *, outbound: bool, instance: bytes = b"i", host: str = "h") -> Candidate:
    return Candidate(bytes([tail]) * 20, instance, host, outbound)


def test_simultaneous_dials_keep_the_same_connection_on_both_sides() -> None:
    low, high = b"\x01" * 20, b"\x02" * 20
    at_low = {out: Candidate(high, b"h", "h", out) for out in (True, False)}
    at_high = {out: Candidate(low, b"l", "h", out) for out in (True, False)}
    # the connection that `low` dialled: outbound at low, inbound at high
    assert survives(at_low[True], at_low[False], low)
    assert not survives(at_low[False], at_low[True], low)
    assert survives(at_high[False], at_high[True], high)
    assert not survives(at_high[True], at_high[False], high)


def test_a_restarted_peer_replaces_its_old_connection() -> None:
    old = candidate(2, outbound=True)
    assert survives(candidate(2, outbound=False, instance=b"new"), old, b"\x01" * 20)
    assert survives(candidate(2, outbound=True), old, b"\x03" * 20)


def test_room_is_limited_per_subnet() -> None:
    public = [candidate(n, outbound=n == 1, host=f"8.8.8.{n}") for n in range(1, 4)]
    for outbound in (True, False):
        ninth = candidate(9, outbound=outbound, host="8.8.8.9")
        assert refusal(ninth, public, 50) == "too many peers from 8.8.8.0/24 (3 of 3)"
        assert refusal(replace(ninth, configured=True), public, 50) == ""
        assert refusal(replace(ninth, host="::ffff:8.8.8.9"), public, 50)
        assert refusal(replace(ninth, host="8.8.9.9"), public, 50) == ""
        assert refusal(ninth, public[1:], 50) == ""
    validators = [replace(peer, configured=True) for peer in public]
    assert refusal(candidate(9, outbound=False, host="8.8.8.9"), validators, 50) == ""
    assert refusal(candidate(1, outbound=False, host="8.8.8.1"), public, 50) == ""
    six = [candidate(n, outbound=False, host=f"2a00:1:2:4{n}::1") for n in range(1, 4)]
    assert "2a00:1:2::/56" in refusal(candidate(9, outbound=False, host="2a00:1:2:ff::"), six, 50)
    assert refusal(candidate(9, outbound=False, host="2a00:1:2:100::"), six, 50) == ""
    local = [candidate(n, outbound=False, host="127.0.0.1") for n in range(1, 9)]
    assert refusal(candidate(9, outbound=False, host="127.0.0.1"), local, 50) == ""


def test_room_is_limited_in_all_and_a_third_is_kept_for_those_we_choose() -> None:
    inbound = [candidate(n, outbound=False) for n in range(1, 5)]
    assert "dialled us (4 of 4)" in refusal(candidate(9, outbound=False), inbound, 6)
    assert refusal(candidate(9, outbound=False), inbound, 7) == ""
    assert refusal(candidate(9, outbound=True), inbound, 6) == ""
    assert refusal(candidate(1, outbound=False), inbound, 6) == ""
    dialled = [candidate(n, outbound=True) for n in range(5, 7)]
    assert "too many peers (6 of 6)" in refusal(candidate(9, outbound=True), inbound + dialled, 6)


def test_bans_outlive_the_connection_and_cover_the_address() -> None:
    standing = Standing()
    nasty = b"\x01" * 20
    assert not standing.penalize(nasty, Penalty.BAD_SIGNATURE, 0.0)
    assert standing.score(nasty, 20.0) == -30.0
    assert standing.score(nasty, 60.0) == 0.0
    assert standing.penalize(nasty, Penalty.INVALID_BLOCK, 60.0)
    standing.ban(nasty, "8.8.8.8", 60.0)
    for key in (nasty, "8.8.8.8"):
        assert standing.banned_for(key, 61.0) == BAN_SECONDS - 1
        assert standing.banned_for(key, 60.0 + BAN_SECONDS) == 0.0
    standing.ban(nasty, None, 1000.0)
    assert standing.banned_for(nasty, 1001.0)
    assert not standing.banned_for("8.8.8.8", 1001.0)


def test_who_is_behind_an_address() -> None:
    assert origin("8.8.8.8") == origin("::ffff:8.8.8.8") == "8.8.8.8"
    assert origin("2a00:1:2:4::1") == origin("2a00:1:2:7f::9") == "2a00:1:2::/56"
    assert origin("2a00:1:2:100::") != origin("2a00:1:2:ff::")
    assert origin("::1") == "::1"
    assert origin("name") == "name"


def test_strangers_cannot_fill_the_tables() -> None:
    standing = Standing()
    for number in range(MAX_REMEMBERED + 50):
        node_id = number.to_bytes(20, "big")
        standing.penalize(node_id, Penalty.SPAM, 0.0)
        standing.ban(node_id, None, 0.0)
        standing.may_connect(f"host {number}", 0.0)
    sizes = {name: len(table) for name, table in vars(standing).items()}
    assert set(sizes.values()) == {MAX_REMEMBERED}
    assert standing.banned_for((MAX_REMEMBERED + 49).to_bytes(20, "big"), 1.0)


def test_an_address_may_not_connect_without_end() -> None:
    standing = Standing()
    allowed = sum(standing.may_connect("8.8.8.8", 0.0) for _ in range(200))
    assert allowed == ATTEMPTS_BURST
    assert standing.may_connect("9.9.9.9", 0.0)
    assert standing.may_connect("8.8.8.8", 1.0)
