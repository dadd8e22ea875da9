"""``assay keys`` and ``assay genesis``."""

import json
import stat
from pathlib import Path

import pytest

from tests.tools.command_line import Assay
from tools import keys

ALICE = "0x" + "aa" * 20
BOB = "0x" + "bb" * 20


@pytest.fixture
def password(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text("correct horse\n")
    return path


def test_new_list_import(assay: Assay, tmp_path: Path, password: Path) -> None:
    store = tmp_path / "keystore"
    options = ("--keystore", store, "--password", password)
    made = assay("keys", "new", *options, "--json").json
    path = Path(made["path"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "0x" + keys.address_of(keys.load_key(path, "correct horse")).hex() == made["address"]
    assert path.name.endswith(made["address"][2:])

    plain = tmp_path / "plain"
    plain.write_text(keys.dev_key(0).hex())
    done = assay("keys", "import", plain, *options)
    assert done.out.startswith("Address 0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266\n")
    listed = assay("keys", "list", "--keystore", store, "--json").json
    assert [item["address"] for item in listed] == [
        made["address"],
        "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266",
    ]
    assert made["address"] in assay("keys", "list", "--keystore", store).out


def test_an_empty_keystore(assay: Assay, tmp_path: Path) -> None:
    assert assay("keys", "list", "--keystore", tmp_path).out == f"No key files in {tmp_path}.\n"


def test_a_bad_key_to_import(assay: Assay, tmp_path: Path, password: Path) -> None:
    bad = tmp_path / "bad"
    bad.write_text("0x1234")
    store = tmp_path / "keystore"
    done = assay("keys", "import", bad, "--keystore", store, "--password", password)
    assert (done.code, done.err) == (1, "Error: a private key is 64 hex digits, got 4\n")
    assert not store.exists()


def test_a_missing_password_file(assay: Assay, tmp_path: Path) -> None:
    done = assay("keys", "new", "--keystore", tmp_path, "--password", tmp_path / "absent")
    assert done.code == 1
    assert "cannot read password file" in done.err


def test_a_new_genesis(assay: Assay, tmp_path: Path) -> None:
    target = tmp_path / "genesis.json"
    arguments = ("genesis", "new", "--chain-id", "7001", "--validators", f"{BOB},{ALICE}")
    more = ("--alloc", f"{ALICE}=5", "--block-time", "2", "--no-empty-blocks", "-o", target)
    done = assay(*arguments, *more, "--timestamp", "1700000000")
    assert done.out == f"Written {target}\n"
    shown = assay("genesis", "show", target, "--json").json
    assert shown["chainId"] == 7001
    assert shown["validators"] == [ALICE, BOB]
    assert shown["blockPeriodSeconds"] == 2
    assert shown["emptyBlocks"] is False
    allocation = {
        address.lower().removeprefix("0x"): entry
        for address, entry in json.loads(target.read_text())["alloc"].items()
    }
    assert int(allocation["aa" * 20]["balance"], 16) == 5 * 10**18
    assert f"hash: {shown['hash']}" in assay("genesis", "show", target).out
    again = assay(*arguments, *more)
    assert again.code == 1
    assert "exists already" in again.err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--validators", "0x12"], "is not an address"),
        (["--validators", ALICE, "--alloc", ALICE], "is not ADDRESS=ETHER"),
        (["--validators", ALICE, "--alloc", f"{ALICE}=-1"], "is not ADDRESS=ETHER"),
        (["--validators", f"{ALICE},{ALICE}"], "twice"),
    ],
)
def test_a_wrong_genesis(arguments: list[str], text: str, assay: Assay, tmp_path: Path) -> None:
    target = tmp_path / "genesis.json"
    done = assay("genesis", "new", "--chain-id", "1", *arguments, "-o", target)
    assert done.code in (1, 2)
    assert text in done.err
    assert not target.exists()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"config": {"chainId": 1}}', "\x00"])
def test_a_broken_genesis_file(text: str, assay: Assay, tmp_path: Path) -> None:
    broken = tmp_path / "genesis.json"
    broken.write_text(text)
    done = assay("genesis", "show", broken)
    assert done.code == 1
    assert done.err.startswith("Error: ")
