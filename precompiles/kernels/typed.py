"""One body, many element types: what kernels made by a function need.

Such a kernel closes over its types and row functions; numba's cache tells them apart.
"""

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import numpy as np

Element: TypeAlias = Any
"""numpy scalar type of an operand, such as np.int16."""
Body = TypeVar("Body", bound=Callable[..., Any])


def named(body: Body, stem: str, *types: Element) -> Body:
    """The body under a name of its own, such as add_i2_i2_u1: by it the cache finds its file."""
    letters = [np.dtype(item).str[1:] for item in types]
    body.__name__ = body.__qualname__ = "_".join((stem, *letters))
    return body
