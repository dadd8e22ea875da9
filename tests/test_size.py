"""Every file tells one story: at most 400 lines."""

from pathlib import Path

ROOT = Path(__file__).parent.parent
FLOORS = ("genesis", "precompiles", "chain", "consensus", "rpc", "tools", "tests", "contracts")


def test_no_source_file_is_longer_than_400_lines() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for floor in FLOORS
        for pattern in ("*.py", "*.sol", "*.mjs")
        for path in (ROOT / floor).rglob(pattern)
        if "node_modules" not in path.parts and (count := len(path.read_text().splitlines())) > 400
    }
    assert long == {}
