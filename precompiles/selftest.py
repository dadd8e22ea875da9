"""Start-up self-test: a node whose arithmetic differs must not validate.

One digest covers every operator on fixed models and inputs, and four whole networks in batches of
several sizes. It is the same compiled for any CPU, without a compiler, and by the reference twins.
"""

from collections.abc import Iterator

from precompiles.errors import PrecompileFault
from precompiles.hashing import keccak256
from precompiles.model.types import IntegerModel
from precompiles.runner import plan_model, run_plan, run_reference
from precompiles.selftest_models import sample_input, sample_models
from precompiles.selftest_networks import network_models

KERNEL_DIGEST = "f505858ae879ae28b71581445898857c511e6466baf4c995754d76fc8e252e78"
"""What every honest node computes; change it only with a consensus-breaking release."""

_SEED = 2024


def kernel_digest() -> str:
    """Digest of all kernels as this process runs them: 64 hex digits. Compiles what is missing."""
    state = b""
    for name, model, batches in all_models():
        data, batch = sample_input(model, _SEED)
        plan = plan_model(model)
        state = _absorb(state, name, run_plan(plan, data, batch))
        for other in batches:
            size = plan.cost.input_bytes_per_sample
            again = (data * -(-other // batch))[: other * size]
            state = _absorb(state, f"{name} {other}", run_plan(plan, again, other))
    return state.hex()


def reference_digest() -> str:
    """The same digest by the reference twins alone."""
    state = b""
    for name, model, batches in all_models():
        data, batch = sample_input(model, _SEED)
        output = run_reference(model, data, batch)
        state = _absorb(state, name, output)
        for other in batches:
            again = (output * -(-other // batch))[: other * len(output) // batch]
            state = _absorb(state, f"{name} {other}", again)
    return state.hex()


def all_models() -> Iterator[tuple[str, IntegerModel, tuple[int, ...]]]:
    """(name, model, batches to run beside the sample's own) of every part of the digest."""
    yield from ((name, model, ()) for name, model in sample_models())
    yield from network_models()


def self_test() -> None:
    """Compare this node's arithmetic with the chain's.

    Raises:
        PrecompileFault: a digest differs; the node must stop before it votes or executes.
    """
    digest = kernel_digest()
    if digest != KERNEL_DIGEST:
        raise PrecompileFault(f"kernel self-test: digest {digest}, expected {KERNEL_DIGEST}")


def _absorb(state: bytes, name: str, output: bytes) -> bytes:
    return keccak256(state + name.encode("ascii") + b"\x00" + output)
