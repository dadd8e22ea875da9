"""The machine form of ``blake2.mix``: words that wrap around."""

from typing import Any

import numpy as np
from numba.extending import overload

from precompiles.kernels import blake2


@overload(blake2.mix)  # type: ignore[untyped-decorator]
def _mix(v: Any, a: Any, b: Any, c: Any, d: Any, x: Any, y: Any) -> Any:
    def call(v: Any, a: Any, b: Any, c: Any, d: Any, x: Any, y: Any) -> None:
        first, second, third = v[a] + v[b] + x, v[b], v[c]
        fourth = v[d] ^ first
        fourth = (fourth >> np.uint64(32)) | (fourth << np.uint64(32))
        third += fourth
        second ^= third
        second = (second >> np.uint64(24)) | (second << np.uint64(40))
        first += second + y
        fourth ^= first
        fourth = (fourth >> np.uint64(16)) | (fourth << np.uint64(48))
        third += fourth
        second ^= third
        v[a], v[c], v[d] = first, third, fourth
        v[b] = (second >> np.uint64(63)) | (second << np.uint64(1))

    return call
