"""From calldata to a function of a native account and back to returndata."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from precompiles.abi import arguments_of, decode, encode, selector
from precompiles.context import Call
from precompiles.errors import PrecompileRevert, WriteProtection
from precompiles.gas import GAS_PER_CALL_BYTE

ENTRY: Final = 500
"""Gas of reaching a function: selector, decoding and encoding of a few words."""

Handler: TypeAlias = Callable[..., tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Function:
    """One function of an ABI.

    Attributes:
        signature: canonical, e.g. ``infer(bytes32,bytes)``.
        returns: ABI types of the results.
        writes: changes state or leaves a log, so it is refused in a static call.
        run: ``(call, *arguments) -> results``.
    """

    signature: str
    returns: tuple[str, ...]
    writes: bool
    run: Handler


def table_of(functions: Iterable[Function]) -> Mapping[bytes, Function]:
    """Functions by selector."""
    return {selector(item.signature): item for item in functions}


def entry_gas(calldata_bytes: int) -> int:
    """Gas of any call before its function begins."""
    return ENTRY + GAS_PER_CALL_BYTE * calldata_bytes


def dispatch(functions: Mapping[bytes, Function], call: Call) -> bytes:
    """Run the function that the calldata names.

    Raises:
        PrecompileRevert: UnknownFunction, NonPayable, InvalidCalldata, or the function's own.
        PrecompileHalt: out of gas; a write in a static call.
    """
    call.charge(entry_gas(len(call.calldata)))
    function = functions.get(call.calldata[:4])
    if function is None:
        raise PrecompileRevert("UnknownFunction(bytes4)", (call.calldata[:4].ljust(4, b"\0"),))
    if function.writes and call.is_static:
        raise WriteProtection(f"{function.signature} in a static call")
    if call.value != 0:
        raise PrecompileRevert("NonPayable()")
    arguments = decode(arguments_of(function.signature), call.calldata[4:])
    return encode(function.returns, function.run(call, *arguments))
