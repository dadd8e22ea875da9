"""Start-up self-test: a node whose arithmetic differs must not validate.

The digest covers every operator on fixed models and inputs. It is the same compiled for any CPU,
without a compiler, and by the reference twins.
"""

from precompiles.errors import PrecompileFault
from precompiles.hashing import keccak256
from precompiles.runner import plan_model, run_plan, run_reference
from precompiles.selftest_models import sample_input, sample_models

KERNEL_DIGEST = "355dafdb2aeb93d2dd63fd4f61ad34532e80291e6eab004453dd6b4d9bafd6e4"
"""What every honest node computes; change it only with a consensus-breaking release."""

_SEED = 2024


def kernel_digest() -> str:
    """Digest of all kernels as this process runs them: 64 hex digits. Compiles what is missing."""
    state = b""
    for name, model in sample_models():
        data, batch = sample_input(model, _SEED)
        state = _absorb(state, name, run_plan(plan_model(model), data, batch))
    return state.hex()


def reference_digest() -> str:
    """The same digest by the reference twins alone."""
    state = b""
    for name, model in sample_models():
        data, batch = sample_input(model, _SEED)
        state = _absorb(state, name, run_reference(model, data, batch))
    return state.hex()


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
