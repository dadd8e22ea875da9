"""The gas bench measures legal programs of every operator, in a process for each target."""

from itertools import islice

from precompiles.model.operators import OPCODES
from precompiles.model.validate import validate_model
from tools.bench.gas import Measured, run_gas_bench, worst_of
from tools.bench.gas_cases import cases


def test_every_operator_has_cases_and_they_are_legal() -> None:
    found = list(cases())
    assert {item.__name__ for item in OPCODES} <= {case.operator for case in found}
    assert len({case.name for case in found}) == len(found)
    for case in islice(found, 0, None, 11):
        validate_model(case.model)


def test_the_worst_case_of_each_operator_leads() -> None:
    found = [
        Measured("host", "Add", "small", 0.1),
        Measured("host", "Mul", "middling", 0.4),
        Measured("host", "Add", "bad", 0.3),
    ]
    assert [item.name for item in worst_of(found)] == ["middling", "bad"]


def test_rows_name_operator_and_target() -> None:
    told: list[str] = []
    rows = list(run_gas_bench(lambda text, done, total: told.append(text), ("host",), "Reshape u8"))
    assert [row.unit for row in rows] == ["s", "x"]
    assert rows[0].name.startswith("Reshape on host")
    assert rows[0].ours > 0
    assert told == ["gas on host"]
