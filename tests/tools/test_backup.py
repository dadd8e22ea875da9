"""Backup and restore: whole, consistent beside a writer, nothing secret, damage is noticed."""

import json
import stat
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from chain.store import Store
from tests.chain import crash_writer, records
from tests.tools.command_line import Assay

ROOT = Path(__file__).parents[2]


@pytest.fixture
def datadir(tmp_path: Path) -> Path:
    """A node's folder with seven blocks, a key and a signer file."""
    folder = tmp_path / "D"
    with Store(folder / "chain") as store:
        store.write_genesis(*crash_writer.genesis())
        for _ in range(7):
            executed = crash_writer.next_block(store)
            store.write_block(executed, records.certificate(executed.block.header, [0, 1, 2]))
    (folder / "nodekey").write_text("11" * 32)
    (folder / "consensus").mkdir()
    (folder / "consensus" / "signer.json").write_text('{"height": 8}')
    return folder


@pytest.fixture
def archive(assay: Assay, datadir: Path, tmp_path: Path) -> Path:
    path = tmp_path / "backup.tar"
    assert assay("db", "backup", "--datadir", datadir, path).code == 0
    return path


def test_there_and_back(assay: Assay, datadir: Path, archive: Path, tmp_path: Path) -> None:
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    other = tmp_path / "R"
    told = assay("db", "restore", "--datadir", other, archive, "--json").json
    assert told["head"] == 7
    with Store(datadir / "chain", readonly=True) as store, Store(other / "chain") as restored:
        assert restored.head() == store.head()
        assert restored.history == store.history
        for number in range(8):
            digest = store.canonical_hash(number) or b""
            assert restored.block(digest) == store.block(digest)
            assert restored.certificate(digest) == store.certificate(digest)
        executed = crash_writer.next_block(restored)  # and it goes on
        certificate = records.certificate(executed.block.header, [0, 1, 2])
        restored.write_block(executed, certificate)


def test_nothing_secret_and_no_memory_of_signatures(archive: Path, tmp_path: Path) -> None:
    with tarfile.open(archive) as tar:  # any tar reads it
        assert tar.getnames() == ["chain/data.mdb", "backup.json"]
        tar.extractall(tmp_path / "by tar", filter="data")
    with Store(tmp_path / "by tar" / "chain", readonly=True) as store:
        assert store.head().number == 7
    assert b"11" * 32 not in archive.read_bytes()


def test_beside_a_writer(assay: Assay, tmp_path: Path) -> None:
    """Every copy of a database that grows all the time is a whole database."""
    datadir = tmp_path / "D"
    with subprocess.Popen(
        [sys.executable, "-m", "tests.chain.crash_writer", str(datadir / "chain")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as writer:
        assert writer.stdout is not None
        try:
            for turn in range(4):
                height = int(writer.stdout.readline())
                path = tmp_path / f"{turn}.tar"
                made = assay("db", "backup", "--datadir", datadir, path, "--json").json
                assert made["head"] >= height
        finally:
            writer.kill()
            writer.stdout.read()
    for turn in range(4):
        other = tmp_path / f"R{turn}"
        assert assay("db", "restore", "--datadir", other, tmp_path / f"{turn}.tar").code == 0
        with Store(other / "chain", readonly=True) as store:
            head = store.head()
            assert store.block(head.hash) is not None
            assert store.certificate(head.hash) is not None


def test_nothing_is_written_over(
    assay: Assay, datadir: Path, archive: Path, tmp_path: Path
) -> None:
    before = archive.read_bytes()
    done = assay("db", "backup", "--datadir", datadir, archive)
    assert done.code == 1
    assert "exists already" in done.err
    assert archive.read_bytes() == before
    for name in ("chain", "consensus"):
        folder = tmp_path / f"with {name}"
        (folder / name).mkdir(parents=True)
        done = assay("db", "restore", "--datadir", folder, archive)
        assert done.code == 1
        assert "restore into an empty folder" in done.err
        assert list(folder.iterdir()) == [folder / name]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.97])
def test_a_cut_backup_is_refused(share: float, assay: Assay, archive: Path, tmp_path: Path) -> None:
    data = archive.read_bytes()
    archive.write_bytes(data[: int(len(data) * share)])
    done = assay("db", "restore", "--datadir", tmp_path / "R", archive)
    assert done.code == 1
    assert done.err.startswith("Error: ")
    assert list((tmp_path / "R").iterdir()) == []


def test_a_changed_bit_is_noticed(assay: Assay, archive: Path, tmp_path: Path) -> None:
    data = bytearray(archive.read_bytes())
    data[512 + 40_000] ^= 1
    archive.write_bytes(data)
    done = assay("db", "restore", "--datadir", tmp_path / "R", archive)
    assert done.code == 1
    assert "is damaged" in done.err
    assert list((tmp_path / "R").iterdir()) == []


def test_a_manifest_that_lies(archive: Path, assay: Assay, tmp_path: Path) -> None:
    folder = tmp_path / "unpacked"
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    manifest = json.loads((folder / "backup.json").read_text())
    for change, reason in (
        ({"format": 2}, "has format 2"),
        ({"head": 9}, "says genesis"),
        ({"genesis": "00" * 32}, "says genesis"),
        ({"more": 1}, "is not a whole backup"),
    ):
        (folder / "backup.json").write_text(json.dumps(manifest | change))
        lying = tmp_path / "lying.tar"
        with tarfile.open(lying, "w") as tar:
            tar.add(folder / "chain" / "data.mdb", "chain/data.mdb")
            tar.add(folder / "backup.json", "backup.json")
        done = assay("db", "restore", "--datadir", tmp_path / "R", lying)
        assert done.code == 1
        assert reason in done.err
        assert list((tmp_path / "R").iterdir()) == []


def test_no_database(assay: Assay, tmp_path: Path) -> None:
    done = assay("db", "backup", "--datadir", tmp_path, tmp_path / "b.tar")
    assert (done.code, done.err) == (1, f"Error: no chain database in {tmp_path / 'chain'}\n")
    assert not (tmp_path / "b.tar").exists()
