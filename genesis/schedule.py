"""The fork schedule of a genesis file: geth's ``config`` <-> ForkSchedule."""

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any, Final, TypeVar

from genesis.errors import GenesisError
from genesis.fields import boolean, number, object_of, refuse_unknown
from genesis.forks import CANCUN_BLOBS, PRAGUE_BLOBS, BlobParameters, Fork, ForkSchedule

_BLOCKS: Final = (
    ("homesteadBlock", Fork.HOMESTEAD),
    ("eip150Block", Fork.TANGERINE_WHISTLE),
    ("eip155Block", Fork.SPURIOUS_DRAGON),
    ("eip158Block", Fork.SPURIOUS_DRAGON),
    ("byzantiumBlock", Fork.BYZANTIUM),
    ("constantinopleBlock", Fork.CONSTANTINOPLE),
    ("petersburgBlock", Fork.PETERSBURG),
    ("istanbulBlock", Fork.ISTANBUL),
    ("muirGlacierBlock", Fork.MUIR_GLACIER),
    ("berlinBlock", Fork.BERLIN),
    ("londonBlock", Fork.LONDON),
    ("arrowGlacierBlock", Fork.ARROW_GLACIER),
    ("grayGlacierBlock", Fork.GRAY_GLACIER),
    ("mergeNetsplitBlock", Fork.PARIS),
)
_TIMES: Final = (
    ("shanghaiTime", Fork.SHANGHAI),
    ("cancunTime", Fork.CANCUN),
    ("pragueTime", Fork.PRAGUE),
    ("osakaTime", Fork.OSAKA),
)
_BPO_TIMES: Final = tuple(f"bpo{index}Time" for index in range(1, 6))
_MAY_BE_ABSENT: Final = frozenset({Fork.MUIR_GLACIER, Fork.ARROW_GLACIER, Fork.GRAY_GLACIER})
"""Forks that only moved the difficulty bomb; many genesis files leave them out."""

_MERGE: Final = ("terminalTotalDifficulty", "terminalTotalDifficultyPassed")
_DAO: Final = ("daoForkBlock", "daoForkSupport")
CONFIG_FIELDS: Final = frozenset(
    {*(name for name, _ in (*_BLOCKS, *_TIMES)), *_BPO_TIMES, *_MERGE, *_DAO, "blobSchedule"}
)
"""The fields of ``config`` that this module reads."""

_DEFAULT_BLOBS: Final = {"cancun": CANCUN_BLOBS, "prague": PRAGUE_BLOBS, "osaka": PRAGUE_BLOBS}
_BLOB_NAMES: Final = (*_DEFAULT_BLOBS, *(name.removesuffix("Time") for name in _BPO_TIMES))
_UINT256_MAX: Final = (1 << 256) - 1

_Kind = TypeVar("_Kind")


def parse_schedule(config: Mapping[str, Any]) -> ForkSchedule:
    """Read the forks of a ``config``; null is absent, as in geth.

    Paris begins at ``mergeNetsplitBlock``, or with the chain where the terminal total difficulty is
    0. Blob parameters of Cancun, Prague and Osaka default to mainnet's.

    Raises:
        GenesisError: naming a fork that is out of order, missing before a later one, or not
            followed here (the DAO fork), or a merge without its block.
    """
    _refuse_dao(config)
    difficulty = config.get("terminalTotalDifficulty")
    total = None if difficulty is None else number(difficulty, _path(_MERGE[0]), 0, _UINT256_MAX)
    blocks = _blocks(config, is_merged=total == 0)
    times = _starts(config, _TIMES)
    if times and blocks[-1][1] is not Fork.PARIS:
        raise GenesisError(
            f"{_path(times[0][0])}: {times[0][1]}, but config.mergeNetsplitBlock is absent and "
            f"config.terminalTotalDifficulty {total}, expected the merge before it"
        )
    bpo = _starts(config, [(name, Fork.OSAKA) for name in _BPO_TIMES])
    if bpo and (not times or times[-1][2] is not Fork.OSAKA):
        raise GenesisError(f"{_path(bpo[0][0])}: {bpo[0][1]}, but config.osakaTime is absent")
    _refuse_disorder([*times, *bpo])
    return ForkSchedule(
        blocks=blocks,
        times=_last_of_each((start, fork) for _, start, fork in times),
        blobs=_blobs(config, [*times, *bpo]),
        terminal_total_difficulty=total or 0,
    )


def format_schedule(schedule: ForkSchedule) -> dict[str, Any]:
    """The fields of ``config`` that ``parse_schedule`` reads back to an equivalent schedule."""
    config: dict[str, Any] = {}
    for name, fork in _BLOCKS:
        start = _start(schedule.blocks, fork)
        if start is not None:
            config[name] = start
    if "mergeNetsplitBlock" in config:
        config["terminalTotalDifficulty"] = schedule.terminal_total_difficulty
        config["terminalTotalDifficultyPassed"] = True
    blobs: dict[str, BlobParameters] = {}
    for name, fork in _TIMES:
        start = _start(schedule.times, fork)
        if start is not None:
            config[name] = start
            parameters = schedule.blob_parameters(start)
            if fork >= Fork.CANCUN and parameters is not None:
                blobs[name.removesuffix("Time")] = parameters
    fork_times = {start for start, _ in schedule.times}
    changes = [entry for entry in schedule.blobs if entry[0] not in fork_times]
    if len(changes) > len(_BPO_TIMES):
        raise GenesisError(f"{len(changes)} blob parameter forks, at most {len(_BPO_TIMES)}")
    for name, (start, parameters) in zip(_BPO_TIMES, changes, strict=False):
        config[name] = start
        blobs[name.removesuffix("Time")] = parameters
    if blobs:
        config["blobSchedule"] = {name: _format_blobs(item) for name, item in blobs.items()}
    return config


def _refuse_dao(config: Mapping[str, Any]) -> None:
    """The DAO fork moved balances by hand; this software does not follow it."""
    support = config.get("daoForkSupport")
    if support is not None and boolean(support, _path("daoForkSupport")):
        raise GenesisError("config.daoForkSupport: True, expected false or absent")
    block = config.get("daoForkBlock")
    if block is not None and number(block, _path("daoForkBlock")) != 0:
        raise GenesisError(f"config.daoForkBlock: {block!r}, expected 0 or absent")


def _blocks(config: Mapping[str, Any], is_merged: bool) -> tuple[tuple[int, Fork], ...]:
    """Forks by block number, compressed; Paris at 0 where the chain begins merged."""
    fields = dict(config)
    if fields.get("petersburgBlock") is None:  # as geth reads it
        fields["petersburgBlock"] = fields.get("constantinopleBlock")
    if is_merged and fields.get("mergeNetsplitBlock") is None:
        fields["mergeNetsplitBlock"] = 0
    starts = _starts(fields, _BLOCKS)
    _refuse_disorder(starts)
    by_name = {name: start for name, start, _ in starts}
    if by_name.get("eip155Block") != by_name.get("eip158Block"):
        raise GenesisError(
            f"config.eip158Block: {by_name.get('eip158Block')}, expected that of eip155Block, "
            f"{by_name.get('eip155Block')}"
        )
    if is_merged and by_name["mergeNetsplitBlock"] != 0:
        raise GenesisError(
            f"config.mergeNetsplitBlock: {by_name['mergeNetsplitBlock']}, expected 0, because "
            "config.terminalTotalDifficulty is 0"
        )
    return _last_of_each([(0, Fork.FRONTIER), *((start, fork) for _, start, fork in starts)])


def _starts(
    config: Mapping[str, Any], names: Iterable[tuple[str, Fork]]
) -> list[tuple[str, int, Fork]]:
    """(field, start, fork) of the fields that are present; no gap among them."""
    found: list[tuple[str, int, Fork]] = []
    gap = ""
    for name, fork in names:
        if config.get(name) is None:
            gap = gap or ("" if fork in _MAY_BE_ABSENT else name)
            continue
        start = number(config[name], _path(name))
        if gap:
            raise GenesisError(f"{_path(name)}: {start}, but config.{gap} before it is absent")
        found.append((name, start, fork))
    return found


def _refuse_disorder(starts: list[tuple[str, int, Fork]]) -> None:
    for (before, first, _), (name, second, _) in pairwise(starts):
        if second < first:
            raise GenesisError(f"{_path(name)}: {second}, expected {before}, {first}, or later")


def _blobs(
    config: Mapping[str, Any], starts: list[tuple[str, int, Fork]]
) -> tuple[tuple[int, BlobParameters], ...]:
    """Blob parameters by time; a fork that changes none has no entry."""
    schedule = object_of(config.get("blobSchedule") or {}, "config.blobSchedule")
    refuse_unknown(schedule, _BLOB_NAMES, "config.blobSchedule")
    found: list[tuple[int, BlobParameters]] = []
    for field, start, fork in starts:
        name = field.removesuffix("Time")
        if fork < Fork.CANCUN:
            continue
        if schedule.get(name) is not None:
            parameters = _blob_parameters(schedule[name], f"config.blobSchedule.{name}")
        elif name in _DEFAULT_BLOBS:
            parameters = _DEFAULT_BLOBS[name]
        else:
            raise GenesisError(f"config.blobSchedule.{name}: absent, but {field} is {start}")
        found.append((start, parameters))
    fork_times = {start for field, start, _ in starts if field not in _BPO_TIMES}
    result: list[tuple[int, BlobParameters]] = []
    for start, parameters in _last_of_each(found):
        if start not in fork_times or not result or result[-1][1] != parameters:
            result.append((start, parameters))
    return tuple(result)


def _blob_parameters(value: Any, where: str) -> BlobParameters:
    fields = object_of(value, where)
    refuse_unknown(fields, ("target", "max", "baseFeeUpdateFraction"), where)
    most = number(fields.get("max"), f"{where}.max", 0, 1 << 16)
    return BlobParameters(
        target=number(fields.get("target"), f"{where}.target", 0, most),
        max=most,
        base_fee_update_fraction=number(
            fields.get("baseFeeUpdateFraction"), f"{where}.baseFeeUpdateFraction", 1
        ),
    )


def _format_blobs(parameters: BlobParameters) -> dict[str, int]:
    return {
        "target": parameters.target,
        "max": parameters.max,
        "baseFeeUpdateFraction": parameters.base_fee_update_fraction,
    }


def _last_of_each(entries: Iterable[tuple[int, _Kind]]) -> tuple[tuple[int, _Kind], ...]:
    """Of entries with the same start, the last."""
    return tuple(dict(entries).items())


def _start(entries: tuple[tuple[int, Fork], ...], fork: Fork) -> int | None:
    """Where ``fork`` begins: at the first entry of it or a later one."""
    return next((start for start, entry in entries if entry >= fork), None)


def _path(name: str) -> str:
    return f"config.{name}"
