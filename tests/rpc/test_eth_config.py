"""``eth_config`` and fork hashes; what blocks of every fork look like over RPC."""

import json
from typing import Any

import pytest

from chain.evm.precompiled.table import ethereum_precompiles
from genesis.addresses import INFERENCE, MODEL_REGISTRY, VALIDATOR_SET
from genesis.forks import Fork, ForkSchedule, schedule_of
from genesis.predeploys import new_genesis
from genesis.spec import GenesisSpec
from rpc import encode
from rpc.methods.eth_config import fork_configs, fork_hash
from tests.chain.fixture_chain import fixture_chain, fixture_chain_folder

MAINNET = bytes.fromhex("d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3")
MAINNET_BLOCKS = (
    1_150_000, 1_920_000, 2_463_000, 2_675_000, 4_370_000, 7_280_000, 9_069_000, 9_200_000,
    12_244_000, 12_965_000, 13_773_000, 15_050_000,
)  # fmt: skip
MAINNET_TIMES = (1681338455, 1710338135, 1746612311, 1764798551, 1765290071, 1767747671)


@pytest.mark.parametrize(
    ("time", "hash"),
    [  # EIP-2124, EIP-6122 and EIP-7892
        (0, "f0afd0e3"),
        (1681338455, "dce96c2d"),
        (1710338135, "9f3d2254"),
        (1746612311, "c376cf8b"),
        (1764798551, "5167e2a6"),
        (1765290071, "cba2a1c0"),
        (1767747671, "07c9462e"),
    ],
)
def test_fork_hashes_of_mainnet(time: int, hash: str) -> None:
    """Fork numbers matter, not their names: mainnet has two that this software does not follow."""
    schedule = ForkSchedule(
        blocks=((0, Fork.FRONTIER), *((block, Fork.GRAY_GLACIER) for block in MAINNET_BLOCKS)),
        times=tuple((start, Fork.OSAKA) for start in MAINNET_TIMES),
    )
    assert fork_hash(MAINNET, schedule, 1438269973, time).hex() == hash
    assert fork_hash(MAINNET, schedule_of(Fork.FRONTIER), 0, 0).hex() == "fc64ec04"
    from_genesis = ForkSchedule(((0, Fork.PARIS),), ((5, Fork.OSAKA),))
    assert fork_hash(MAINNET, from_genesis, 5, 5).hex() == "fc64ec04"
    assert fork_hash(MAINNET, from_genesis, 4, 5).hex() != "fc64ec04"


@pytest.mark.parametrize("fork", Fork)
def test_precompiles_are_those_that_run(fork: Fork) -> None:
    spec = GenesisSpec(chain_id=1, assay=None, schedule=schedule_of(fork))
    current: Any = fork_configs(spec, bytes(32), 10)["current"]
    addresses = {bytes.fromhex(address[2:]) for address in current["precompiles"].values()}
    assert addresses == set(ethereum_precompiles(fork))
    assert list(current["precompiles"]) == sorted(current["precompiles"])


def test_an_assay_chain_names_its_native_accounts() -> None:
    answer: Any = fork_configs(new_genesis(7, [b"v" * 20], {}), bytes(32), 1_800_000_000)
    assert answer["next"] is answer["last"] is None
    current = answer["current"]
    assert current["activationTime"] == 0
    assert current["chainId"] == "0x7"
    assert current["blobSchedule"] == {"baseFeeUpdateFraction": 5007716, "max": 9, "target": 6}
    assert current["precompiles"]["P256VERIFY"] == "0x" + (0x100).to_bytes(20, "big").hex()
    assert current["precompiles"]["INFERENCE"] == encode.data(INFERENCE)
    assert current["precompiles"]["MODEL_REGISTRY"] == encode.data(MODEL_REGISTRY)
    assert current["systemContracts"]["VALIDATOR_SET_ADDRESS"] == encode.data(VALIDATOR_SET)
    assert "DEPOSIT_CONTRACT_ADDRESS" not in current["systemContracts"]


def test_forks_of_the_fixture_chain() -> None:
    spec, blocks = fixture_chain()
    at = {}
    for block in blocks[36:]:
        answer: Any = fork_configs(spec, blocks[0].hash, block.header.timestamp)
        at[block.number] = answer
    assert at[36]["current"]["blobSchedule"] is None
    assert at[36]["next"]["activationTime"] == 390
    assert at[39]["next"]["activationTime"] == 420
    assert at[47]["next"]["activationTime"] == 480
    assert at[47]["last"]["activationTime"] == 540
    assert at[51]["current"]["blobSchedule"]["max"] == 15
    assert at[53]["next"] == at[53]["last"] == at[54]["current"]
    assert at[54]["next"] is at[54]["last"] is None
    assert at[54]["current"]["systemContracts"].keys() == {
        "BEACON_ROOTS_ADDRESS",
        "CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS",
        "HISTORY_STORAGE_ADDRESS",
        "WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS",
    }
    ids = [answer["current"]["forkId"] for answer in at.values()]
    assert len(set(ids)) == 1 + 6


def answers(method: str) -> list[tuple[list[Any], Any]]:
    """(parameters, result) of every recorded request of the execution API specification."""
    found = []
    for file in sorted((fixture_chain_folder() / method).glob("*.io")):
        request: Any = None
        for line in file.read_text().splitlines():
            if line.startswith(">>"):
                request = json.loads(line[2:])
            elif line.startswith("<<") and "result" in (answer := json.loads(line[2:])):
                found.append((request.get("params", []), answer["result"]))
    return found


def test_blocks_look_as_recorded() -> None:
    by_hash = {encode.data(block.hash): block for block in fixture_chain()[1]}
    by_number = {hex(block.number): block for block in fixture_chain()[1]}
    checked = 0
    for method in ("eth_getBlockByNumber", "eth_getBlockByHash"):
        for (where, full), result in answers(method):
            if result is not None:
                block = by_hash.get(where) or by_number[result["number"]]
                assert encode.block(block, full) == result, where
                checked += 1
    assert checked >= 6


def test_transactions_look_as_recorded() -> None:
    places = {
        encode.data(transaction.hash): (transaction, block.header, index)
        for block in fixture_chain()[1]
        for index, transaction in enumerate(block.transactions)
    }
    recorded = [
        result
        for method in (
            "eth_getTransactionByHash",
            "eth_getTransactionByBlockHashAndIndex",
            "eth_getTransactionByBlockNumberAndIndex",
        )
        for _, result in answers(method)
        if result is not None
    ]
    assert len(recorded) >= 5
    for result in recorded:
        assert encode.transaction(*places[result["hash"]]) == result


def test_blob_transactions_show_their_hashes() -> None:
    block = fixture_chain()[1][42]
    shown = [encode.transaction(tx, block.header, i) for i, tx in enumerate(block.transactions)]
    blobs = [item for item in shown if item["type"] == "0x3"]
    assert blobs
    for item in blobs:
        assert isinstance(item["blobVersionedHashes"], list)
        assert str(item["blobVersionedHashes"][0]).startswith("0x01")
        assert int(str(item["maxFeePerBlobGas"]), 16) > 0


def test_uncles_are_blocks_without_transactions() -> None:
    block = next(block for block in fixture_chain()[1] if block.ommers)
    uncle = encode.uncle(block, 0)
    assert uncle is not None
    assert uncle["hash"] == encode.data(block.ommers[0].hash)
    assert "transactions" not in uncle
    assert encode.uncle(block, len(block.ommers)) is None
