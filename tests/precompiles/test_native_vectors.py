"""Golden vectors of the native accounts: one story of calls on one state, byte for byte.

``python -m tests.precompiles.test_native_vectors`` writes them anew, which is a consensus change.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from genesis.addresses import INFERENCE, MODEL_REGISTRY
from precompiles.repositories import format_cid, repository_id
from tests.precompiles.native_calls import (
    ALICE,
    AUTHORITY,
    BOB,
    SMALL,
    SMALL_ID,
    SMALL_INPUT,
    Chain,
    Outcome,
    calldata,
)

VECTORS = Path(__file__).parent.parent / "vectors" / "native_accounts.json"
ETHER = 10**18
WADS = [ETHER // 2, ETHER, 3 * ETHER // 2]
REPO = repository_id(ALICE, "small")
SIZE, CHUNK = len(SMALL), 100


def story() -> Iterator[tuple[bytes, bytes, bytes, bool]]:
    """Account, caller, calldata, static."""
    ask = "infer(bytes32,bytes)"
    upload, publish = "upload(bytes32,uint32,bytes)", "publish(bytes32)"
    registry: list[tuple[bytes, str, tuple[Any, ...]]] = [
        (ALICE, publish, (SMALL_ID,)),
        (ALICE, "begin(bytes32,uint32,uint32)", (SMALL_ID, SIZE, CHUNK)),
        (ALICE, publish, (SMALL_ID,)),
        (BOB, upload, (SMALL_ID, 1, SMALL[CHUNK:])),
        (BOB, upload, (SMALL_ID, 0, bytes(CHUNK))),
        (BOB, publish, (SMALL_ID,)),
        (ALICE, upload, (SMALL_ID, 0, SMALL[:CHUNK])),
        (ALICE, upload, (SMALL_ID, 0, SMALL[:CHUNK])),
        (ALICE, publish, (SMALL_ID,)),
        (BOB, "modelInfo(bytes32)", (SMALL_ID,)),
        (BOB, "modelBytes(bytes32,uint32,uint32)", (SMALL_ID, 90, 20)),
        (ALICE, "createRepository(string,string)", ("small", "three numbers")),
        (ALICE, "release(bytes32,string,bytes32,string)", (REPO, "1.0", SMALL_ID, "first")),
        (BOB, "setDeprecated(bytes32,uint32,bool)", (REPO, 0, True)),
        (AUTHORITY, "setAlias(string,bytes32)", ("demo", SMALL_ID)),
        (BOB, "resolve(string)", (f"0x{ALICE.hex()}/small@1.0",)),
        (BOB, "resolve(string)", (format_cid(SMALL_ID),)),
        (BOB, "resolve(string)", ("demo",)),
        (BOB, "resolve(string)", ("demos",)),
        (ALICE, "transferRepository(bytes32,address)", (REPO, BOB)),
    ]
    yield INFERENCE, BOB, calldata(ask, SMALL_ID, SMALL_INPUT), True
    for caller, signature, arguments in registry:
        yield MODEL_REGISTRY, caller, calldata(signature, *arguments), False
    yield INFERENCE, BOB, calldata(ask, SMALL_ID, SMALL_INPUT), True
    yield INFERENCE, BOB, calldata(ask, SMALL_ID, SMALL_INPUT[1:]), True
    yield INFERENCE, BOB, calldata("inferWad(bytes32,int256[])", SMALL_ID, WADS), True
    yield INFERENCE, BOB, calldata("classify(bytes32,int256[])", SMALL_ID, WADS), True
    yield INFERENCE, BOB, calldata("gasFor(bytes32,uint256)", SMALL_ID, 2), True
    yield INFERENCE, BOB, calldata("inferAndLog(bytes32,bytes)", SMALL_ID, SMALL_INPUT), False
    yield INFERENCE, BOB, calldata("inferAndLog(bytes32,bytes)", SMALL_ID, SMALL_INPUT), True
    yield INFERENCE, BOB, bytes(4), False
    yield INFERENCE, BOB, calldata(ask, SMALL_ID, SMALL_INPUT)[:40], True


def played() -> dict[str, Any]:
    """Every call with its outcome, and the state at the end."""
    chain = Chain()
    calls = []
    for account, caller, data, static in story():
        outcome: Outcome = chain.call(account, data, caller=caller, static=static)
        logs = [[*(topic.hex() for topic in topics), body.hex()] for topics, body in outcome.logs]
        calls.append(
            {
                "account": account.hex(),
                "caller": caller.hex(),
                "static": static,
                "calldata": data.hex(),
                "error": outcome.error,
                "output": outcome.data.hex(),
                "gas": outcome.gas_used,
                "logs": logs,
            }
        )
    storage = {
        f"{slot:064x}": f"{word:064x}"
        for (_, slot), word in sorted(chain.state.words.items())
        if word
    }
    codes = {address.hex(): code.hex() for address, code in sorted(chain.state.codes.items())}
    return {"calls": calls, "registryStorage": storage, "codes": codes}


def test_golden_story() -> None:
    expected = json.loads(VECTORS.read_text())
    got = played()
    for mine, theirs in zip(got["calls"], expected["calls"], strict=True):
        assert mine == theirs
    assert got == expected


if __name__ == "__main__":
    VECTORS.write_text(json.dumps(played(), indent=1) + "\n")
