"""The EVM benchmarks measure what they say: same results on both sides, and loops that loop."""

from dataclasses import replace
from pathlib import Path

import pytest

from chain.deep_stack import run_deep
from chain.evm.errors import OutOfGas
from genesis.forks import Fork
from genesis.spec import Allocation
from tools.bench.imports import IMPORTS, BlockLine, ImportCase, Importer
from tools.bench.messages import CALLER, TARGET, WORKLOADS, Workload, bench_code, message, succeed
from tools.bench.opcodes import Program, programs
from tools.bench.stock_evm import StockImporter, stock_chain, stock_message

GAS = 400_000
CHEAP = [case for case in programs() if len(case.others) < 100]


@pytest.mark.parametrize("case", CHEAP, ids=lambda case: f"{case.family}: {case.name}")
def test_a_worst_case_runs_until_its_gas_is_gone(case: Program) -> None:
    accounts = {TARGET: Allocation(nonce=1, code=case.code, balance=10**18)}
    accounts |= {at: Allocation(nonce=1, code=code) for at, code in case.others.items()}
    frame = run_deep(message(accounts, case.calldata, GAS, Fork.OSAKA))
    assert isinstance(frame.error, OutOfGas), frame.error


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_a_workload_costs_and_returns_what_py_evm_says(workload: Workload) -> None:
    small = replace(workload, argument=9)
    line = BlockLine({TARGET: bench_code("Bench")})
    frame = succeed(message(line.spec.alloc, small.calldata, GAS)())
    chain, code = stock_chain(line.spec, line.genesis), bench_code("Bench")
    stock = stock_message(chain, CALLER, TARGET, code, small.calldata, GAS)
    assert stock() == (GAS - frame.gas, frame.output) == stock()


@pytest.mark.parametrize("case", IMPORTS[:2], ids=lambda case: case.name)
def test_both_sides_import_the_same_blocks(case: ImportCase, tmp_path: Path) -> None:
    line = BlockLine({}, replace(case, transactions=4))
    stock = StockImporter(line.spec, line.genesis)
    with Importer(line.spec, tmp_path) as ours:
        for encoded in line.blocks:
            ours(encoded)
            stock(encoded)
        assert ours.head == line.head == stock.head
