"""Genesis files: round trip, geth's leniency in numbers, and every refusal."""

import json
from dataclasses import replace
from typing import Any

import pytest
from eth_hash.auto import keccak
from hypothesis import given
from hypothesis import strategies as st

from genesis.addresses import INFERENCE, MODEL_REGISTRY, VALIDATOR_SET
from genesis.errors import GenesisError
from genesis.predeploys import (
    FIRST_VALIDATOR_SLOT,
    new_genesis,
    runtime_code,
    system_allocations,
    validator_set_allocation,
)
from genesis.spec import Allocation, AssayConfig, format_genesis, parse_genesis

ALICE, BOB = bytes([0xAA] * 20), bytes([0xBB] * 20)
SPEC = new_genesis(42330, [BOB, ALICE], {bytes([1] * 20): 10**18}, timestamp=1_700_000_000)


def document() -> dict[str, Any]:
    result: dict[str, Any] = json.loads(format_genesis(SPEC))
    return result


def test_format_and_parse_are_inverse() -> None:
    assert parse_genesis(format_genesis(SPEC)) == SPEC
    assert parse_genesis(format_genesis(SPEC).encode()) == SPEC


words = st.integers(0, 2**256 - 1)
allocations = st.builds(
    Allocation,
    balance=words,
    nonce=st.integers(0, 2**64 - 2),
    code=st.binary(max_size=40),
    storage=st.dictionaries(words, st.integers(1, 2**256 - 1), max_size=3),
)


@given(
    st.dictionaries(st.binary(min_size=20, max_size=20), allocations, max_size=3),
    st.builds(
        AssayConfig,
        protocol_version=st.integers(1, 9),
        block_period_seconds=st.integers(1, 60),
        empty_blocks=st.booleans(),
        request_timeout_ms=st.integers(100, 9_000),
        request_timeout_cap_ms=st.integers(9_000, 60_000),
        transaction_gas_cap=st.integers(21_000, 2**40),
    ),
    st.integers(0, 2**64 - 1),
)
def test_any_spec_survives_its_file(
    alloc: dict[bytes, Allocation], assay: AssayConfig, timestamp: int
) -> None:
    spec = replace(SPEC, alloc=alloc, assay=assay, timestamp=timestamp)
    assert parse_genesis(format_genesis(spec)) == spec


def test_numbers_are_read_as_geth_reads_them() -> None:
    text = document()
    for form in (60_000_000, "60000000", "0x3938700"):
        text["gasLimit"] = form
        assert parse_genesis(json.dumps(text)).gas_limit == 60_000_000


def test_defaults_are_those_of_the_design() -> None:
    assert SPEC.gas_limit == 60_000_000
    assert SPEC.qbft.transaction_gas_cap == 2**25
    assert SPEC.qbft.request_timeout_cap_ms == 30_000
    assert len(SPEC.extra_data) <= 32


def test_native_accounts_have_stub_code_and_a_nonce() -> None:
    for account in (INFERENCE, MODEL_REGISTRY):
        assert SPEC.alloc[account].code == runtime_code("Stub") != b""
        assert SPEC.alloc[account].nonce == 1


def test_alias_authority_is_in_the_registrys_storage() -> None:
    spec = new_genesis(1, [ALICE], {}, alias_authority=BOB)
    assert spec.alloc[MODEL_REGISTRY].storage == {0: int.from_bytes(BOB, "big")}


def test_validators_are_stored_as_solidity_stores_an_array() -> None:
    storage = SPEC.alloc[VALIDATOR_SET].storage
    assert storage[0] == 2
    assert storage[FIRST_VALIDATOR_SLOT] == int.from_bytes(ALICE, "big")
    assert storage[FIRST_VALIDATOR_SLOT + 1] == int.from_bytes(BOB, "big")


@pytest.mark.parametrize(
    ("validators", "text"),
    [
        ([], "0 validators"),
        ([ALICE, ALICE], "twice"),
        ([bytes(20)], "zero address"),
        ([b"short"], "expected 20"),
        ([i.to_bytes(20, "big") for i in range(1, 102)], "101 validators"),
    ],
)
def test_bad_validator_lists(validators: list[bytes], text: str) -> None:
    with pytest.raises(GenesisError, match=text):
        validator_set_allocation(validators)


def test_a_predeploy_cannot_be_a_funded_account() -> None:
    with pytest.raises(GenesisError, match="is a predeploy"):
        new_genesis(1, [ALICE], {INFERENCE: 1})


def test_system_contracts_have_their_mainnet_code_hashes() -> None:
    hashes = {
        account[:4].hex(): keccak(item.code).hex() for account, item in system_allocations().items()
    }
    assert hashes == {
        "000f3df6": "f57acd40259872606d76197ef052f3d35588dadf919ee1f0e3cb9b62d3f4b02c",
        "0000f908": "6e49e66782037c0555897870e29fa5e552daf4719552131a0abce779daec0a5d",
        "00000961": "0345a365d2f4c5975b9f1599abe0a2ee76b7a3a731bc68781bd04c84e4858f50",
        "0000bbdd": "78c6cb5202685228bbcbfb992b1c4e116c7ec5ef11e25b8e92716cfc628ddd60",
    }


def change(path: str, value: Any) -> str:
    text = document()
    *parents, last = path.split("/")
    place = text
    for name in parents:
        place = place[name]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return json.dumps(text)


ACCOUNT = "0x" + "01" * 20


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        ("gasLimit", ..., "gasLimit"),
        ("gasLimit", 1.5, "not an integer"),
        ("gasLimit", "0x", "expected an integer"),
        ("gasLimit", "1_0", "expected an integer"),
        ("gasLimit", True, "expected an integer"),
        ("gasLimit", 1, "expected 5000"),
        ("timestamp", -1, "timestamp: -1"),
        ("timestamp", "0x10000000000000000", "timestamp"),
        ("nonce", "0x" + "ff" * 9, "nonce"),
        ("mixHash", "0x00", "mixHash: 1 bytes, expected 32"),
        ("coinbase", "0x00", "expected 20"),
        ("extraData", "0x" + "00" * 33, "33 bytes"),
        ("extraData", "0x00 00", "hex digits only"),
        ("extraData", "0xzz", "hex digits"),
        ("number", "0x1", "number"),
        ("excessBlobGas", 1, "excessBlobGas: 1, expected 0 to 0"),
        ("parentHash", "0x" + "00" * 31 + "01", "parentHash"),
        ("surprise", 1, "'surprise' is unknown"),
        ("config", ..., "config"),
        ("config", [], "config"),
        ("config/chainId", ..., "chainId"),
        ("config/chainId", 0, "chainId"),
        ("config/depositContractAddress", "0x" + "11" * 20, "depositContractAddress"),
        ("config/assay", [], "config.assay"),
        ("config/assay/emptyBlocks", 1, "expected true or false"),
        ("config/assay/blockPeriodSeconds", 0, "blockPeriodSeconds: 0"),
        ("config/assay/requestTimeoutCapMs", 1000, "at least requestTimeoutMs"),
        ("config/assay/typo", 1, "'typo' is unknown"),
        ("alloc", ..., "alloc"),
        ("alloc/0x12", {}, "expected 20"),
        (f"alloc/{ACCOUNT[2:]}", {}, "appears twice"),
        (f"alloc/{ACCOUNT}/balance", 2**256, "balance"),
        (f"alloc/{ACCOUNT}/secretKey", "0x", "'secretKey' is unknown"),
        (f"alloc/{ACCOUNT}/storage", {"0x1": 1, "1": 1}, "slot 1 appears twice"),
        (f"alloc/{ACCOUNT}/storage", {"0x1": 2**256}, "storage"),
    ],
)
def test_bad_files_are_refused_by_name(path: str, value: Any, text: str) -> None:
    with pytest.raises(GenesisError, match=text):
        parse_genesis(change(path, value))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", b"\xff\xfe", '{"alloc": 1, "alloc": 2}'])
def test_no_json_object_at_all(text: str | bytes) -> None:
    with pytest.raises(GenesisError):
        parse_genesis(text)


def test_deeply_nested_json_is_refused() -> None:
    with pytest.raises(GenesisError):
        parse_genesis("[" * 100_000)


def test_words_of_zero_are_not_stored() -> None:
    spec = parse_genesis(change(f"alloc/{ACCOUNT}/storage", {"0x1": "0x0", "0x2": "0x3"}))
    assert spec.alloc[bytes.fromhex(ACCOUNT[2:])].storage == {2: 3}
