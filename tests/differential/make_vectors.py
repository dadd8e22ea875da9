"""Writes the golden files that EELS decides: ``make vectors``.

* ``eels_transactions.json``: encodings, right and wrong, and what each fork says of them.
* ``eels_tries.json``: entries in order of insertion (an empty value deletes) and the root.
"""

import json
import random
from pathlib import Path
from typing import Any, Final

from genesis.forks import Fork
from genesis.predeploys import system_allocations
from genesis.spec import Allocation
from tests.differential.eels import FORKS, ROOT, Eels
from tests.differential.signing import encode
from tests.differential.transactions import BREAKERS, random_draft
from tests.differential.worlds import CHAIN_ID, Case, eels_environment, random_world

VECTORS: Final = ROOT / "tests" / "vectors"
TRANSACTIONS: Final = VECTORS / "eels_transactions.json"
TRIES: Final = VECTORS / "eels_tries.json"
ALTERNATIVES: Final = (
    Fork.FRONTIER,
    Fork.BERLIN,
    Fork.LONDON,
    Fork.CANCUN,
    Fork.PRAGUE,
    Fork.OSAKA,
)
_RICH: Final = 1 << 200


def main() -> None:
    """Ask EELS for everything and write both files."""
    eels = Eels()
    _write(TRANSACTIONS, {"chain_id": CHAIN_ID, "transactions": transaction_vectors(eels)})
    _write(TRIES, {"tries": trie_vectors(eels)})
    eels.close()


def transaction_vectors(eels: Eels) -> list[dict[str, Any]]:
    """Every breaker and as many valid drafts, each judged by every fork."""
    rnd = random.Random(4)
    vectors = []
    for fork in ALTERNATIVES:
        case = random_world(rnd, fork)
        for name, breaker in {**BREAKERS, "valid": None}.items():
            for sender in range(1, 4):
                draft = random_draft(rnd, case, sender, 0).with_(data=rnd.randbytes(9))
                raw = breaker(rnd, case, draft) if breaker else encode(draft)
                if raw is not None and len(raw) < 2_000:
                    vectors.append(
                        {"note": name, "raw": "0x" + raw.hex(), "forks": _all(eels, raw)}
                    )
    return vectors


def _all(eels: Eels, raw: bytes) -> dict[str, Any]:
    """Verdict of each fork; a fork that agrees with the one before is left out."""
    verdicts: dict[str, Any] = {}
    last = None
    for fork in FORKS:
        verdict = _verdict(eels, fork, raw)
        if verdict != last:
            verdicts[fork.name] = last = verdict
    return verdicts


def _verdict(eels: Eels, fork: Fork, raw: bytes) -> dict[str, Any]:
    """Refusal, or sender and gas, where the sender has the nonce and any money."""
    found = eels.ask("transaction", fork=FORKS[fork], chain_id=CHAIN_ID, raw=raw)
    if found["refused"]:
        return {"refused": found["refused"]}
    alloc = {found["sender"]: Allocation(balance=_RICH, nonce=found["nonce"])}
    if fork >= Fork.CANCUN:
        alloc |= system_allocations()
    eels.open(fork, CHAIN_ID, alloc)
    case = Case(fork, {}, alloc, (raw,), {})
    refused = eels.block(eels_environment(case), [raw])["transactions"][0]["refused"]
    if refused:
        return {"refused": refused}
    return {
        "sender": "0x" + found["sender"].hex(),
        "hash": "0x" + found["hash"].hex(),
        "intrinsic_gas": found["intrinsic_gas"],
        "floor_gas": found["floor_gas"],
    }


def trie_vectors(eels: Eels) -> list[dict[str, Any]]:
    """Tries of every shape: embedded nodes, deep branches, deletions, keys of one length."""
    rnd = random.Random(5)
    vectors = []
    for count in (0, 1, 2, 3, 5, 16, 17, 40, 200):
        for secured in (False, True):
            for width in (1, 2, 32):
                alphabet = [rnd.randbytes(width) for _ in range(count)]
                if width == 32 and not secured:
                    alphabet = [bytes(30) + key[:2] for key in alphabet]  # long common paths
                pairs = [(key, rnd.randbytes(rnd.choice([1, 2, 31, 33, 90]))) for key in alphabet]
                pairs += [(key, b"") for key in alphabet[: count // 3]]
                pairs += [(key, b"\x05") for key in alphabet[: count // 5]]
                root = eels.ask("trie", secured=secured, pairs=pairs)["root"]
                items = [["0x" + key.hex(), "0x" + value.hex()] for key, value in pairs]
                vectors.append({"secured": secured, "pairs": items, "root": "0x" + root.hex()})
    return vectors


def _write(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, separators=(",", ":")).replace('},{"', '},\n{"') + "\n")
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
