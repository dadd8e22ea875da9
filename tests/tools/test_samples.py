"""Sample files."""

from pathlib import Path

import numpy as np
import pytest

from tools.errors import ToolError
from tools.samples import load_samples

ROWS = np.array([[1.5, -2.0], [0.0, 4e3]])


def test_npy_npz_csv(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", ROWS)
    np.savez(tmp_path / "a.npz", x=ROWS, y=ROWS.astype(np.int8))
    (tmp_path / "a.csv").write_text("1.5,-2\n0,4e3\n")
    (tmp_path / "header.csv").write_text("left, right\n1.5, -2\n0, 4e3\n")
    (tmp_path / "one.csv").write_text("1,2,3")
    for name in ("a.npy", "a.csv", "header.csv"):
        assert np.array_equal(np.asarray(load_samples(tmp_path / name)), ROWS)
    several = load_samples(tmp_path / "a.npz")
    assert isinstance(several, dict)
    assert list(several) == ["x", "y"]
    assert several["y"].dtype == np.int8
    assert np.asarray(load_samples(tmp_path / "one.csv")).shape == (1, 3)


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("a.npy", b"", "cannot read samples"),
        ("a.npy", b"\x93NUMPY\x01\x00garbage", "cannot read samples"),
        ("a.npz", b"PK", "cannot read samples"),
        ("a.csv", b"", "no rows"),
        ("a.csv", b"name\n", "no rows"),
        ("a.csv", b"1,2\n3\n", "cannot read samples"),
        ("a.csv", b"1,2\n3,x\n", "cannot read samples"),
        ("a.csv", b"\xff\xfe", "cannot read samples"),
        ("a.txt", b"1", r"samples are \.npy, \.npz or \.csv files, not a\.txt"),
    ],
)
def test_unreadable_files(name: str, content: bytes, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ToolError, match=text):
        load_samples(tmp_path / name)


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.array(["a"]), "samples must be numbers, found dtype <U1"),
        (np.array([1j]), "samples must be numbers"),
        (np.float64(1), "no samples"),
        (np.empty((0, 3)), "no samples"),
    ],
)
def test_arrays_that_are_no_samples(array: np.ndarray, text: str, tmp_path: Path) -> None:  # type: ignore[type-arg]
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(ToolError, match=text):
        load_samples(tmp_path / "a.npy")


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([object()], dtype=object), allow_pickle=True)
    with pytest.raises(ToolError, match="cannot read samples"):
        load_samples(tmp_path / "a.npy")


def test_an_absent_file(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="cannot read samples"):
        load_samples(tmp_path / "absent.npy")
