"""Certificates from a database that has given up old states."""

from pathlib import Path

from chain.store import Store
from consensus.inference_certificate import build_certificate, check_certificate
from tests.consensus.sealed_chain import KEYS, SealedChain, address_of
from tests.precompiles.native_calls import SMALL, SMALL_ID, SMALL_INPUT

HISTORY = 2


def test_old_sets_are_proven_and_old_models_go_by_their_hash(tmp_path: Path) -> None:
    Store(tmp_path, history=HISTORY).close()
    chain = SealedChain(tmp_path)
    chain.publish(SMALL, 24_000)
    chain.add(chain.votes(address_of(KEYS[4]), True))
    for _ in range(HISTORY + 1):
        chain.add(sealers=KEYS[:4])
    call = chain.inference(SMALL_ID, SMALL_INPUT)
    mined = chain.add([call], KEYS[:4])
    document = build_certificate(chain.store, chain.spec, call.hash)
    checks = [check.name for check in check_certificate(document, chain.spec)]
    assert "validator set" in checks
    assert "model on chain" in checks
    for _ in range(HISTORY):
        chain.add(sealers=KEYS[:4])
    document = build_certificate(chain.store, chain.spec, call.hash)
    assert document["modelBytes"]["data"] == "0x" + SMALL.hex()
    assert document["modelBytes"]["accountProofs"] == []
    later = [check.name for check in check_certificate(document, chain.spec)]
    assert later == [name for name in checks if name != "model on chain"]
    assert mined < chain.store.oldest_state()
    chain.close()
