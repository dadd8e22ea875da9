"""Log lines: one JSON object each, whatever is logged; the same fields for people."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.log_format import FORMAT_VARIABLE, JsonFormatter, TextFormatter, fields

ROOT = Path(__file__).parents[2]


def record(message: str, *arguments: object, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("assay.test", logging.WARNING, "file", 1, message, arguments, None)
    for name, value in extra.items():
        setattr(made, name, value)
    return made


@given(st.text(), st.dictionaries(st.text(), st.integers() | st.text() | st.binary()))
def test_a_line_is_one_object(message: str, values: dict[str, object]) -> None:
    made = record("%s", message, fields=values)
    line = JsonFormatter().format(made)
    assert "\n" not in line
    assert "\r" not in line
    found = json.loads(line)
    assert list(found)[:4] == ["t", "lvl", "logger", "msg"]
    assert (found["lvl"], found["logger"], found["msg"]) == ("warn", "assay.test", message)
    for key, value in values.items():
        if key not in ("t", "lvl", "logger", "msg"):
            assert found[key] == (str(value) if isinstance(value, bytes) else value)


def test_time_is_utc_with_milliseconds() -> None:
    made = record("x")
    made.created = 1_700_000_000.25
    assert json.loads(JsonFormatter().format(made))["t"] == "2023-11-14T22:13:20.250Z"


def test_a_traceback_stays_on_the_line() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        made = record("failed")
        made.exc_info = sys.exc_info()
    line = JsonFormatter().format(made)
    assert "\n" not in line
    assert json.loads(line)["err"].endswith("ValueError: two\nlines")


def test_people_see_the_fields_too() -> None:
    made = record("Imported block", **fields(number=7, txs=0))
    assert (
        TextFormatter().format(made).endswith("WARNING  assay.test: Imported block number=7 txs=0")
    )


@pytest.mark.parametrize(("form", "start"), [("json", b'{"t": "2'), ("text", b"2")])
def test_workers_write_what_their_node_writes(form: str, start: bytes) -> None:
    """A worker process finds the format in its environment."""
    program = (
        "import logging, os; from chain.log_format import *;"
        "configure_logging(os.environ[FORMAT_VARIABLE], logging.INFO);"
        "logging.getLogger('a').info('hello')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={FORMAT_VARIABLE: form, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=True,
    )
    assert done.stdout == b""
    assert done.stderr.startswith(start)
    assert done.stderr.count(b"\n") == 1
