"""Log lines for people and for machines; the node and its worker processes write the same."""

import json
import logging
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

FORMATS: Final = ("text", "json")
FORMAT_VARIABLE: Final = "ASSAY_LOG_FORMAT"
"""Environment variable with which a node tells its workers the format."""

_LEVELS: Final = {
    logging.DEBUG: "debug",
    logging.INFO: "info",
    logging.WARNING: "warn",
    logging.ERROR: "error",
    logging.CRITICAL: "crit",
}


class TextFormatter(logging.Formatter):
    """``TIME LEVEL LOGGER: MESSAGE key=value ...``; a traceback follows on its own lines."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-8s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The first line."""
        line = super().formatMessage(record)
        return " ".join([line, *(f"{key}={value}" for key, value in fields_of(record).items())])


class JsonFormatter(logging.Formatter):
    """One object per line, with geth's keys.

    Always ``t`` (UTC, RFC 3339, milliseconds), ``lvl`` (debug, info, warn, error, crit), ``logger``
    and ``msg``; then the fields of the event; ``err`` with the traceback of an error.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        moment = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, object] = {
            "t": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "lvl": _LEVELS.get(record.levelno, record.levelname.lower()),
            "logger": record.name,
            "msg": record.getMessage(),
        }
        line |= {key: value for key, value in fields_of(record).items() if key not in line}
        if record.exc_info:
            line["err"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def fields_of(record: logging.LogRecord) -> Mapping[str, object]:
    """What was logged with ``extra=fields(...)``."""
    found = getattr(record, "fields", None)
    return found if isinstance(found, dict) else {}


def fields(**values: object) -> dict[str, object]:
    """The ``extra`` argument of a log call: named values beside the message."""
    return {"fields": values}


def configure_logging(form: str, level: int) -> None:
    """Send everything from ``level`` on to stderr, and let worker processes do the same.

    Args:
        form: one of `FORMATS`.
        level: of ``logging``.

    Raises:
        ValueError: another format.
    """
    if form not in FORMATS:
        raise ValueError(f"log format {form!r}, want one of {', '.join(FORMATS)}")
    os.environ[FORMAT_VARIABLE] = form
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
