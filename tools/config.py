"""Options of a command from four places: command line, environment, TOML file, defaults.

Every option has one name: ``--http.port`` is ``ASSAY_HTTP_PORT`` in the environment and
``http.port`` in the file. A flag such as ``--metrics`` is ``metrics.enabled`` in the file, where
``metrics`` is the table of its own settings.
"""

import difflib
import functools
import json
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click
from click.core import ParameterSource

ENVIRONMENT_PREFIX: Final = "ASSAY_"
ENABLED: Final = "enabled"
_DUMP: Final = "tools.config.dump"
_SELF: Final = frozenset({"config", "dump_config", "help"})
_SOURCES: Final = {
    ParameterSource.COMMANDLINE: "command line",
    ParameterSource.ENVIRONMENT: "environment",
    ParameterSource.DEFAULT_MAP: "file",
}


def configurable(command: click.Command) -> click.Command:
    """Give a command ``--config``, ``--dump-config`` and a variable for every option."""
    command.params += [
        click.Option(
            ["--config"],
            type=click.Path(path_type=Path, dir_okay=False, exists=True),
            is_eager=True,
            expose_value=False,
            callback=_load_into,
            help="TOML file with options; paths in it are relative to it.",
        ),
        click.Option(
            ["--dump-config"],
            is_flag=True,
            expose_value=False,
            callback=_note,
            help="Print the options in effect as TOML and exit.",
        ),
    ]
    for option in command.params:
        if isinstance(option, click.Option) and option.name != "dump_config":
            option.envvar = variable_of(option)
    if command.callback is not None:
        command.callback = _dumping(command.callback)
    command.epilog = (
        "Command line over environment over file over default: --http.port is ASSAY_HTTP_PORT in "
        "the environment and http.port in the file, --metrics is metrics.enabled there."
    )
    return command


def variable_of(option: click.Option) -> str:
    """The option's environment variable: ``ASSAY_HTTP_PORT`` of ``--http.port``."""
    name = option.opts[0].removeprefix("--")
    return ENVIRONMENT_PREFIX + name.replace(".", "_").replace("-", "_").upper()


def keys_of(command: click.Command) -> dict[str, click.Option]:
    """The options that a file may set, by their dotted name in it."""
    found = {}
    for option in command.params:
        if isinstance(option, click.Option) and option.name not in _SELF:
            name = option.opts[0].removeprefix("--")
            found[f"{name}.{ENABLED}" if option.is_flag else name] = option
    return found


def read_config(path: Path, command: click.Command) -> dict[str, Any]:
    """Values of a TOML file by the command's parameter names, for click's ``default_map``.

    Raises:
        click.UsageError: no TOML, an unknown key (the nearest known one is named), or a value of
            another type than the option's.
    """
    try:
        content = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise click.UsageError(f"{path} cannot be read: {error}") from None
    known = keys_of(command)
    values: dict[str, Any] = {}
    for key, value in _flatten(content):
        option = known.get(key)
        if option is None:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise click.UsageError(f"{path}: unknown key {key}{hint}")
        try:
            values[str(option.name)] = _value(option, value, path.parent)
        except TypeError as error:
            raise click.UsageError(f"{path}: {key}: {error}") from None
    return values


def dump_config(ctx: click.Context) -> str:
    """The values in effect as a file that ``read_config`` reads back; where each comes from."""
    lines = []
    for key, option in keys_of(ctx.command).items():
        value = ctx.params.get(str(option.name))
        if value is None or value == "":
            continue
        source = ctx.get_parameter_source(str(option.name))
        origin = "default" if source is None else _SOURCES.get(source, "default")
        lines.append(f"{key} = {_toml(value)}  # {origin}\n")
    return "".join(lines)


def _load_into(ctx: click.Context, _: click.Parameter, path: Path | None) -> None:
    if path is not None:
        ctx.default_map = read_config(path, ctx.command)


def _note(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    ctx.meta[_DUMP] = asked


def _dumping(run: Callable[..., Any]) -> Callable[..., Any]:
    """Print instead of run when ``--dump-config`` was given: only then are all options known."""

    @functools.wraps(run)
    def run_or_dump(**values: Any) -> Any:
        ctx = click.get_current_context()
        if ctx.meta.get(_DUMP):
            return click.echo(dump_config(ctx), nl=False)
        return run(**values)

    return run_or_dump


def _flatten(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _value(option: click.Option, value: Any, folder: Path) -> Any:
    """What click would have read from the command line; TypeError for another type."""
    kind = option.type
    wanted: type = str
    if option.is_flag:
        wanted = bool
    elif isinstance(kind, click.IntRange | click.types.IntParamType):
        wanted = int
    elif isinstance(value, list) and all(isinstance(item, str) for item in value):
        value = ",".join(value)
    if type(value) is not wanted:
        names = {bool: "true or false", int: "a whole number", str: "a string"}
        raise TypeError(f"{value!r} is not {names[wanted]}")
    return str(folder / str(value)) if isinstance(kind, click.Path) else value


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    text = str(value.absolute()) if isinstance(value, Path) else str(value)
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
