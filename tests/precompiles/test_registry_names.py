"""Repositories, releases, references and aliases."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genesis.addresses import MODEL_REGISTRY
from precompiles.abi import decode, topic
from precompiles.hashing import keccak256
from precompiles.model.codec import encode_model
from precompiles.priced_state import free_words
from precompiles.repositories import (
    alias_slot,
    find_model,
    format_cid,
    parse_cid,
    repository_id,
)
from tests.precompiles.native_calls import (
    ALICE,
    AUTHORITY,
    BOB,
    SMALL,
    SMALL_ID,
    Chain,
    small_model,
)

CREATE = "createRepository(string,string)"
RELEASE = "release(bytes32,string,bytes32,string)"
RESOLVE = "resolve(string)"
ALIAS = "setAlias(string,bytes32)"
DEPRECATE = "setDeprecated(bytes32,uint32,bool)"
TRANSFER = "transferRepository(bytes32,address)"

OTHER = encode_model(replace(small_model(), inputs=(replace(small_model().inputs[0], name="x"),)))
OTHER_ID = keccak256(OTHER)
REPO = repository_id(ALICE, "digits")
OWNER = "0x" + ALICE.hex()


@pytest.fixture
def chain() -> Chain:
    chain = Chain()
    chain.publish(SMALL)
    chain.publish(OTHER)
    assert chain.registry(CREATE, "digits", "reads digits").values("bytes32") == (REPO,)
    assert chain.registry(RELEASE, REPO, "1.0", SMALL_ID, "first").values("uint32") == (0,)
    assert chain.registry(RELEASE, REPO, "1.2", OTHER_ID, "better").values("uint32") == (1,)
    return chain


def failure(chain: Chain, signature: str, *arguments: object, caller: bytes = ALICE) -> tuple:  # type: ignore[type-arg]
    before = chain.state.snapshot()
    outcome = chain.registry(signature, *arguments, caller=caller)
    assert chain.state == before
    assert outcome.error is not None
    return (outcome.error.partition("(")[0], *outcome.arguments())


def resolved(chain: Chain, reference: str) -> bytes:
    model_id: bytes
    (model_id,) = chain.registry(RESOLVE, reference, static=True).values("bytes32")
    return model_id


def test_a_repository_is_named_by_its_creator_for_ever() -> None:
    assert repository_id(ALICE, "digits") == keccak256(ALICE + b"digits")
    assert repository_id(BOB, "digits") != REPO


def test_references(chain: Chain) -> None:
    assert resolved(chain, f"{OWNER}/digits") == OTHER_ID
    assert resolved(chain, f"{OWNER.upper().replace('X', 'x')}/digits@1.0") == SMALL_ID
    assert resolved(chain, f"{OWNER}/digits@1.2") == OTHER_ID
    assert resolved(chain, "0x" + SMALL_ID.hex()) == SMALL_ID
    assert resolved(chain, format_cid(SMALL_ID)) == SMALL_ID


@pytest.mark.parametrize(
    "reference",
    [
        "",
        "digits",
        "0x" + "00" * 32,
        "0x12",
        f"{OWNER}/other",
        f"{OWNER}/digits@2",
        f"{OWNER}/digits@",
        f"{OWNER}/digits@1.0@1.0",
        f"{OWNER}/Digits",
        f"{OWNER}/digits@é",
        f"{OWNER}/é",
        "0x" + BOB.hex() + "/digits",
        "alice/digits",
        format_cid(bytes(32)),
        "a\nb",
        "é",
    ],
)
def test_unknown_references(chain: Chain, reference: str) -> None:
    assert failure(chain, RESOLVE, reference) == ("UnknownModel", reference)


def test_a_reference_has_a_limit(chain: Chain) -> None:
    assert failure(chain, RESOLVE, "a" * 256) == ("UnknownModel", "a" * 256)
    assert failure(chain, RESOLVE, "a" * 257) == ("TextTooLong", 257, 256)


@given(st.text(max_size=80))
def test_any_text_is_resolved_or_not(reference: str) -> None:
    assert find_model(free_words(Chain().state), reference) is None


def test_events(chain: Chain) -> None:
    created = chain.registry(CREATE, "b", "text", caller=BOB).logs[0]
    repo = repository_id(BOB, "b")
    assert created[0] == (
        topic("RepositoryCreated(bytes32,address,string,string)"),
        repo,
        BOB.rjust(32, b"\0"),
    )
    assert decode(("string", "string"), created[1]) == ("b", "text")
    released = chain.registry(RELEASE, repo, "1", SMALL_ID, "né", caller=BOB).logs[0]
    assert released[0][1:] == (repo, bytes(32), SMALL_ID)
    assert decode(("string", "string"), released[1]) == ("1", "né")
    moved = chain.registry(TRANSFER, repo, ALICE, caller=BOB).logs[0]
    assert moved[0][1:] == (repo, BOB.rjust(32, b"\0"), ALICE.rjust(32, b"\0"))
    deprecated = chain.registry(DEPRECATE, repo, 0, True).logs[0]
    assert deprecated[0][1:] == (repo, bytes(32))
    assert decode(("bool",), deprecated[1]) == (True,)
    named = chain.registry(ALIAS, "bafyold", SMALL_ID, caller=AUTHORITY).logs[0]
    assert named[0][1:] == (keccak256(b"bafyold"), SMALL_ID)
    assert decode(("string",), named[1]) == ("bafyold",)


def test_the_newest_release_that_is_not_deprecated(chain: Chain) -> None:
    chain.registry(DEPRECATE, REPO, 1, True).values("bool")
    assert resolved(chain, f"{OWNER}/digits") == SMALL_ID
    assert resolved(chain, f"{OWNER}/digits@1.2") == OTHER_ID
    chain.registry(DEPRECATE, REPO, 0, True)
    assert failure(chain, RESOLVE, f"{OWNER}/digits")[0] == "UnknownModel"
    chain.registry(DEPRECATE, REPO, 1, False)
    assert resolved(chain, f"{OWNER}/digits") == OTHER_ID
    assert failure(chain, DEPRECATE, REPO, 2, True) == ("ReleaseNotFound", REPO, 2)


def test_a_release_is_for_ever(chain: Chain) -> None:
    assert failure(chain, RELEASE, REPO, "1.0", OTHER_ID, "") == ("VersionExists", REPO, "1.0")
    unpublished = bytes([9] * 32)
    assert failure(chain, RELEASE, REPO, "3", unpublished, "") == ("ModelNotFound", unpublished)
    assert failure(chain, CREATE, "digits", "") == ("RepositoryExists", REPO)


def test_only_the_owner_changes_a_repository(chain: Chain) -> None:
    nothing = repository_id(BOB, "none")
    for signature, arguments in (
        (RELEASE, ("2", SMALL_ID, "")),
        (DEPRECATE, (0, True)),
        (TRANSFER, (BOB,)),
    ):
        refusal = failure(chain, signature, REPO, *arguments, caller=BOB)
        assert refusal == ("NotOwner", ALICE, BOB)
        assert failure(chain, signature, nothing, *arguments) == ("RepositoryNotFound", nothing)


def test_a_transfer_moves_the_right_and_keeps_the_name(chain: Chain) -> None:
    assert failure(chain, TRANSFER, REPO, bytes(20)) == ("ZeroAddress",)
    chain.registry(TRANSFER, REPO, BOB).values("bool")
    assert failure(chain, RELEASE, REPO, "2", SMALL_ID, "") == ("NotOwner", BOB, ALICE)
    assert chain.registry(RELEASE, REPO, "2", SMALL_ID, "", caller=BOB).values("uint32") == (2,)
    assert resolved(chain, f"{OWNER}/digits") == SMALL_ID
    assert failure(chain, CREATE, "digits", "") == ("RepositoryExists", REPO)


@pytest.mark.parametrize("name", ["", "A", "-a", "a b", "a/b", "a@b", "a" * 65, "é", "a\n"])
def test_names(chain: Chain, name: str) -> None:
    assert failure(chain, CREATE, name, "") == ("InvalidName", name)


@pytest.mark.parametrize("version", ["", ".1", "1/2", "1@2", "1 ", "1" * 33, "ü", "1\n"])
def test_versions(chain: Chain, version: str) -> None:
    assert failure(chain, RELEASE, REPO, version, SMALL_ID, "") == ("InvalidVersion", version)


def test_texts_have_limits(chain: Chain) -> None:
    assert failure(chain, CREATE, "x", "é" * 513) == ("TextTooLong", 1026, 1024)
    assert failure(chain, RELEASE, REPO, "3", SMALL_ID, "n" * 1025) == ("TextTooLong", 1025, 1024)


def test_aliases_are_write_once_and_set_by_the_authority(chain: Chain) -> None:
    alias = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"
    assert failure(chain, ALIAS, alias, SMALL_ID) == ("NotAliasAuthority", AUTHORITY, ALICE)
    chain.registry(ALIAS, alias, SMALL_ID, caller=AUTHORITY).values("bool")
    assert resolved(chain, alias) == SMALL_ID
    again = failure(chain, ALIAS, alias, OTHER_ID, caller=AUTHORITY)
    assert again == ("AliasExists", alias)
    unpublished = bytes([9] * 32)
    refusal = failure(chain, ALIAS, "new", unpublished, caller=AUTHORITY)
    assert refusal == ("ModelNotFound", unpublished)


@pytest.mark.parametrize(
    "alias", ["", "a b", "a/b", "é", "0x" + "11" * 32, format_cid(OTHER_ID), "a\n"]
)
def test_an_alias_never_shadows_another_reference(chain: Chain, alias: str) -> None:
    assert failure(chain, ALIAS, alias, SMALL_ID, caller=AUTHORITY) == ("InvalidAlias", alias)


def test_without_an_authority_nobody_sets_aliases() -> None:
    chain = Chain()
    chain.state.set_storage(MODEL_REGISTRY, 0, 0)
    assert failure(chain, ALIAS, "a", SMALL_ID) == ("NotAliasAuthority", bytes(20), ALICE)


def test_an_alias_of_genesis_counts_once_its_model_is_published() -> None:
    chain = Chain()
    chain.state.set_storage(
        MODEL_REGISTRY, alias_slot("from-genesis"), int.from_bytes(SMALL_ID, "big")
    )
    assert failure(chain, RESOLVE, "from-genesis")[0] == "UnknownModel"
    chain.publish(SMALL)
    assert resolved(chain, "from-genesis") == SMALL_ID


def test_the_cid_of_nothing() -> None:
    cid = "bafkrwigf2jdadbxxem6je7t5wlomoa6a4ualmu6kqittw6723acf3bneoa"
    assert format_cid(keccak256(b"")) == cid
    assert parse_cid(cid) == keccak256(b"")


@given(st.binary(min_size=32, max_size=32))
def test_cids_are_canonical(model_id: bytes) -> None:
    cid = format_cid(model_id)
    assert len(cid) == 59
    assert parse_cid(cid) == model_id
    assert parse_cid(cid.upper()) is None
    assert parse_cid(cid[:-1] + "b") is None  # trailing bits that mean nothing
