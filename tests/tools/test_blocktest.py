"""``assay blocktest``: what passes, what fails, and what is said about it."""

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from chain.blocks import Block
from chain.state_reader import EMPTY_ACCOUNT, StateReader
from genesis.forks import CANCUN_BLOBS, PRAGUE_BLOBS, BlobParameters, Fork, ForkSchedule
from tests.chain.ethereum_world import ethereum_chain, ethereum_spec
from tests.chain.evm_world import COINBASE, MemoryChain
from tests.chain.records import CHAIN_ID, transaction
from tests.tools.command_line import Assay
from tools.blocktest.networks import UnknownNetwork, schedule_of


def fixture(
    chain: MemoryChain, network: str, blocks: Sequence[Block], **changes: Any
) -> dict[str, Any]:
    """A test that wants ``blocks`` taken and the head of ``chain`` after them."""
    state = chain.state()
    watched = [*chain.spec.alloc, COINBASE, *(tx.to for b in blocks for tx in b.transactions)]
    test = {
        "network": network,
        "config": {"network": network, "chainid": hex(CHAIN_ID)},
        "genesisRLP": "0x" + chain.blocks[0].rlp.hex(),
        "pre": {
            "0x" + address.hex(): {
                "nonce": hex(entry.nonce),
                "balance": hex(entry.balance),
                "code": "0x" + entry.code.hex(),
                "storage": {hex(slot): hex(word) for slot, word in entry.storage.items()},
            }
            for address, entry in chain.spec.alloc.items()
        },
        "blocks": [{"rlp": "0x" + block.rlp.hex(), "blockHeader": {}} for block in blocks],
        "lastblockhash": "0x" + chain.head.hash.hex(),
        "postState": {
            "0x" + address.hex(): account_fields(state, address)
            for address in dict.fromkeys(watched)
            if state.account(address) != EMPTY_ACCOUNT
        },
    }
    return {**test, **changes}


def account_fields(state: StateReader, address: bytes) -> dict[str, Any]:
    """An account as fixtures write it; storage only for the slots that tests here use."""
    account = state.account(address)
    slots = {slot: state.storage(address, slot) for slot in range(8)}
    return {
        "nonce": hex(account.nonce),
        "balance": hex(account.balance),
        "code": "0x" + state.code(address).hex(),
        "storage": {hex(slot): hex(word) for slot, word in slots.items() if word},
    }


def legacy(nonce: int) -> Any:
    return transaction(type=0, chain_id=None, nonce=nonce)


def mined(fork: Fork) -> MemoryChain:
    chain = ethereum_chain(fork)
    chain.mine(legacy(0))
    chain.mine(legacy(1))
    return chain


def write(folder: Path, name: str = "tests.json", **tests: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(json.dumps(tests))
    return file


def last_line(text: str) -> str:
    return text.rstrip().splitlines()[-1]


@pytest.mark.parametrize(
    ("network", "fork"),
    [
        ("Frontier", Fork.FRONTIER),
        ("EIP158", Fork.SPURIOUS_DRAGON),
        ("ConstantinopleFix", Fork.PETERSBURG),
        ("London", Fork.LONDON),
        ("Shanghai", Fork.SHANGHAI),
    ],
)
def test_valid_blocks_pass(network: str, fork: Fork, tmp_path: Path, assay: Assay) -> None:
    chain = mined(fork)
    done = assay("blocktest", write(tmp_path, one=fixture(chain, network, chain.blocks[1:])))
    assert last_line(done.out) == "1 passed, 0 failed"
    assert done.code == 0


def test_each_failure_is_one_line_with_its_reason(tmp_path: Path, assay: Assay) -> None:
    chain = mined(Fork.BERLIN)
    blocks = chain.blocks[1:]
    good = fixture(chain, "Berlin", blocks)
    poor = copy.deepcopy(good)
    poor["postState"]["0x" + COINBASE.hex()]["balance"] = "0x1"
    wrongly_taken = copy.deepcopy(good)
    wrongly_taken["blocks"][1]["expectException"] = "BlockException.GAS_USED_OVERFLOW"
    file = write(
        tmp_path,
        good=good,
        head={**good, "lastblockhash": "0x" + "11" * 32},
        state=poor,
        root={**good, "postState": None, "postStateHash": "0x" + "22" * 32},
        taken=wrongly_taken,
        refused={**good, "network": "Homestead"},
        unknown={**good, "network": "Atlantis"},
        genesis={**good, "pre": {}},
    )
    done = assay("blocktest", file, "--jobs", "1")
    assert done.code == 1
    assert last_line(done.out) == "1 passed, 7 failed"
    reasons = dict(
        line.removeprefix(f"{file}: ").split(": ", 1) for line in done.out.splitlines()[:-1]
    )
    assert reasons["head"].startswith(f"head 0x{chain.head.hash.hex()}, want 0x1111")
    assert f"account 0x{COINBASE.hex()}: balance " in reasons["state"]
    assert reasons["root"].startswith("state root 0x")
    assert reasons["taken"] == "block 1 was taken: want BlockException.GAS_USED_OVERFLOW"
    assert reasons["refused"].startswith("block 0 was refused: ")
    assert reasons["unknown"] == "network 'Atlantis' is unknown"
    assert reasons["genesis"].startswith("genesis: genesis state root 0x")


def test_wrong_blocks_must_be_refused(tmp_path: Path, assay: Assay) -> None:
    chain = mined(Fork.PARIS)
    test = fixture(chain, "Paris", chain.blocks[1:])
    bad = {"rlp": test["blocks"][1]["rlp"][:-4] + "beef", "expectException": "any"}
    orphan = {"rlp": test["blocks"][1]["rlp"], "expectException": "BlockException.UNKNOWN_PARENT"}
    without_header = {"rlp": "0xc0"}
    test["blocks"] = [orphan, test["blocks"][0], bad, test["blocks"][1], without_header]
    done = assay("blocktest", write(tmp_path, one=test))
    assert done.code == 0, done.out


def test_head_follows_total_difficulty_before_the_merge(tmp_path: Path, assay: Assay) -> None:
    short, long = ethereum_chain(Fork.LONDON), ethereum_chain(Fork.LONDON)
    late, _ = short.build(timestamp=short.head.header.timestamp + 1000)  # of low difficulty
    short.append(short.execute(late.block))
    early, _ = long.build([legacy(0)], timestamp=long.head.header.timestamp + 1)
    long.append(long.execute(early.block))
    tip, side = long.head, short.head
    assert tip.header.difficulty > side.header.difficulty
    for blocks in ([side, tip], [tip, side]):
        test = fixture(long, "London", blocks)
        assert assay("blocktest", write(tmp_path, one=test)).code == 0


def test_first_of_two_equal_blocks_stays_the_head(tmp_path: Path, assay: Assay) -> None:
    first, second = ethereum_chain(Fork.LONDON), ethereum_chain(Fork.LONDON)
    first.mine(legacy(0))
    second.mine()
    test = fixture(first, "London", [first.head, second.head])
    assert assay("blocktest", write(tmp_path, one=test)).code == 0


def test_newest_block_is_the_head_after_the_merge(tmp_path: Path, assay: Assay) -> None:
    first, second = ethereum_chain(Fork.PARIS), ethereum_chain(Fork.PARIS)
    first.mine(legacy(0))
    second.mine()
    test = fixture(second, "Paris", [first.head, second.head])
    assert assay("blocktest", write(tmp_path, one=test)).code == 0
    swapped = fixture(second, "Paris", [second.head, first.head])
    assert assay("blocktest", write(tmp_path, one=swapped)).code == 1


def test_merge_at_a_total_difficulty(tmp_path: Path, assay: Assay) -> None:
    schedule = ForkSchedule(blocks=((0, Fork.LONDON), (2, Fork.PARIS)))
    chain = MemoryChain(natives={}, spec=ethereum_spec(schedule))
    for nonce in range(3):
        chain.mine(legacy(nonce))
    reached = sum(block.header.difficulty for block in chain.blocks[:2])
    test = fixture(chain, f"LondonToParisAtDiff{reached:x}", chain.blocks[1:])
    assert assay("blocktest", write(tmp_path, one=test)).code == 0
    late = fixture(chain, f"LondonToParisAtDiff{reached + 1:x}", chain.blocks[1:])
    assert assay("blocktest", write(tmp_path, one=late)).code == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "not JSON: "),
        ("[]", "not a file of blockchain tests: a JSON list"),
        ('{"one": 1}', "not a blockchain test: 'one' is no object"),
        (
            '{"one": {"env": {}, "transaction": {}}}',
            "not a blockchain test: 'one' has no 'network'",
        ),
        (
            '{"one": {"network": "Osaka", "genesisRLP": "0xzz", "pre": {}, "blocks": []}}',
            "malformed blockchain test 'one': ",
        ),
        ('{"one": {"network": "Osaka", "genesisRLP": "0x", "pre": 5}}', "malformed"),
    ],
)
def test_foreign_files_are_failures(
    content: str, reason: str, tmp_path: Path, assay: Assay
) -> None:
    file = tmp_path / "foreign.json"
    file.write_text(content)
    done = assay("blocktest", file)
    assert done.code == 1
    assert reason in done.out
    assert last_line(done.out) == "0 passed, 1 failed"


def test_folders_are_searched_and_tests_filtered(tmp_path: Path, assay: Assay) -> None:
    chain = mined(Fork.PARIS)
    test = fixture(chain, "Paris", chain.blocks[1:])
    write(tmp_path / "a", alpha=test, beta=test)
    write(tmp_path / "b" / "c", gamma=test)
    write(tmp_path / ".meta", "index.json", delta={})
    (tmp_path / "notes.txt").write_text("no test")
    assert last_line(assay("blocktest", tmp_path, "--jobs", "1").out) == "3 passed, 0 failed"
    some = assay("blocktest", tmp_path, "--jobs", "1", "--filter", "^(alpha|gamma)$")
    assert last_line(some.out) == "2 passed, 0 failed"
    by_file = assay("blocktest", tmp_path, "--jobs", "1", "--filter", "/b/c/")
    assert last_line(by_file.out) == "1 passed, 0 failed"


def test_nothing_run_is_no_success(tmp_path: Path, assay: Assay) -> None:
    chain = mined(Fork.PARIS)
    file = write(tmp_path, one=fixture(chain, "Paris", chain.blocks[1:]))
    for arguments in ((file, "--filter", "no such test"), (write(tmp_path / "empty"),)):
        done = assay("blocktest", *arguments)
        assert (done.code, last_line(done.out)) == (1, "0 passed, 0 failed")
    assert assay("blocktest", tmp_path / "absent").code == 2
    assert assay("blocktest", file, "--filter", "(").code == 2


def test_json_document(tmp_path: Path, assay: Assay) -> None:
    chain = mined(Fork.PARIS)
    good = fixture(chain, "Paris", chain.blocks[1:])
    file = write(tmp_path, good=good, bad={**good, "network": "Atlantis"})
    done = assay("blocktest", file, "--json")
    assert done.code == 1
    assert json.loads(done.out) == {
        "passed": 1,
        "failed": 1,
        "failures": [{"file": str(file), "name": "bad", "reason": "network 'Atlantis' is unknown"}],
    }


def test_reference_runs_valid_blocks_too(tmp_path: Path, assay: Assay) -> None:
    chain = mined(Fork.LONDON)
    file = write(tmp_path, one=fixture(chain, "London", chain.blocks[1:]))
    done = assay("blocktest", file, "--reference")
    assert (done.code, last_line(done.out)) == (0, "1 passed, 0 failed"), done.out


@pytest.mark.e2e
def test_several_processes(tmp_path: Path, assay: Assay) -> None:
    chain = mined(Fork.PARIS)
    good = fixture(chain, "Paris", chain.blocks[1:])
    for number in range(5):
        write(tmp_path, f"{number}.json", good=good, bad={**good, "network": "Atlantis"})
    done = assay("blocktest", tmp_path, "--jobs", "2")
    assert last_line(done.out) == "5 passed, 5 failed"


@pytest.mark.parametrize(
    ("network", "moments"),
    [
        ("Cancun", [((0, 0), Fork.CANCUN)]),
        ("FrontierToHomesteadAt5", [((4, 0), Fork.FRONTIER), ((5, 0), Fork.HOMESTEAD)]),
        ("EIP158ToByzantiumAt5", [((4, 0), Fork.SPURIOUS_DRAGON), ((5, 0), Fork.BYZANTIUM)]),
        ("BerlinToLondonAt5", [((4, 99), Fork.BERLIN), ((5, 99), Fork.LONDON)]),
        ("ParisToShanghaiAtTime15k", [((9, 14_999), Fork.PARIS), ((9, 15_000), Fork.SHANGHAI)]),
        ("PragueToOsakaAtTime15k", [((9, 14_999), Fork.PRAGUE), ((9, 15_000), Fork.OSAKA)]),
        ("BPO1ToBPO2AtTime15k", [((9, 0), Fork.OSAKA), ((9, 15_000), Fork.OSAKA)]),
    ],
)
def test_schedule_of_a_network(network: str, moments: list[tuple[tuple[int, int], Fork]]) -> None:
    schedule = schedule_of(network, {})
    for (number, timestamp), fork in moments:
        assert schedule.fork(number, timestamp) == fork


def test_blob_parameters_of_a_network() -> None:
    blobs = {
        "Osaka": {"target": "0x06", "max": "0x09", "baseFeeUpdateFraction": "0x4c6964"},
        "BPO1": {"target": "0x0a", "max": "0x0f", "baseFeeUpdateFraction": "0x7f5a51"},
    }
    assert schedule_of("CancunToPragueAtTime15k", {}).blob_parameters(14_999) == CANCUN_BLOBS
    assert schedule_of("CancunToPragueAtTime15k", {}).blob_parameters(15_000) == PRAGUE_BLOBS
    assert schedule_of("Shanghai", blobs).blob_parameters(0) is None
    changing = schedule_of("OsakaToBPO1AtTime15k", blobs)
    assert changing.blob_parameters(0) == PRAGUE_BLOBS
    assert changing.blob_parameters(15_000) == BlobParameters(10, 15, 0x7F5A51)
    inherited = schedule_of("BPO2", blobs)
    assert inherited.blob_parameters(0) == BlobParameters(10, 15, 0x7F5A51)


@pytest.mark.parametrize("name", ["Atlantis", "CancunToAtlantisAtTime15k", "CancunToPragueAt5", ""])
def test_unknown_networks(name: str) -> None:
    with pytest.raises(UnknownNetwork):
        schedule_of(name, {})
