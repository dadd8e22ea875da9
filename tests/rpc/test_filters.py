"""Filter table, pending log, log queries."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.receipts import Log, logs_bloom
from rpc.errors import RpcError
from rpc.filters import EXPIRY_SECONDS, MAX_FILTERS, Filter, FilterKind, FilterTable, PendingLog
from rpc.logs import MAX_BLOCKS, check_range, decode_log_query

ADDRESS = st.sampled_from([bytes([i]) * 20 for i in range(1, 4)])
TOPIC = st.sampled_from([bytes([i]) * 32 for i in range(1, 5)])
LOG = st.builds(Log, ADDRESS, st.lists(TOPIC, max_size=4).map(tuple), st.binary(max_size=4))
HEX_TOPIC = TOPIC.map(lambda topic: "0x" + topic.hex())
HEX_ADDRESS = ADDRESS.map(lambda address: "0x" + address.hex())
QUERY = st.fixed_dictionaries(
    {
        "address": st.none() | HEX_ADDRESS | st.lists(HEX_ADDRESS, max_size=2),
        "topics": st.none()
        | st.lists(st.none() | HEX_TOPIC | st.lists(HEX_TOPIC, max_size=2), max_size=4),
    }
)


def plain_match(criteria: dict[str, object], log: Log) -> bool:
    """The specification, word by word."""

    def admits(wanted: object, have: str) -> bool:
        if wanted is None or wanted == []:
            return True
        return have in wanted if isinstance(wanted, list) else have == wanted

    topics = criteria["topics"] or []
    assert isinstance(topics, list)
    if len(topics) > len(log.topics):
        return False
    pairs = zip(topics, log.topics, strict=False)
    return admits(criteria["address"], "0x" + log.address.hex()) and all(
        admits(wanted, "0x" + have.hex()) for wanted, have in pairs
    )


@given(QUERY, LOG)
def test_a_query_matches_as_specified(criteria: dict[str, object], log: Log) -> None:
    query = decode_log_query(criteria)
    assert query.matches(log) == plain_match(criteria, log)


@given(QUERY, st.lists(LOG, max_size=3))
def test_the_bloom_never_hides_a_match(criteria: dict[str, object], logs: list[Log]) -> None:
    query = decode_log_query(criteria)
    if any(query.matches(log) for log in logs):
        assert query.may_match(logs_bloom(logs))


def test_the_bloom_spares_most_blocks() -> None:
    query = decode_log_query({"address": "0x" + "77" * 20})
    assert not query.may_match(logs_bloom([Log(b"\x01" * 20, (b"\x02" * 32,), b"")]))


@pytest.mark.parametrize(
    "criteria",
    [
        {"topics": [None] * 5},
        {"topics": ["0x12"]},
        {"topics": "0x" + "11" * 32},
        {"address": "0x12"},
        {"address": ["0x" + "11" * 20] * 1001},
        5,
    ],
)
def test_bad_queries(criteria: object) -> None:
    with pytest.raises(RpcError) as info:
        decode_log_query(criteria)
    assert info.value.code == -32602


def test_ranges() -> None:
    check_range(5, 5 + MAX_BLOCKS - 1)
    with pytest.raises(RpcError, match="exceeds the limit"):
        check_range(5, 5 + MAX_BLOCKS)
    with pytest.raises(RpcError, match="invalid block range params"):
        check_range(6, 5)


def test_filters_expire_when_nobody_polls() -> None:
    now = [0.0]
    table = FilterTable(lambda: now[0])
    polled = table.add(Filter(FilterKind.BLOCKS, 0))
    table.add(Filter(FilterKind.PENDING, 0))
    now[0] = EXPIRY_SECONDS
    assert table.get(polled).position == 0
    now[0] = EXPIRY_SECONDS + 1
    assert table.get(polled).kind is FilterKind.BLOCKS
    assert len(table) == 1
    assert not table.any_pending()
    now[0] = 3 * EXPIRY_SECONDS
    with pytest.raises(RpcError, match="filter not found"):
        table.get(polled)


def test_a_removed_filter_stays_removed() -> None:
    table = FilterTable()
    identity = table.add(Filter(FilterKind.BLOCKS, 0))
    assert table.remove(identity)
    assert not table.remove(identity)
    table.move(identity, 5)
    with pytest.raises(RpcError, match="filter not found"):
        table.get(identity)


def test_the_table_is_bounded() -> None:
    table = FilterTable()
    for _ in range(MAX_FILTERS):
        table.add(Filter(FilterKind.BLOCKS, 0))
    with pytest.raises(RpcError, match="too many filters"):
        table.add(Filter(FilterKind.BLOCKS, 0))


@given(st.lists(st.lists(st.integers(0, 30), max_size=8), max_size=12), st.integers(1, 10))
def test_the_pending_log_reports_each_hash_once(batches: list[list[int]], size: int) -> None:
    log, position = PendingLog(size), 0
    seen: list[int] = []
    for batch in batches:
        new = log.append([bytes([item]) for item in batch])
        reported = [item[0] for item in log.since(position)]
        assert reported == [item[0] for item in new][-size:]
        assert not set(reported) & set(seen[-size:])
        position = log.end
        seen += [item[0] for item in new]
    assert log.since(position) == []
