"""``eth_``: logs and polling filters."""

from functools import partial

from rpc import decode, encode
from rpc.context import NodeContext
from rpc.decode import Params, argument
from rpc.encode import Json
from rpc.errors import SERVER_ERROR, InvalidParams, RpcError
from rpc.filters import Filter, FilterKind, FilterTable
from rpc.hub import Hub
from rpc.jsonrpc import Handler
from rpc.logs import (
    MAX_BLOCKS,
    LocatedLog,
    check_range,
    complete,
    decode_log_query,
    scan,
    scan_block,
)


def table(node: NodeContext, hub: Hub) -> dict[str, Handler]:
    """The methods of this module."""
    return {
        "eth_getLogs": partial(_get_logs, node),
        "eth_newFilter": partial(_new_filter, node, hub.filters),
        "eth_newBlockFilter": partial(_new_block_filter, node, hub.filters),
        "eth_newPendingTransactionFilter": partial(_new_pending_filter, hub),
        "eth_getFilterChanges": partial(_changes, node, hub),
        "eth_getFilterLogs": partial(_filter_logs, node, hub.filters),
        "eth_uninstallFilter": partial(_uninstall, hub.filters),
    }


async def _get_logs(node: NodeContext, params: Params) -> list[Json]:
    criteria = argument(params, 0, decode.mapping)
    query = decode_log_query(criteria)
    if criteria.get("blockHash") is not None:
        if criteria.get("fromBlock") is not None or criteria.get("toBlock") is not None:
            raise InvalidParams("cannot specify both blockHash and fromBlock/toBlock")
        header = node.store.header(decode.hash32(criteria["blockHash"]))
        if header is None:
            raise RpcError(SERVER_ERROR, "unknown block")
        found = await node.chain.background(scan_block, node.chain, query, header.hash)
        return _encode(found)
    head = node.store.head().number
    first = _bound(node, criteria, "fromBlock", head)
    last = _bound(node, criteria, "toBlock", head)
    if first > last:
        check_range(first, last)
    last = min(last, head)
    if first > last:
        return []
    check_range(first, last)
    logs, reached = await node.chain.background(scan, node.chain, query, first, last)
    return _encode(complete(logs, reached, last))


def _bound(node: NodeContext, criteria: decode.Fields, name: str, default: int) -> int:
    value = criteria.get(name)
    return default if value is None else node.chain.number(decode.block_tag(value))


def _encode(logs: list[LocatedLog]) -> list[Json]:
    return [encode.log(item) for item in logs]


def _new_filter(node: NodeContext, filters: FilterTable, params: Params) -> str:
    criteria = argument(params, 0, decode.mapping)
    head = node.store.head().number
    first = _bound(node, criteria, "fromBlock", head)
    last = criteria.get("toBlock")
    end = None if last in (None, *decode.HEAD_TAGS) else _bound(node, criteria, "toBlock", head)
    if end is not None and first > end:
        check_range(first, end)
    query = decode_log_query(criteria)
    follow = head if first <= head else first - 1
    return filters.add(Filter(FilterKind.LOGS, follow, query, first, end))


def _new_block_filter(node: NodeContext, filters: FilterTable, _: Params) -> str:
    return filters.add(Filter(FilterKind.BLOCKS, node.store.head().number))


def _new_pending_filter(hub: Hub, _: Params) -> str:
    return hub.add_pending_filter()


async def _changes(node: NodeContext, hub: Hub, params: Params) -> list[object]:
    identity = argument(params, 0, decode.text)
    found = hub.filters.get(identity)
    if found.kind is FilterKind.PENDING:
        hub.poll_pending()
        hub.filters.move(identity, hub.pending.end)
        return [encode.data(item) for item in hub.pending.since(found.position)]
    first = found.position + 1
    last = min(node.store.head().number, found.position + MAX_BLOCKS)
    if found.query is None:
        hub.filters.move(identity, max(last, found.position))
        hashes = [node.store.canonical_hash(number) for number in range(first, last + 1)]
        return [encode.data(item) for item in hashes if item is not None]
    logs, reached = await _scan_filter(node, found, first, last)
    hub.filters.move(identity, max(reached, found.position))
    return list(_encode(logs))


async def _filter_logs(node: NodeContext, filters: FilterTable, params: Params) -> list[Json]:
    found = filters.get(argument(params, 0, decode.text))
    if found.query is None:
        raise RpcError(SERVER_ERROR, "filter not found")
    last = node.store.head().number
    if found.first <= last:
        check_range(found.first, last if found.last is None else min(last, found.last))
    logs, reached = await _scan_filter(node, found, found.first, last)
    return _encode(complete(logs, reached, last))


async def _scan_filter(
    node: NodeContext, found: Filter, first: int, last: int
) -> tuple[list[LocatedLog], int]:
    """Logs of a log filter in a range, and the last block looked at."""
    end = last if found.last is None else min(last, found.last)
    if first > end or found.query is None:
        return [], last
    logs, reached = await node.chain.background(scan, node.chain, found.query, first, end)
    return logs, (last if reached == end else reached)


def _uninstall(filters: FilterTable, params: Params) -> bool:
    return filters.remove(argument(params, 0, decode.text))
