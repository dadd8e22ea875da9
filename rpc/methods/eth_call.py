"""``eth_``: calls, estimates, access lists. The EVM runs in reader processes, never here."""

from functools import partial

from chain.requests import CallRequest, CallResult
from rpc.abi_registry import revert_reason
from rpc.call_decode import call_request
from rpc.context import NodeContext
from rpc.decode import Params, mapping
from rpc.encode import Json, access_list, data
from rpc.errors import SERVER_ERROR, ExecutionReverted, InvalidParams, RpcError
from rpc.jsonrpc import Handler


def table(node: NodeContext) -> dict[str, Handler]:
    """The methods of this module."""
    return {
        "eth_call": partial(_call, node),
        "eth_estimateGas": partial(_estimate, node),
        "eth_createAccessList": partial(_create_access_list, node),
    }


def request_of(node: NodeContext, params: Params) -> CallRequest:
    """Parameters ``[call, block?, state overrides?, block overrides?]``."""
    if not params or params[0] is None:
        raise InvalidParams("missing value for required argument 0")
    overrides = [params[i] if i < len(params) else None for i in (2, 3)]
    try:
        mapping(params[0])
        header = node.chain.header_argument(params, 1)
        return call_request(header.hash, params[0], *overrides)
    except InvalidParams as error:
        raise InvalidParams(f"invalid argument: {error.message}") from None


def output_of(result: CallResult) -> bytes:
    """Return data of a call.

    Raises:
        ExecutionReverted: with decoded reason and raw data.
        RpcError: an exceptional halt.
    """
    if result.error is None:
        return result.output
    if result.error == "revert":
        raise ExecutionReverted(revert_reason(result.output), result.output)
    raise RpcError(SERVER_ERROR, result.error)


async def _call(node: NodeContext, params: Params) -> str:
    return data(output_of(await node.calls.call(request_of(node, params))))


async def _estimate(node: NodeContext, params: Params) -> str:
    return hex(await node.calls.estimate_gas(request_of(node, params)))


async def _create_access_list(node: NodeContext, params: Params) -> Json:
    """Geth's shape: a call that fails has a list, too, and ``error`` says why it failed."""
    result = await node.calls.create_access_list(request_of(node, params))
    answer: Json = {
        "accessList": access_list(result.access_list),
        "gasUsed": hex(result.gas_used),
    }
    if result.error is not None:
        answer["error"] = "execution reverted" if result.error == "revert" else result.error
    return answer
