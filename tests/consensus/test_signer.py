"""The signer: never back, never two digests for one step, never two processes."""

import errno
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.seals import seal_author
from consensus.codec import decode_message, encode_message
from consensus.core.messages import (
    CommitPayload,
    Draft,
    PreparePayload,
    ProposalPayload,
    RoundChangePayload,
)
from consensus.errors import SignerError, SigningRefused
from consensus.signer import Signer
from tests.consensus.votes import BLOCK, BY_ADDRESS, OTHER, VALIDATORS
from tests.sim.world import DOMAIN, digest_of

KEY = BY_ADDRESS[VALIDATORS[0]]


def drafts(height: int, round_number: int, fork: int = 0) -> list[Draft]:
    """The four steps of a round in order; ``fork`` makes them differ."""
    block = (BLOCK, OTHER)[fork]
    digest = digest_of(block.encoded, round_number)
    return [
        Draft(RoundChangePayload(height, round_number, None)),
        Draft(ProposalPayload(height, round_number, block)),
        Draft(PreparePayload(height, round_number, digest)),
        Draft(CommitPayload(height, round_number, digest)),
    ]


@pytest.fixture
def signer(tmp_path: Path) -> Iterator[Signer]:
    with Signer(tmp_path / "signer.json", KEY, DOMAIN) as signer:
        yield signer


def test_what_it_signs_decodes_and_seals(signer: Signer) -> None:
    for draft in drafts(1, 1):
        message = signer.sign(draft)
        code, body = encode_message(message)
        assert decode_message(code, body, DOMAIN, VALIDATORS.__contains__) == message
        if isinstance(message.signed.payload, CommitPayload):
            payload = message.signed.payload
            assert seal_author(payload.digest, payload.seal) == signer.address


def test_the_same_request_gets_the_same_signature(signer: Signer) -> None:
    for draft in drafts(3, 2):
        assert signer.sign(draft) == signer.sign(draft)


STEPS = st.tuples(st.integers(1, 3), st.integers(0, 3), st.integers(0, 3), st.integers(0, 1))


@given(st.lists(STEPS, max_size=12))
def test_any_order_of_requests_signs_one_digest_per_step(
    tmp_path_factory: pytest.TempPathFactory, requests: list[tuple[int, int, int, int]]
) -> None:
    """Also over restarts: the signer is opened anew for every request."""
    path = tmp_path_factory.mktemp("signer") / "signer.json"
    signed: dict[tuple[int, int, int], bytes] = {}
    for height, round_number, step, fork in requests:
        draft = drafts(height, round_number, fork)[step]
        digest = DOMAIN.digest(draft.payload) if step != 3 else draft.payload.digest  # type: ignore[union-attr]
        place = (height, round_number, step)
        may = not signed or place > max(signed) or (place == max(signed) == place)
        may = may and signed.get(place, digest) == digest
        with Signer(path, KEY, DOMAIN, lambda _: None) as signer:
            if may:
                signer.sign(draft)
                signed[place] = digest
            else:
                with pytest.raises(SigningRefused):
                    signer.sign(draft)


def test_refusals_say_both_steps(signer: Signer) -> None:
    signer.sign(drafts(5, 1)[2])
    with pytest.raises(SigningRefused, match=r"PREPARE \(5, 1\): 0x.* is signed already"):
        signer.sign(drafts(5, 1, fork=1)[2])
    with pytest.raises(SigningRefused, match=r"PROPOSAL \(5, 1\) is behind .* PREPARE \(5, 1\)"):
        signer.sign(drafts(5, 1)[1])
    with pytest.raises(SigningRefused, match=r"COMMIT \(4, 9\) is behind"):
        signer.sign(drafts(4, 9)[3])


def test_a_second_process_is_refused(signer: Signer, tmp_path: Path) -> None:
    with pytest.raises(SignerError, match="another process votes with this key"):
        Signer(tmp_path / "signer.json", KEY, DOMAIN)


@pytest.mark.parametrize(
    "damage",
    [
        lambda fields: b"",
        lambda fields: b"{",
        lambda fields: b"[]",
        lambda fields: json.dumps(fields | {"height": "5"}).encode(),
        lambda fields: json.dumps(fields | {"step": "VOTE"}).encode(),
        lambda fields: json.dumps(fields | {"digest": "0x12"}).encode(),
        lambda fields: json.dumps({**fields, "round": True}).encode(),
        lambda fields: json.dumps({"height": 1}).encode(),
    ],
)
def test_a_damaged_file_stops_the_start(tmp_path: Path, damage) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "signer.json"
    with Signer(path, KEY, DOMAIN) as signer:
        signer.sign(drafts(5, 1)[2])
    path.write_bytes(damage(json.loads(path.read_text())))
    with pytest.raises(SignerError, match="is damaged"):
        Signer(path, KEY, DOMAIN)


def test_a_flipped_bit_anywhere_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "signer.json"
    with Signer(path, KEY, DOMAIN) as signer:
        signer.sign(drafts(5, 1)[3])
    data = path.read_bytes()
    for at in range(len(data)):
        damaged = bytearray(data)
        damaged[at] ^= 1 << at % 8
        path.write_bytes(damaged)
        with pytest.raises(SignerError, match="is damaged"):
            Signer(path, KEY, DOMAIN)


def test_a_torn_write_at_any_byte_leaves_the_last_signature(tmp_path: Path) -> None:
    """The new content is in a file of its own until it is synced."""
    path = tmp_path / "signer.json"
    with Signer(path, KEY, DOMAIN) as signer:
        signer.sign(drafts(5, 1)[2])
        data = path.read_bytes()
    for cut in range(len(data)):
        path.with_name("signer.json.new").write_bytes(data[:cut])
        with Signer(path, KEY, DOMAIN) as signer:
            assert signer.last is not None
            assert (signer.last.height, signer.last.round) == (5, 1)
    with Signer(path, KEY, DOMAIN) as signer:
        signer.sign(drafts(5, 1)[3])
    with Signer(path, KEY, DOMAIN) as signer:
        assert signer.last is not None
        assert signer.last.locked == (5, 1)


def test_a_file_of_another_key_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "signer.json"
    with Signer(path, KEY, DOMAIN) as signer:
        signer.sign(drafts(5, 1)[2])
    with pytest.raises(SignerError, match=r"is of 0x.*, this key is 0x"):
        Signer(path, BY_ADDRESS[VALIDATORS[1]], DOMAIN)


def test_a_full_disk_signs_nothing(tmp_path: Path) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "signer.json"
    with Signer(path, KEY, DOMAIN) as signer:
        signer.sign(drafts(5, 1)[2])
    before = path.read_bytes()
    with Signer(path, KEY, DOMAIN, full) as signer:
        with pytest.raises(SignerError, match="No space left"):
            signer.sign(drafts(6, 0)[1])
        assert signer.last is not None
        assert signer.last.height == 5
    assert path.read_bytes() == before
