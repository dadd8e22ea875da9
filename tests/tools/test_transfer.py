"""``assay import``, ``assay export`` and ``assay db``, on sealed chains and on Ethereum's own."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from chain.block_file import read_blocks, seal_block
from chain.certificate import CommitCertificate
from chain.store import Store
from genesis.spec import format_genesis
from tests.consensus.sealed_chain import KEYS, USER, SealedChain, address_of, chain_spec
from tests.tools.command_line import Assay

FIXTURES = Path(__file__).parents[3] / "shared" / "conformance" / "execution-apis"


@pytest.fixture
def sealed(tmp_path: Path) -> Iterator[SealedChain]:
    """Seven blocks; the fourth brings a fifth validator."""
    chain = SealedChain(tmp_path / "source" / "chain")
    (tmp_path / "genesis.json").write_text(format_genesis(chain.spec))
    for number in range(3):
        chain.add([chain.transaction(USER, address_of(KEYS[number]), b"", 100_000)])
    chain.add(chain.votes(address_of(KEYS[4]), True))
    for _ in range(3):
        chain.add([chain.transaction(USER, address_of(KEYS[1]), b"hello", 100_000)], KEYS[:4])
    yield chain
    chain.close()


def head_of(datadir: Path) -> tuple[int, bytes]:
    with Store(datadir / "chain", readonly=True) as store:
        return store.head().number, store.head().hash


def import_into(assay: Assay, tmp_path: Path, name: str, *arguments: str | Path) -> Path:
    done = assay(
        "import", "--genesis", tmp_path / "genesis.json", "--datadir", tmp_path / name, *arguments
    )
    assert done.code == 0, done.err
    return tmp_path / name


@pytest.mark.parametrize("name", ["chain.rlp", "chain.rlp.gz"])
def test_a_sealed_chain_travels_whole(
    assay: Assay, sealed: SealedChain, tmp_path: Path, name: str
) -> None:
    file = tmp_path / name
    head = sealed.store.head()
    sealed.close()
    assert "Exported 7 blocks" in assay("export", "--datadir", tmp_path / "source", file).out
    assert (file.read_bytes()[:2] == b"\x1f\x8b") == name.endswith(".gz")
    copy = import_into(assay, tmp_path, "copy", file)
    assert head_of(copy) == (7, head.hash)
    assert assay("db", "check", "--datadir", copy, "--json").json == {
        "whole": True,
        "head": 7,
        "oldestState": 0,
        "transactions": 9,
        "nodes": assay("db", "stat", "--datadir", copy, "--json").json["tables"]["nodes"][
            "entries"
        ],
        "problems": [],
    }
    with (
        Store(tmp_path / "source" / "chain", readonly=True) as source,
        Store(copy / "chain", readonly=True) as target,
    ):
        assert target.validator_change_heights() == source.validator_change_heights() == [0, 4]
        for number in range(1, 8):
            digest = source.canonical_hash(number) or b""
            assert target.block(digest) == source.block(digest)
            assert target.receipts(digest) == source.receipts(digest)
            assert target.certificate(digest) == source.certificate(digest)
    again = assay("import", "--genesis", tmp_path / "genesis.json", "--datadir", copy, file, file)
    assert "Imported 0 blocks" in again.out
    assert "14 were here" in again.out


def test_an_import_goes_on_where_it_stopped(
    assay: Assay, sealed: SealedChain, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    sealed.close()
    assay("export", "--datadir", source, tmp_path / "a.rlp", "0", "3")
    assay("export", "--datadir", source, tmp_path / "b.rlp", "3", "7")
    copy = import_into(assay, tmp_path, "copy", tmp_path / "a.rlp")
    assert head_of(copy)[0] == 3
    done = assay("import", "--genesis", tmp_path / "genesis.json", "--datadir", copy,
                 tmp_path / "b.rlp")  # fmt: skip
    assert "Imported 4 blocks with 6 transactions" in done.out
    assert "1 were here" in done.out
    alone = assay("import", "--genesis", tmp_path / "genesis.json",
                  "--datadir", tmp_path / "gap", tmp_path / "b.rlp")  # fmt: skip
    assert alone.code == 1
    assert "block 3 is not valid: unknown parent 0x" in alone.err
    assert "the chain ends at block 0" in alone.err


def exported(assay: Assay, sealed: SealedChain, tmp_path: Path) -> list[bytes]:
    sealed.close()
    assay("export", "--datadir", tmp_path / "source", tmp_path / "all.rlp")
    with (tmp_path / "all.rlp").open("rb") as stream:
        return list(read_blocks(stream))


def refused(assay: Assay, tmp_path: Path, content: bytes, kept: int) -> str:
    """What an import says that ends after ``kept`` blocks."""
    file = tmp_path / "bad.rlp"
    file.write_bytes(content)
    done = assay(
        "import", "--genesis", tmp_path / "genesis.json", "--datadir", tmp_path / "copy", file
    )
    assert done.code == 1
    assert head_of(tmp_path / "copy")[0] == kept
    assert assay("db", "check", "--datadir", tmp_path / "copy").code == 0
    return done.err


def test_seals_are_checked(assay: Assay, sealed: SealedChain, tmp_path: Path) -> None:
    block = sealed.store.encoded_block(sealed.store.canonical_hash(5) or b"") or b""
    certificate = sealed.store.certificate(sealed.store.canonical_hash(5) or b"")
    assert certificate is not None
    blocks = exported(assay, sealed, tmp_path)
    few = seal_block(block, CommitCertificate(0, certificate.seals[:3]))
    text = refused(assay, tmp_path, b"".join([*blocks[:4], few]), 4)
    assert "block 5 is not valid: 3 seals, want 4 of 5 validators" in text
    other_round = seal_block(block, replace(certificate, round=1))
    text = refused(assay, tmp_path, b"".join([*blocks[:4], other_round]), 4)
    assert "who is no validator of this height" in text
    text = refused(assay, tmp_path, b"".join([*blocks[:4], block]), 4)
    assert "0 seals, want 4 of 5 validators" in text


def test_damaged_files(assay: Assay, sealed: SealedChain, tmp_path: Path) -> None:
    blocks = exported(assay, sealed, tmp_path)
    whole = b"".join(blocks)
    assert "the file ends inside item 6: 1 bytes missing" in refused(assay, tmp_path, whole[:-1], 6)
    text = refused(assay, tmp_path, whole + b"\x05", 7)
    assert "item 7 of the file is no RLP list: it begins with 0x05" in text
    text = refused(assay, tmp_path, whole + b"\xc0", 7)
    assert "the next block is not valid: block is an empty list" in text
    text = refused(assay, tmp_path, whole + b"\xfb\xff\xff\xff\xff", 7)
    assert "has 4294967295 bytes, at most" in text
    (tmp_path / "cut.rlp.gz").write_bytes(gzip.compress(whole)[:-20])
    done = assay("import", "--genesis", tmp_path / "genesis.json", "--datadir", tmp_path / "gz",
                 tmp_path / "cut.rlp.gz")  # fmt: skip
    assert done.code == 1
    assert "ended before the end-of-stream marker" in done.err


def test_a_changed_transaction_is_found(assay: Assay, sealed: SealedChain, tmp_path: Path) -> None:
    blocks = exported(assay, sealed, tmp_path)
    changed = blocks[5].replace(b"hello", b"hallo")
    assert "block 6 is not valid: " in refused(assay, tmp_path, b"".join([*blocks[:5], changed]), 5)


def test_another_chain_is_refused(assay: Assay, sealed: SealedChain, tmp_path: Path) -> None:
    exported(assay, sealed, tmp_path)
    other = replace(chain_spec(), mix_hash=b"\x12" * 32)
    (tmp_path / "other.json").write_text(format_genesis(other))
    arguments = ("--genesis", tmp_path / "other.json", "--datadir")
    done = assay("import", *arguments, tmp_path / "new", tmp_path / "all.rlp")
    assert done.code == 1
    assert "block 1 is not valid: unknown parent" in done.err
    done = assay("import", *arguments, tmp_path / "source", tmp_path / "all.rlp")
    assert "belongs to the chain with genesis" in done.err
    done = assay(
        "db", "check", "--datadir", tmp_path / "source", "--genesis", tmp_path / "other.json"
    )
    assert done.code == 1
    assert "the genesis file hashes to" in done.out


def test_export_refusals(assay: Assay, sealed: SealedChain, tmp_path: Path) -> None:
    file = tmp_path / "out.rlp"
    sealed.close()
    done = assay("export", "--datadir", tmp_path / "source", file, "5", "8")
    assert done.code == 1
    assert "blocks 5 to 8 are not in the chain, which has 0 to 7" in done.err
    assert not file.exists()
    file.write_bytes(b"mine")
    assert "exists" in assay("export", "--datadir", tmp_path / "source", file).err
    assert file.read_bytes() == b"mine"
    assert "no chain database" in assay("export", "--datadir", tmp_path / "nowhere", file).err


def test_options_of_history(assay: Assay, sealed: SealedChain, tmp_path: Path) -> None:
    exported(assay, sealed, tmp_path)
    file = tmp_path / "all.rlp"
    for name, arguments, oldest, states in [
        ("default", (), 0, 128),
        ("three", ("--history.state", "3"), 5, 3),
        ("one", ("--gcmode", "full", "--history.state", "1"), 7, 1),
        ("archive", ("--gcmode", "archive"), 0, 0),
        ("zero", ("--history.state", "0"), 0, 0),
    ]:
        datadir = import_into(assay, tmp_path, name, *arguments, file)
        found = assay("db", "stat", "--datadir", datadir, "--json").json
        assert (found["oldestState"], found["states"]) == (oldest, states)
        assert found["mode"] == ("full" if states else "archive")
        assert assay("db", "check", "--datadir", datadir).code == 0
    for arguments in [
        ("--gcmode", "archive", "--history.state", "3"),
        ("--gcmode", "full", "--history.state", "0"),
    ]:
        done = assay("import", "--genesis", tmp_path / "genesis.json", "--datadir", tmp_path / "x",
                     *arguments, file)  # fmt: skip
        assert done.code == 2
        assert "keeps every state" in done.err


@pytest.mark.skipif(not FIXTURES.is_dir(), reason="no folder of official fixtures")
def test_the_fixture_chain_of_execution_apis(assay: Assay, tmp_path: Path) -> None:
    """Frontier to BPO2: 54 blocks, the first 36 of them before the merge."""
    wanted = json.loads((FIXTURES / "headfcu.json").read_text())["params"][0]["headBlockHash"]
    arguments = ("--genesis", FIXTURES / "genesis.json", "--datadir", tmp_path)
    done = assay("import", *arguments, "--history.state", "4", FIXTURES / "chain.rlp")
    assert done.code == 0, done.err
    assert head_of(tmp_path) == (54, bytes.fromhex(wanted[2:]))
    done = assay("db", "check", "--datadir", tmp_path, "--genesis", FIXTURES / "genesis.json")
    assert done.code == 0, done.out
    assert "states from block 51 on" in done.out
    copy = tmp_path / "copy.rlp"
    assert assay("export", "--datadir", tmp_path, copy).code == 0
    assert copy.read_bytes() == (FIXTURES / "chain.rlp").read_bytes()
