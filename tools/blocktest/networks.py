"""Fork schedules by the names that Ethereum's tests give them: ``PragueToOsakaAtTime15k``."""

import re
from collections.abc import Mapping
from typing import Any, Final

from genesis.forks import CANCUN_BLOBS, PRAGUE_BLOBS, BlobParameters, Fork, ForkSchedule
from tools.errors import ToolError

_FORKS: Final = {
    "Frontier": Fork.FRONTIER,
    "Homestead": Fork.HOMESTEAD,
    "EIP150": Fork.TANGERINE_WHISTLE,
    "TangerineWhistle": Fork.TANGERINE_WHISTLE,
    "EIP158": Fork.SPURIOUS_DRAGON,
    "SpuriousDragon": Fork.SPURIOUS_DRAGON,
    "Byzantium": Fork.BYZANTIUM,
    "Constantinople": Fork.CONSTANTINOPLE,
    "ConstantinopleFix": Fork.PETERSBURG,
    "Petersburg": Fork.PETERSBURG,
    "Istanbul": Fork.ISTANBUL,
    "MuirGlacier": Fork.MUIR_GLACIER,
    "Berlin": Fork.BERLIN,
    "London": Fork.LONDON,
    "ArrowGlacier": Fork.ARROW_GLACIER,
    "GrayGlacier": Fork.GRAY_GLACIER,
    "Paris": Fork.PARIS,
    "Merge": Fork.PARIS,
    "Shanghai": Fork.SHANGHAI,
    "Cancun": Fork.CANCUN,
    "Prague": Fork.PRAGUE,
    "Osaka": Fork.OSAKA,
    "BPO1": Fork.OSAKA,
    "BPO2": Fork.OSAKA,
    "BPO3": Fork.OSAKA,
    "BPO4": Fork.OSAKA,
    "BPO5": Fork.OSAKA,
}
_BLOB_FORKS: Final = ("Cancun", "Prague", "Osaka", "BPO1", "BPO2", "BPO3", "BPO4", "BPO5")
_KNOWN_BLOBS: Final = {"Cancun": CANCUN_BLOBS, "Prague": PRAGUE_BLOBS}
_TRANSITION: Final = re.compile(
    r"(?P<before>\w+?)To(?P<after>\w+?)At"
    r"(?:Time(?P<time>\d+)(?P<thousands>k?)|Diff(?P<difficulty>[0-9A-Fa-f]+)|(?P<block>\d+))"
)


class UnknownNetwork(ToolError):
    """A network that no fork schedule is known for."""


def schedule_of(network: str, blobs: Mapping[str, Any], total_difficulty: int = 0) -> ForkSchedule:
    """Schedule of a test's network.

    Args:
        network: a fork, or ``AToBAt5`` (block), ``AToBAtTime15k`` (seconds) or ``AToBAtDiffC0000``
            (total difficulty, hexadecimal).
        blobs: ``config.blobSchedule`` of the test; Ethereum's own where it is empty.
        total_difficulty: of the parent of the block to come; decides ``AtDiff`` only.

    Raises:
        UnknownNetwork: no such name.
    """
    parts = _TRANSITION.fullmatch(network)
    if parts is None:
        return _schedule([(0, network)], blobs)
    before, after = parts["before"], parts["after"]
    if parts["time"]:
        return _schedule([(0, before), (_seconds(parts), after)], blobs)
    if parts["difficulty"]:
        has_merged = total_difficulty >= int(parts["difficulty"], 16)
        return _schedule([(0, after if has_merged else before)], blobs)
    start = _fork(before), _fork(after)
    if start[1] > Fork.PARIS:
        raise UnknownNetwork(f"network {network!r}: {after} does not begin at a block")
    return ForkSchedule(blocks=((0, start[0]), (int(parts["block"]), start[1])))


def _seconds(parts: re.Match[str]) -> int:
    return int(parts["time"]) * (1000 if parts["thousands"] else 1)


def _fork(name: str) -> Fork:
    if name not in _FORKS:
        raise UnknownNetwork(f"network {name!r} is unknown")
    return _FORKS[name]


def _schedule(starts: list[tuple[int, str]], blobs: Mapping[str, Any]) -> ForkSchedule:
    """Schedule of forks by timestamp; the first of them from the first block on."""
    first = _fork(starts[0][1])
    times = [(start, _fork(name)) for start, name in starts if _fork(name) > Fork.PARIS]
    limits = [(start, _blobs(name, blobs)) for start, name in starts if name in _BLOB_FORKS]
    return ForkSchedule(
        blocks=((0, min(first, Fork.PARIS)),), times=tuple(times), blobs=tuple(limits)
    )


def _blobs(name: str, schedule: Mapping[str, Any]) -> BlobParameters:
    """Parameters of a fork: its own entry, or that of the last fork before it that has one."""
    found = _KNOWN_BLOBS["Cancun"]
    for candidate in _BLOB_FORKS[: _BLOB_FORKS.index(name) + 1]:
        entry = schedule.get(candidate)
        if entry is not None:
            values = [entry[key] for key in ("target", "max", "baseFeeUpdateFraction")]
            found = BlobParameters(*[int(str(value), 0) for value in values])
        else:
            found = _KNOWN_BLOBS.get(candidate, found)
    return found
