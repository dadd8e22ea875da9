import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.certificate import CommitCertificate, decode_certificate
from chain.errors import InvalidSeal
from chain.extra_data import commit_hash, parse_extra_data, sealed_extra_data, unseal
from chain.header import decode_header
from chain.seals import quorum, seal_author, verify_certificate
from chain.signatures import ORDER
from tests.chain import records

VALIDATORS = [records.account(number) for number in range(4)]
HEADER = records.header(number=3)


def test_quorum_is_more_than_two_thirds() -> None:
    assert [quorum(n) for n in range(1, 11)] == [1, 2, 2, 3, 4, 4, 5, 6, 6, 7]
    for n in range(1, 200):
        f = (n - 1) // 3
        assert 2 * quorum(n) - n > f  # two quorums share an honest member
        assert quorum(n) <= n - f  # the honest ones suffice


@given(st.permutations(range(4)), st.integers(3, 4), st.integers(0, 9))
def test_any_quorum_in_any_order_and_round(order: list[int], count: int, round: int) -> None:
    certificate = records.certificate(HEADER, order[:count], round)
    verify_certificate(HEADER, certificate, VALIDATORS)
    assert {seal_author(commit_hash(HEADER, round), seal) for seal in certificate.seals} == {
        VALIDATORS[number] for number in order[:count]
    }


def refuse(certificate: CommitCertificate, text: str, validators: list[bytes] = VALIDATORS) -> None:
    with pytest.raises(InvalidSeal, match=text):
        verify_certificate(HEADER, certificate, validators)


def test_too_few() -> None:
    refuse(records.certificate(HEADER, [0, 1]), "2 seals, want 3 of 4 validators")
    refuse(CommitCertificate(0, ()), "0 seals, want 3 of 4")


def test_duplicate() -> None:
    refuse(records.certificate(HEADER, [0, 1, 1]), f"two seals of 0x{VALIDATORS[1].hex()}")
    refuse(records.certificate(HEADER, [0, 1, 2, 2]), "two seals of")


def test_non_member() -> None:
    stranger = records.account(9).hex()
    refuse(records.certificate(HEADER, [0, 1, 2, 9]), f"seal of 0x{stranger}, who is no validator")


def test_seal_of_another_round_or_header() -> None:
    seals = records.certificate(HEADER, [0, 1, 2], round=1).seals
    refuse(CommitCertificate(0, seals), "who is no validator")
    other = records.certificate(records.header(number=4), [0, 1, 2]).seals
    refuse(CommitCertificate(0, other), "who is no validator")


def test_twice_listed_validator_does_not_lower_the_quorum() -> None:
    refuse(
        records.certificate(HEADER, [0, 1]), "2 seals, want 3 of 4", [*VALIDATORS, VALIDATORS[0]]
    )


def test_no_validators() -> None:
    refuse(records.certificate(HEADER, [0]), "no validators", [])


def test_malformed_seals() -> None:
    digest = commit_hash(HEADER, 0)
    (seal,) = records.certificate(HEADER, [0]).seals
    r, s, v = seal[:32], seal[32:64], seal[64]
    high_s = (ORDER - int.from_bytes(s, "big")).to_bytes(32, "big")
    for bad, text in [
        (seal[:64], "64 bytes, want 65"),
        (seal + b"\0", "66 bytes, want 65"),
        (r + s + bytes((v + 27,)), "y parity 2[78], want 0 or 1"),
        (r + high_s + bytes((1 - v,)), "s out of range or high"),
        (bytes(32) + s + bytes((v,)), "r out of range"),
        (r + bytes(32) + bytes((v,)), "s out of range"),
        (ORDER.to_bytes(32, "big") + s + bytes((v,)), "r out of range"),
        ((5).to_bytes(32, "big") + s + bytes((v,)), "no public key"),
    ]:
        with pytest.raises(InvalidSeal, match=text):
            seal_author(digest, bad)


def test_vectors() -> None:
    """The contract for a second implementation: docs/spec/header-and-seals.md."""
    file = Path(__file__).parents[1] / "vectors" / "header-and-seals.json"
    vectors = json.loads(file.read_text())
    header = decode_header(unhex(vectors["chain"]["rlp"]))
    assert header.hash == unhex(vectors["chain"]["hash"])
    assert header.extra_data == unhex(vectors["chain"]["extraData"])
    assert parse_extra_data(header.extra_data).vanity == unhex(vectors["vanity"])
    for vector in vectors["rounds"]:
        certificate = decode_certificate(unhex(vector["certificate"]))
        digest = unhex(vector["commitHash"])
        assert commit_hash(header, vector["round"]) == digest
        assert certificate.round == vector["round"]
        assert certificate.seals == tuple(unhex(seal) for seal in vector["seals"])
        authors = [unhex(author) for author in vector["authors"]]
        assert [seal_author(digest, seal) for seal in certificate.seals] == authors
        sealed = sealed_extra_data(header, certificate)
        assert sealed == unhex(vector["sealedExtraData"])
        assert unseal(replace(header, extra_data=sealed)) == (header, certificate)
        verify_certificate(header, certificate, authors)


def unhex(text: str) -> bytes:
    return bytes.fromhex(text[2:])
