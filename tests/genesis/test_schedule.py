"""Fork schedules: geth's ``config`` in, every contradiction refused by name."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genesis.errors import GenesisError
from genesis.forks import (
    CANCUN_BLOBS,
    OSAKA_FROM_GENESIS,
    PRAGUE_BLOBS,
    BlobParameters,
    Fork,
    ForkSchedule,
    schedule_of,
)
from genesis.predeploys import new_genesis
from genesis.schedule import format_schedule, parse_schedule
from genesis.spec import GenesisSpec, format_genesis, parse_genesis

BLOCKS = (
    "homesteadBlock", "eip150Block", "eip155Block", "eip158Block", "byzantiumBlock",
    "constantinopleBlock", "petersburgBlock", "istanbulBlock", "muirGlacierBlock", "berlinBlock",
    "londonBlock", "arrowGlacierBlock", "grayGlacierBlock", "mergeNetsplitBlock",
)  # fmt: skip
BLOBS = ("cancun", "prague", "osaka", "bpo1", "bpo2", "bpo3", "bpo4", "bpo5")
FRONTIER_TO_BPO: dict[str, Any] = {
    **dict(zip(BLOCKS, (0, 3, 6, 6, 9, 12, 15, 18, 21, 24, 27, 30, 33, 36), strict=True)),
    "terminalTotalDifficulty": 4732352,
    "shanghaiTime": 390,
    "cancunTime": 420,
    "pragueTime": 450,
    "osakaTime": 480,
    "bpo1Time": 510,
    "bpo2Time": 540,
    "blobSchedule": {
        "bpo1": {"target": 10, "max": 15, "baseFeeUpdateFraction": 8346193},
        "bpo2": {"target": 14, "max": 21, "baseFeeUpdateFraction": 11684671},
    },
}
"""The schedule of the execution API specification's fixture chain."""


def test_a_schedule_by_blocks_and_times() -> None:
    schedule = parse_schedule(FRONTIER_TO_BPO)
    forks = {n: schedule.fork(n, 10 * n) for n in (0, 2, 3, 8, 9, 26, 27, 35, 36, 38, 39, 42, 48)}
    assert forks == {
        0: Fork.HOMESTEAD,
        2: Fork.HOMESTEAD,
        3: Fork.TANGERINE_WHISTLE,
        8: Fork.SPURIOUS_DRAGON,
        9: Fork.BYZANTIUM,
        26: Fork.BERLIN,
        27: Fork.LONDON,
        35: Fork.GRAY_GLACIER,
        36: Fork.PARIS,
        38: Fork.PARIS,
        39: Fork.SHANGHAI,
        42: Fork.CANCUN,
        48: Fork.OSAKA,
    }
    assert schedule.blob_parameters(419) is None
    assert schedule.blob_parameters(420) == CANCUN_BLOBS
    assert schedule.blob_parameters(509) == PRAGUE_BLOBS
    assert schedule.blob_parameters(10**9) == BlobParameters(14, 21, 11684671)
    assert schedule.change_times() == (390, 420, 450, 480, 510, 540)


def test_forks_of_one_block_are_one() -> None:
    at_zero = dict.fromkeys(BLOCKS[:11], 0) | {"terminalTotalDifficulty": 0}
    times = dict.fromkeys(("shanghaiTime", "cancunTime", "pragueTime", "osakaTime"), 0)
    assert parse_schedule(at_zero | times) == OSAKA_FROM_GENESIS
    assert parse_schedule(at_zero) == schedule_of(Fork.PARIS)
    assert parse_schedule({}) == schedule_of(Fork.FRONTIER)


def test_glaciers_and_petersburg_may_be_left_out() -> None:
    config: dict[str, Any] = {
        name: index for index, name in enumerate(BLOCKS) if "Glacier" not in name
    }
    config |= {"eip158Block": 2, "petersburgBlock": None, "mergeNetsplitBlock": None}
    schedule = parse_schedule(config)
    assert schedule.fork(5, 0) is Fork.PETERSBURG
    assert schedule.fork(8, 0) is Fork.ISTANBUL
    assert schedule.fork(10**9, 0) is Fork.LONDON


def test_a_blob_fork_that_changes_nothing_is_one_nevertheless() -> None:
    """Its time is part of the fork hash (EIP-7892); Osaka's own time is one already."""
    same = {"target": 6, "max": 9, "baseFeeUpdateFraction": 5007716}
    config = {**FRONTIER_TO_BPO, "blobSchedule": {"bpo1": same, "bpo2": same}}
    schedule = parse_schedule(config)
    assert [start for start, _ in schedule.blobs] == [420, 450, 510, 540]
    assert schedule.change_times() == (390, 420, 450, 480, 510, 540)
    assert parse_schedule(format_schedule(schedule)) == schedule


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"eip150Block": None}, "eip155Block: 6, but config.eip150Block before it is absent"),
        ({"byzantiumBlock": 13}, "constantinopleBlock: 12, expected byzantiumBlock, 13, or later"),
        ({"muirGlacierBlock": 25}, "berlinBlock: 24, expected muirGlacierBlock, 25, or later"),
        ({"eip158Block": 7}, "eip158Block: 7, expected that of eip155Block, 6"),
        ({"eip158Block": None}, "eip158Block before it is absent"),
        ({"mergeNetsplitBlock": None}, "shanghaiTime: 390, but config.mergeNetsplitBlock is abs"),
        ({"terminalTotalDifficulty": 0}, "mergeNetsplitBlock: 36, expected 0, because"),
        ({"terminalTotalDifficulty": -1}, "terminalTotalDifficulty: -1"),
        ({"shanghaiTime": None}, "cancunTime: 420, but config.shanghaiTime before it is absent"),
        ({"pragueTime": 400}, "pragueTime: 400, expected cancunTime, 420, or later"),
        ({"osakaTime": None}, "bpo1Time: 510, but config.osakaTime is absent"),
        ({"bpo1Time": 470}, "bpo1Time: 470, expected osakaTime, 480, or later"),
        ({"bpo1Time": None}, "bpo2Time: 540, but config.bpo1Time before it is absent"),
        ({"bpo3Time": 600}, "blobSchedule.bpo3: absent, but bpo3Time is 600"),
        ({"blobSchedule": {"bpo9": {}}}, "blobSchedule: field 'bpo9' is unknown"),
        ({"blobSchedule": []}, "blobSchedule.bpo1: absent"),
        ({"blobSchedule": {"cancun": 3}}, "blobSchedule.cancun: 3, expected an object"),
        ({"blobSchedule": {"cancun": {"max": 1, "target": 2}}}, "cancun.target: 2, expected 0 to"),
        ({"daoForkSupport": True}, "daoForkSupport: True, expected false or absent"),
        ({"daoForkBlock": 5}, "daoForkBlock: 5, expected 0 or absent"),
    ],
)
def test_contradictions_are_refused_by_name(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(GenesisError, match=text):
        parse_schedule({**FRONTIER_TO_BPO, **changes})


starts = st.lists(st.integers(0, 99), min_size=13, max_size=13).map(sorted)
parameters = st.builds(
    lambda target, more, fraction: {
        "target": target, "max": target + more, "baseFeeUpdateFraction": fraction
    },
    st.integers(0, 9), st.integers(0, 9), st.integers(1, 10**9),
)  # fmt: skip


@given(
    starts,
    st.integers(0, 13),
    st.lists(st.integers(0, 99), max_size=9).map(sorted),
    st.lists(parameters, min_size=8, max_size=8),
    st.sets(st.sampled_from([name for name in BLOCKS if "Glacier" in name])),
)
def test_any_schedule_survives_its_file(
    numbers: list[int], count: int, times: list[int], blobs: list[Any], left_out: set[str]
) -> None:
    numbers = [*numbers[:3], numbers[2], *numbers[3:]]
    config: dict[str, Any] = dict(zip(BLOCKS[: count + (count > 2)], numbers, strict=False))
    if "mergeNetsplitBlock" in config:
        config["terminalTotalDifficulty"] = config["mergeNetsplitBlock"]
        config |= dict(
            zip(("shanghaiTime", *(name + "Time" for name in BLOBS)), times, strict=False)
        )
    config["blobSchedule"] = dict(zip(BLOBS, blobs, strict=True))
    schedule = parse_schedule({k: v for k, v in config.items() if k not in left_out})
    assert parse_schedule(format_schedule(schedule)) == schedule
    for number in range(0, 100, 7):
        fork = schedule.fork(number, 0)
        assert all(fork >= other for start, other in schedule.blocks if start <= number)


@pytest.mark.parametrize("fork", Fork)
def test_a_single_fork_survives_its_file(fork: Fork) -> None:
    if fork is not Fork.CONSTANTINOPLE:  # alone, the file means Petersburg as well
        assert parse_schedule(format_schedule(schedule_of(fork))) == schedule_of(fork)
    assert schedule_of(fork).fork(0, 0) is schedule_of(fork).fork(10**9, 10**9) is fork


def test_too_many_blob_changes_have_no_name() -> None:
    blobs = tuple((start, PRAGUE_BLOBS) for start in range(7))
    schedule = ForkSchedule(((0, Fork.PARIS),), ((0, Fork.OSAKA),), blobs)
    with pytest.raises(GenesisError, match="6 blob parameter forks, at most 5"):
        format_schedule(schedule)


def assay_file(**config: Any) -> str:
    document = json.loads(format_genesis(new_genesis(1, [b"v" * 20], {})))
    document["config"] = {**document["config"], **config}
    return json.dumps({**document})


def test_an_assay_chain_may_get_osaka_later() -> None:
    assert parse_genesis(assay_file()).schedule == OSAKA_FROM_GENESIS
    later = parse_genesis(assay_file(osakaTime=2_000_000_000)).schedule
    assert later.fork(5, 1_999_999_999) is Fork.PRAGUE
    assert later.fork(5, 2_000_000_000) is Fork.OSAKA
    never = parse_genesis(assay_file(osakaTime=None)).schedule
    assert never == schedule_of(Fork.PRAGUE)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"pragueTime": 5, "osakaTime": 5}, "Prague is not active at 0"),
        ({"pragueTime": None, "osakaTime": None}, "Prague is not active at 0"),
        ({"mergeNetsplitBlock": 1, "terminalTotalDifficulty": 9, "grayGlacierBlock": 1}, "Gray Gl"),
    ],
)
def test_an_assay_chain_starts_at_prague_or_later(changes: dict[str, Any], text: str) -> None:
    times = {} if "pragueTime" in changes else dict.fromkeys(
        ("shanghaiTime", "cancunTime", "pragueTime", "osakaTime")
    )  # fmt: skip
    with pytest.raises(GenesisError, match=text):
        parse_genesis(assay_file(**times, **changes))


def test_a_file_without_assay_is_a_chain_with_ethereums_rules() -> None:
    config = {**FRONTIER_TO_BPO, "chainId": 1, "ethash": {}, "clique": {"period": 5}}
    empty = dict.fromkeys(("number", "gasUsed", "parentHash", "baseFeePerGas", "excessBlobGas"))
    document = {"config": config, "gasLimit": "0x1388", "difficulty": "0x20000", "alloc": {}}
    spec = parse_genesis(json.dumps({**document, **empty, "extraData": "0x" + "11" * 97}))
    assert spec.assay is None
    assert spec.deposit_contract is None
    assert spec.base_fee_per_gas == 10**9
    assert len(spec.extra_data) == 97
    assert parse_genesis(format_genesis(spec)) == spec
    with pytest.raises(GenesisError, match=r"config\.assay: absent"):
        print(spec.qbft)
    with pytest.raises(GenesisError, match="difficulty: None"):
        parse_genesis(json.dumps({**document, "difficulty": None}))


def test_deposit_contract_and_blob_fields_survive() -> None:
    spec = GenesisSpec(
        chain_id=1, assay=None, deposit_contract=b"d" * 20, excess_blob_gas=7, blob_gas_used=131072
    )
    assert parse_genesis(format_genesis(spec)) == spec


def fixture_chain() -> Path | None:
    folder = Path(__file__).parents[3] / "shared" / "conformance" / "execution-apis"
    return folder if folder.is_dir() else None


@pytest.mark.skipif(fixture_chain() is None, reason="no fixture chain beside the repository")
def test_the_fixture_chains_genesis_file() -> None:
    folder = fixture_chain()
    assert folder is not None
    spec = parse_genesis((folder / "genesis.json").read_bytes())
    assert spec.schedule == parse_schedule(FRONTIER_TO_BPO)
    assert spec.chain_id == 3503995874084926
    assert parse_genesis(format_genesis(spec)) == spec
