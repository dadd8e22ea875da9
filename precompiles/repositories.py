"""Names for model ids: repositories with releases, and aliases.

A repository is named by its creator's address and a name, for ever; its owner, who may release, can
change. Descriptions and notes live in events alone. Storage: docs/spec/models-as-state.md.
"""

import re
from base64 import b32decode, b32encode
from binascii import Error as Base32Error
from dataclasses import dataclass
from typing import Any, Final

from precompiles.context import Call
from precompiles.dispatch import Function
from precompiles.errors import PrecompileRevert
from precompiles.hashing import keccak256
from precompiles.model_records import PUBLISHED, read_record
from precompiles.priced_state import Words, emit, mapping_slot, priced_words, write_word

ALIAS_AUTHORITY_SLOT: Final = 0
REPOSITORIES_SLOT: Final = 2
ALIASES_SLOT: Final = 3

MAX_TEXT: Final = 1024
MAX_REFERENCE: Final = 256

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)
_VERSION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,31}", re.ASCII)
_ID: Final = re.compile(r"0x([0-9a-fA-F]{64})", re.ASCII)
_RELEASE: Final = re.compile(r"0x([0-9a-fA-F]{40})/([^/@]+)(?:@([^/@]+))?", re.ASCII)
_ALIAS: Final = re.compile(r"[!-.0-~]{1,256}", re.ASCII)  # printable, no blank, no slash

_CID_HEAD: Final = bytes.fromhex("01551b20")  # CIDv1, raw, keccak-256, 32 bytes
_CID_LENGTH: Final = 59


@dataclass(frozen=True, slots=True)
class Repository:
    """One word: owner (0 when there is none) and number of releases."""

    repo: bytes
    owner: bytes
    releases: int

    @property
    def slot(self) -> int:
        """Word 0: owner and count; +1: mapping of releases; +2: mapping of versions."""
        return mapping_slot(self.repo, REPOSITORIES_SLOT)

    @property
    def word(self) -> int:
        """The stored word."""
        return int.from_bytes(self.owner, "big") | self.releases << 160


def repository_id(creator: bytes, name: str) -> bytes:
    """``keccak256(creator ‖ name)``: 20 bytes and 1 to 64 bytes of ASCII."""
    return keccak256(creator + name.encode("ascii"))


def parse_cid(text: str) -> bytes | None:
    """Model id of a canonical CIDv1 (base32, raw codec, keccak-256); None for any other text."""
    if len(text) != _CID_LENGTH or not text.startswith("b") or not text.isascii():
        return None
    try:
        data = b32decode(text[1:].upper() + "======")
    except Base32Error:
        return None
    is_canonical = format_cid(data[4:]) == text
    return data[4:] if data[:4] == _CID_HEAD and is_canonical else None


def format_cid(model_id: bytes) -> str:
    """CIDv1 of a model id: 59 characters."""
    return "b" + b32encode(_CID_HEAD + model_id).decode("ascii").rstrip("=").lower()


def find_model(words: Words, reference: str) -> bytes | None:
    """Id of the published model that a reference means, or None.

    Args:
        words: reader of the registry's storage.
        reference: at most 256 characters; see IModelRegistry.resolve.
    """
    model_id = _referenced(words, reference)
    if model_id is None or read_record(words, model_id, (0,)).status != PUBLISHED:
        return None
    return model_id


def alias_slot(alias: str) -> int:
    """Slot of an alias's model id; genesis files may set it."""
    return mapping_slot(keccak256(alias.encode("ascii")), ALIASES_SLOT)


def _referenced(words: Words, reference: str) -> bytes | None:
    match = _ID.fullmatch(reference)
    if match:
        return bytes.fromhex(match[1])
    from_cid = parse_cid(reference)
    if from_cid is not None:
        return from_cid
    match = _RELEASE.fullmatch(reference)
    if match:
        return _released(words, repository_id_of(match[1], match[2]), match[3])
    if _ALIAS.fullmatch(reference) is None:
        return None
    return _id_or_none(words(alias_slot(reference)))


def repository_id_of(creator_hex: str, name: str) -> bytes | None:
    """Repository of a parsed reference; None when no repository can have this name."""
    if _NAME.fullmatch(name) is None:
        return None
    return repository_id(bytes.fromhex(creator_hex), name)


def _released(words: Words, repo: bytes | None, version: str | None) -> bytes | None:
    if repo is None:
        return None
    repository = _read(words, repo)
    if version is not None:
        if _VERSION.fullmatch(version) is None:
            return None
        index = words(_version_slot(repository, version)) - 1
        return _id_or_none(words(_release_slot(repository, index))) if index >= 0 else None
    for index in reversed(range(repository.releases)):
        slot = _release_slot(repository, index)
        if words(slot + 1) == 0:
            return _id_or_none(words(slot))
    return None


def _id_or_none(word: int) -> bytes | None:
    return word.to_bytes(32, "big") if word else None


def _read(words: Words, repo: bytes) -> Repository:
    word = words(mapping_slot(repo, REPOSITORIES_SLOT))
    owner = (word & ((1 << 160) - 1)).to_bytes(20, "big")
    return Repository(repo, owner, word >> 160)


def _release_slot(repository: Repository, index: int) -> int:
    """Two words: model id; 1 when deprecated."""
    return mapping_slot(index.to_bytes(32, "big"), repository.slot + 1)


def _version_slot(repository: Repository, version: str) -> int:
    """One word: index of the release + 1."""
    return mapping_slot(keccak256(version.encode("ascii")), repository.slot + 2)


def _owned(call: Call, repo: bytes) -> Repository:
    """A repository of the caller."""
    repository = _read(priced_words(call), repo)
    if not any(repository.owner):
        raise PrecompileRevert("RepositoryNotFound(bytes32)", (repo,))
    if repository.owner != call.caller:
        raise PrecompileRevert("NotOwner(address,address)", (repository.owner, call.caller))
    return repository


def _check_text(text: str, limit: int) -> None:
    length = len(text.encode("utf-8"))
    if length > limit:
        raise PrecompileRevert("TextTooLong(uint256,uint256)", (length, limit))


def _address_topic(address: bytes) -> bytes:
    return address.rjust(32, b"\0")


def _create_repository(call: Call, name: str, description: str) -> tuple[Any, ...]:
    _check_text(name, MAX_TEXT)
    _check_text(description, MAX_TEXT)
    if _NAME.fullmatch(name) is None:
        raise PrecompileRevert("InvalidName(string)", (name,))
    repo = repository_id(call.caller, name)
    if any(_read(priced_words(call), repo).owner):
        raise PrecompileRevert("RepositoryExists(bytes32)", (repo,))
    repository = Repository(repo, call.caller, 0)
    write_word(call, repository.slot, repository.word)
    emit(
        call,
        "RepositoryCreated(bytes32,address,string,string)",
        [repo, _address_topic(call.caller)],
        ("string", "string"),
        (name, description),
    )
    return (repo,)


def _release(call: Call, repo: bytes, version: str, model_id: bytes, notes: str) -> tuple[Any, ...]:
    _check_text(version, MAX_TEXT)
    _check_text(notes, MAX_TEXT)
    if _VERSION.fullmatch(version) is None:
        raise PrecompileRevert("InvalidVersion(string)", (version,))
    repository = _owned(call, repo)
    words = priced_words(call)
    if read_record(words, model_id, (0,)).status != PUBLISHED:
        raise PrecompileRevert("ModelNotFound(bytes32)", (model_id,))
    if words(_version_slot(repository, version)):
        raise PrecompileRevert("VersionExists(bytes32,string)", (repo, version))
    index = repository.releases
    write_word(call, _release_slot(repository, index), int.from_bytes(model_id, "big"))
    write_word(call, _version_slot(repository, version), index + 1)
    write_word(call, repository.slot, Repository(repo, repository.owner, index + 1).word)
    emit(
        call,
        "Released(bytes32,uint32,bytes32,string,string)",
        [repo, index.to_bytes(32, "big"), model_id],
        ("string", "string"),
        (version, notes),
    )
    return (index,)


def _resolve(call: Call, reference: str) -> tuple[Any, ...]:
    _check_text(reference, MAX_REFERENCE)
    model_id = find_model(priced_words(call), reference)
    if model_id is None:
        raise PrecompileRevert("UnknownModel(string)", (reference,))
    return (model_id,)


def _set_alias(call: Call, alias: str, model_id: bytes) -> tuple[Any, ...]:
    words = priced_words(call)
    authority = words(ALIAS_AUTHORITY_SLOT).to_bytes(20, "big")
    if authority != call.caller:
        raise PrecompileRevert("NotAliasAuthority(address,address)", (authority, call.caller))
    _check_text(alias, MAX_REFERENCE)
    shadowed = _ID.fullmatch(alias) is not None or parse_cid(alias) is not None
    if shadowed or _ALIAS.fullmatch(alias) is None:
        raise PrecompileRevert("InvalidAlias(string)", (alias,))
    slot = alias_slot(alias)
    if words(slot):
        raise PrecompileRevert("AliasExists(string)", (alias,))
    if read_record(words, model_id, (0,)).status != PUBLISHED:
        raise PrecompileRevert("ModelNotFound(bytes32)", (model_id,))
    write_word(call, slot, int.from_bytes(model_id, "big"))
    emit(
        call,
        "AliasSet(bytes32,bytes32,string)",
        [keccak256(alias.encode("ascii")), model_id],
        ("string",),
        (alias,),
    )
    return (True,)


def _transfer(call: Call, repo: bytes, to: bytes) -> tuple[Any, ...]:
    repository = _owned(call, repo)
    if not any(to):
        raise PrecompileRevert("ZeroAddress()")
    write_word(call, repository.slot, Repository(repo, to, repository.releases).word)
    topics = [repo, _address_topic(call.caller), _address_topic(to)]
    emit(call, "RepositoryTransferred(bytes32,address,address)", topics, (), ())
    return (True,)


def _set_deprecated(call: Call, repo: bytes, index: int, deprecated: bool) -> tuple[Any, ...]:
    repository = _owned(call, repo)
    if index >= repository.releases:
        raise PrecompileRevert("ReleaseNotFound(bytes32,uint256)", (repo, index))
    write_word(call, _release_slot(repository, index) + 1, int(deprecated))
    emit(
        call,
        "ReleaseDeprecated(bytes32,uint32,bool)",
        [repo, index.to_bytes(32, "big")],
        ("bool",),
        (deprecated,),
    )
    return (True,)


FUNCTIONS: Final = (
    Function("createRepository(string,string)", ("bytes32",), True, _create_repository),
    Function("release(bytes32,string,bytes32,string)", ("uint32",), True, _release),
    Function("resolve(string)", ("bytes32",), False, _resolve),
    Function("setAlias(string,bytes32)", ("bool",), True, _set_alias),
    Function("transferRepository(bytes32,address)", ("bool",), True, _transfer),
    Function("setDeprecated(bytes32,uint32,bool)", ("bool",), True, _set_deprecated),
)
