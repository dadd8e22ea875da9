"""Writes tests/vectors/precompiled.json: what Ethereum's executable specification answers.

Run in the environment of requirements/eels.txt::

    python -m tests.chain.make_precompiled_vectors > tests/vectors/precompiled.json
"""

import json
import sys
from collections.abc import Iterator
from importlib import import_module
from random import Random
from types import SimpleNamespace
from typing import Any

from ethereum_types.bytes import Bytes
from ethereum_types.numeric import Uint

from tests.chain.precompiled_bls12_inputs import bls_cases, kzg_cases
from tests.chain.precompiled_bn254_inputs import bn_cases
from tests.chain.precompiled_inputs import (
    ecrecover_cases,
    modexp_cases,
    p256_cases,
    simple_cases,
)

GAS = 10**12
FORKS = ("frontier", "byzantium", "istanbul", "berlin", "cancun", "prague", "osaka")
CHANGES = {
    5: ("byzantium", "berlin", "osaka"),
    6: ("byzantium", "istanbul"),
    7: ("byzantium", "istanbul"),
    8: ("byzantium", "istanbul"),
}
"""Forks that gave a contract new gas or limits; the others only have their first one."""
MAKERS = (
    simple_cases,
    ecrecover_cases,
    modexp_cases,
    p256_cases,
    kzg_cases,
    bn_cases,
    bls_cases,
)


def contracts_of(fork: str) -> dict[int, Any]:
    module = import_module(f"ethereum.forks.{fork}.vm.precompiled_contracts.mapping")
    return {int.from_bytes(key, "big"): run for key, run in module.PRE_COMPILED_CONTRACTS.items()}


def answer(run: Any, data: bytes) -> tuple[int, bytes] | None:
    """Gas used and output; None when the call fails."""
    evm = SimpleNamespace(message=SimpleNamespace(data=Bytes(data)), gas_left=Uint(GAS), output=b"")
    try:
        run(evm)
    except Exception as error:
        kinds = [kind.__name__ for kind in type(error).__mro__]
        if not {"ExceptionalHalt", "OverflowError"} & {*kinds}:  # sizes that no gas can pay
            raise
        return None
    return GAS - int(evm.gas_left), bytes(evm.output)


def recorded(random: Random, count: int) -> Iterator[list[Any]]:
    """[fork, address, name, input, gas or null, output]; a later fork only where it differs."""
    tables = {fork: contracts_of(fork) for fork in FORKS}
    for make in MAKERS:
        for address, name, data in make(random, count):
            first = next(fork for fork in FORKS if address in tables[fork])
            before: object = ()
            for fork in CHANGES.get(address, (first,)):
                found = answer(tables[fork][address], data)
                if found != before:
                    gas, output = found or (None, b"")
                    yield [fork, address, name, data.hex(), gas, output.hex()]
                before = found


def msm_gas() -> dict[str, list[int]]:
    """Gas of multi-scalar multiplication of 1 to 140 points."""
    table = contracts_of("osaka")
    found = {}
    for address, size in ((0xC, 160), (0xE, 288)):
        found[str(address)] = [answer(table[address], bytes(size * k))[0] for k in range(1, 141)]  # type: ignore[index]
    return found


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 381
    rows = ",\n".join(json.dumps(row) for row in recorded(Random(seed), count))
    print(f'{{"msm_gas": {json.dumps(msm_gas())},\n"cases": [\n{rows}\n]}}')


if __name__ == "__main__":
    main()
