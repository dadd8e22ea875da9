"""Golden vectors: the contract for a second implementation. See docs/spec/integer-model.md.

``python -m tests.precompiles.test_vectors`` writes them anew, which is a consensus change.
"""

import json
from pathlib import Path

import pytest

from precompiles.gas import gas_for
from precompiles.model.codec import decode_model, encode_model, model_id
from precompiles.model.validate import validate_model
from precompiles.runner import plan_model, run_plan, run_reference
from precompiles.selftest_models import sample_input, sample_models

VECTORS = Path(__file__).parent.parent / "vectors" / "integer_models.json"
SEED = 7


def write_vectors() -> None:
    """One vector per sample model but the one whose table alone has 256 KiB."""
    vectors = []
    for name, model in sample_models():
        if name == "lookup_s16":
            continue
        data, batch = sample_input(model, SEED)
        encoded, cost = encode_model(model), validate_model(model)
        vectors.append(
            {
                "name": name,
                "model": encoded.hex(),
                "model_id": model_id(encoded).hex(),
                "batch": batch,
                "gas": gas_for(cost, batch),
                "input": data.hex(),
                "output": run_reference(model, data, batch).hex(),
            }
        )
    lines = ",\n".join(json.dumps(vector, sort_keys=True) for vector in vectors)
    VECTORS.write_text(f"[\n{lines}\n]\n")


@pytest.mark.parametrize(
    "vector", json.loads(VECTORS.read_text()), ids=lambda vector: str(vector["name"])
)
def test_golden_vector(vector: dict[str, object]) -> None:
    encoded = bytes.fromhex(str(vector["model"]))
    data, batch = bytes.fromhex(str(vector["input"])), int(str(vector["batch"]))
    expected = bytes.fromhex(str(vector["output"]))
    model = decode_model(encoded)
    assert model_id(encoded).hex() == vector["model_id"]
    assert gas_for(validate_model(model), batch) == vector["gas"]
    assert run_plan(plan_model(model), data, batch) == expected
    assert run_reference(model, data, batch) == expected


if __name__ == "__main__":
    write_vectors()
