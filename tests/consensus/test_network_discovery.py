"""Nodes that find each other: exchange over real sockets, restarts, what is not exchanged."""

import asyncio
import logging
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from consensus.network.discovery import DiscoverySettings
from consensus.network.identity import PeerAddress
from consensus.network.listener import advertised, bind
from consensus.network.pool import Pool
from consensus.network.records import encode_records, endpoint, sign_record
from consensus.network.wire import Code, encode_frame
from tests.consensus.mesh import mesh, reach, running, spec_for
from tests.consensus.mesh import run as run_mesh
from tests.consensus.mesh import until as until_soon
from tests.consensus.pools import IDENTITIES, NETWORK, at, opened, raw_session, tell, until

LOCAL = DiscoverySettings(private=True)


def local(*bootnodes: Pool, file: Path | None = None) -> DiscoverySettings:
    addresses = tuple(at(pool, identified=False) for pool in bootnodes)
    return DiscoverySettings(bootnodes=addresses, private=True, file=file)


def connected(pools: list[Pool]) -> bool:
    return all(len(pool.peers) == len(pools) - 1 for pool in pools)


def test_late_joiners_that_know_one_bootnode_find_everybody() -> None:
    async def story(stack: AsyncExitStack) -> None:
        boot = await opened(stack, 0, discovery=LOCAL)
        others = [await opened(stack, n, discovery=local(boot)) for n in range(1, 6)]
        await until(lambda: connected([boot, *others]), 10)
        late = await opened(stack, 6, discovery=local(boot))
        await until(lambda: connected([boot, *others, late]), 10)
        assert sum(peer.outbound for peer in late.peers.values()) == 6

    tell(story)


def test_records_are_kept_and_dialled_after_a_restart(tmp_path: Path) -> None:
    async def story(stack: AsyncExitStack) -> None:
        async with AsyncExitStack() as short:
            boot = await opened(short, 0, discovery=LOCAL)
            kept = await opened(stack, 1, discovery=local(boot))
            async with AsyncExitStack() as shorter:
                first = await opened(shorter, 2, discovery=local(boot, file=tmp_path / "peers"))
                await until(lambda: connected([boot, kept, first]))
                assert first.discovery.own is not None
                sequence, port = first.discovery.own.sequence, first.port
        again = await opened(
            stack, 2, listen_port=port, discovery=local(file=tmp_path / "peers")
        )  # the bootnode is gone
        await until(lambda: connected([kept, again]))
        assert again.discovery.own is not None
        assert again.discovery.own.sequence == sequence
        await again.close()
        moved = await opened(stack, 2, discovery=local(file=tmp_path / "peers"))
        assert moved.discovery.own is not None
        assert moved.discovery.own.sequence > sequence
        await until(lambda: connected([kept, moved]))
        await moved.close()

    tell(story)


def test_a_damaged_file_is_no_obstacle(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def story(stack: AsyncExitStack) -> None:
        (tmp_path / "peers").write_bytes(b"\xc1junk")
        boot = await opened(stack, 0, discovery=LOCAL)
        pool = await opened(stack, 1, discovery=local(boot, file=tmp_path / "peers"))
        await until(lambda: connected([boot, pool]))
        assert "not usable, starting without" in caplog.text

    tell(story)


def test_private_addresses_stay_at_home_unless_asked_for() -> None:
    async def story(stack: AsyncExitStack) -> None:
        boot = await opened(stack, 0)
        settings = DiscoverySettings(bootnodes=(at(boot),))
        others = [await opened(stack, n, discovery=settings) for n in (1, 2)]
        open_minded = await opened(stack, 3, discovery=local(boot))
        await until(lambda: len(boot.peers) == 3)
        await asyncio.sleep(0.3)
        assert all(pool.discovery.own is None for pool in (boot, *others))
        assert all(len(pool.discovery.book) == 0 for pool in (boot, *others, open_minded))
        assert all(list(p.peers) == [IDENTITIES[0].node_id] for p in (*others, open_minded))

    tell(story)


def test_off_means_off() -> None:
    async def story(stack: AsyncExitStack) -> None:
        silent = await opened(stack, 0, discovery=DiscoverySettings(enabled=False, private=True))
        curious = await opened(stack, 1, discovery=local(silent))
        await until(lambda: silent.peers)
        await asyncio.sleep(0.2)
        assert silent.discovery.own is None
        assert len(silent.discovery.book) == len(curious.discovery.book) == 0

    tell(story)


@pytest.mark.parametrize("is_validator", [True, False])
def test_validators_find_all_validators_beyond_the_target(is_validator: bool) -> None:
    async def story(stack: AsyncExitStack) -> None:
        options = {"max_peers": 2, "is_validator": lambda _: is_validator}
        boot = await opened(stack, 0, discovery=LOCAL, **(options | {"max_peers": 50}))
        others = [await opened(stack, n, discovery=local(boot), **options) for n in (1, 2, 3)]
        if is_validator:
            await until(lambda: connected([boot, *others]), 10)
        else:
            await until(lambda: len(boot.peers) == 3)
            await asyncio.sleep(1.5)
            assert all(list(p.peers) == [IDENTITIES[0].node_id] for p in others)

    tell(story)


@pytest.mark.parametrize(
    ("code", "body", "reason"),
    [
        (Code.GET_PEERS, b"\0", "GET_PEERS with a body"),
        (Code.RECORD, encode_records([]), "RECORD of somebody else"),
        (Code.RECORD, b"\xc0\xc0", "malformed peer record"),
        (
            Code.RECORD,
            encode_records([sign_record(IDENTITIES[2], NETWORK, 1, [endpoint("8.8.8.8", 1)])]),
            "RECORD of somebody else",
        ),
    ],
)
def test_what_costs_points(
    code: Code, body: bytes, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(stack: AsyncExitStack) -> None:
        server = await opened(stack, 0)
        session, socket = await raw_session(server, 1)
        stack.push_async_callback(session.close)
        await socket.send_bytes(encode_frame(code, body))
        await until(lambda: f"loses 10 points: {reason}" in caplog.text)

    tell(story)


def test_an_answer_counts_once_and_a_forged_one_costs_more(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def story(stack: AsyncExitStack) -> None:
        server = await opened(stack, 0)
        session, socket = await raw_session(server, 1)
        stack.push_async_callback(session.close)
        assert (await socket.receive()).data == encode_frame(Code.GET_PEERS, b"")
        genuine = sign_record(IDENTITIES[2], NETWORK, 1, [endpoint("8.8.8.8", 1)])
        await socket.send_bytes(encode_frame(Code.PEERS, encode_records([genuine])))
        await until(lambda: len(server.discovery.book) == 1)
        await socket.send_bytes(encode_frame(Code.PEERS, encode_records([genuine])))
        await until(lambda: "loses 10 points: PEERS that were not asked for" in caplog.text)
        forged = sign_record(IDENTITIES[3], NETWORK, 2, genuine.endpoints)
        forged = type(forged)(genuine.node_id, 2, genuine.endpoints, forged.signature)
        await socket.send_bytes(encode_frame(Code.RECORD, encode_records([forged])))
        await until(lambda: "loses 50 points: peer record of 0x" in caplog.text)
        assert "score -60" in caplog.text

    tell(story)


def test_a_node_listens_on_both_families() -> None:
    async def story(stack: AsyncExitStack) -> None:
        try:
            (probe,) = bind("::1", 0)
        except OSError:
            pytest.skip("no IPv6 here")
        probe.close()
        server = await opened(stack, 0, listen_host="::")
        for index, host in ((1, "127.0.0.1"), (2, "::1")):
            pool = await opened(stack, index, static_peers=(at(server, host=host),))
            await until(lambda pool=pool: pool.peers)  # type: ignore[misc]
        hosts = {peer.host for peer in server.peers.values()}
        assert hosts == {"127.0.0.1", "::1"}

    tell(story)


def test_exchange_over_ipv6() -> None:
    async def story(stack: AsyncExitStack) -> None:
        try:
            boot = await opened(stack, 0, listen_host="::1", discovery=LOCAL)
        except OSError:
            pytest.skip("no IPv6 here")
        settings = DiscoverySettings(bootnodes=(at(boot, host="::1"),), private=True)
        others = [await opened(stack, n, listen_host="::1", discovery=settings) for n in (1, 2)]
        await until(lambda: connected([boot, *others]))
        assert {str(e.ip) for r in boot.discovery.book.sample(9) for e in r.endpoints} == {"::1"}

    tell(story)


def test_what_a_node_advertises() -> None:
    def hosts(listen: str, *external: str, private: bool = False) -> list[str]:
        return [str(item.ip) for item in advertised(listen, 1, external, private=private)]

    assert hosts("0.0.0.0", "8.8.8.8", "2a00:1450::1") == ["8.8.8.8", "2a00:1450::1"]
    assert hosts("0.0.0.0", "10.0.0.1") == []
    assert hosts("0.0.0.0", "10.0.0.1", private=True) == ["10.0.0.1"]
    assert hosts("8.8.8.8") == ["8.8.8.8"]
    assert hosts("127.0.0.1") == []
    assert hosts("::1", private=True) == ["::1"]
    assert hosts("node.example", private=True) == []
    assert "0.0.0.0" not in hosts("0.0.0.0", private=True)


def test_a_validator_that_knows_one_bootnode_joins_the_mesh(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Four whole nodes that were told of one of them only; a fifth follows the same way."""
    caplog.set_level(logging.INFO)

    async def story(stack: AsyncExitStack) -> None:
        spec = spec_for(4)
        (first,) = await mesh(stack, spec, tmp_path, [0], discovery=LOCAL)
        settings = DiscoverySettings(bootnodes=(first.address,), private=True)
        others = [
            await stack.enter_async_context(
                running(spec, index, tmp_path / str(index), discovery=settings)
            )
            for index in (1, 2, 3, 4)
        ]
        nodes = [first, *others]
        await until_soon(lambda: all(len(node.service.peers) == 4 for node in nodes), 20)
        await reach(nodes, first.chain.height + 3)
        assert (tmp_path / "4").exists()

    run_mesh(story)


def test_addresses_read_back() -> None:
    record = sign_record(IDENTITIES[0], NETWORK, 1, [endpoint("::1", 5), endpoint("8.8.8.8", 6)])
    assert record.addresses() == [
        PeerAddress("::1", 5, IDENTITIES[0].node_id),
        PeerAddress("8.8.8.8", 6, IDENTITIES[0].node_id),
    ]
