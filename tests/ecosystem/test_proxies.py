"""OpenZeppelin's proxies: UUPS, transparent, beacons, clones at addresses known before."""

import pytest

from precompiles.abi import encode
from precompiles.hashing import keccak256
from tests.ecosystem.artifacts import Event
from tests.ecosystem.world import ALICE, BOB, CAROL, ETHER, NOBODY, Contract, Reverted, World

IMPLEMENTATION, ADMIN, BEACON = (
    int.from_bytes(keccak256(b"eip1967.proxy." + name), "big") - 1
    for name in (b"implementation", b"admin", b"beacon")
)
SALT = keccak256(b"salt")


def slot(contract: Contract, number: int) -> bytes:
    """The address in a storage slot."""
    return contract.world.state.storage(contract.address, number).to_bytes(32, "big")[12:]


def test_uups(world: World) -> None:
    first, second = world.deploy("Tally"), world.deploy("DoubleTally")
    assert first.error("initialize", ALICE, 1) == ("InvalidInitialization",)
    proxy = world.deploy("ERC1967Proxy", first.address, first.data("initialize", BOB, 40))
    tally = world.at("DoubleTally", proxy.address)
    assert slot(proxy, IMPLEMENTATION) == first.address
    assert (tally.read("owner"), tally.read("count"), tally.read("version")) == (BOB, 40, 1)
    receipt = tally.send("add", 2)
    assert world.events(receipt) == [Event(proxy.address, "Counted", (42,))]
    assert first.read("count") == 0
    upgrade = ("upgradeToAndCall", second.address, tally.data("migrate"))
    assert tally.error(*upgrade) == ("OwnableUnauthorizedAccount", ALICE)
    wrong = world.deploy("NotUpgradeable").address
    refused = ("ERC1967InvalidImplementation", wrong)
    assert tally.error("upgradeToAndCall", wrong, b"", sender=BOB) == refused
    assert second.error(*upgrade, sender=BOB) == ("UUPSUnauthorizedCallContext",)
    receipt = tally.send(*upgrade, sender=BOB)
    assert world.events(receipt) == [
        Event(proxy.address, "Upgraded", (second.address,)),
        Event(proxy.address, "Initialized", (2,)),
    ]
    assert [tally.read(name) for name in ("version", "count", "doubled")] == [2, 42, 84]
    assert tally.error("migrate") == ("InvalidInitialization",)
    assert tally.error("initialize", ALICE, 1) == ("InvalidInitialization",)
    with pytest.raises(Reverted) as caught:
        tally.read("proxiableUUID")
    assert world.decoder.error(caught.value.data) == ("UUPSUnauthorizedCallContext",)


def test_transparent(world: World) -> None:
    first, second = world.deploy("Tally"), world.deploy("DoubleTally")
    data = first.data("initialize", BOB, 7)
    proxy = world.deploy("TransparentUpgradeableProxy", first.address, CAROL, data)
    admin = world.at("ProxyAdmin", slot(proxy, ADMIN))
    tally = world.at("DoubleTally", proxy.address)
    assert admin.read("owner") == CAROL
    assert tally.read("version") == 1
    with pytest.raises(Reverted) as caught:
        tally.read("version", sender=admin.address)
    assert world.decoder.error(caught.value.data) == ("ProxyDeniedAdminAccess",)
    upgrade = ("upgradeAndCall", proxy.address, second.address, tally.data("migrate"))
    assert admin.error(*upgrade) == ("OwnableUnauthorizedAccount", ALICE)
    admin.send(*upgrade, sender=CAROL)
    assert slot(proxy, IMPLEMENTATION) == second.address
    assert (tally.read("version"), tally.read("doubled")) == (2, 14)


def test_beacon(world: World) -> None:
    first, second = world.deploy("Tally"), world.deploy("DoubleTally")
    beacon = world.deploy("UpgradeableBeacon", first.address, ALICE)
    tallies = []
    for start in (5, 6):
        data = first.data("initialize", BOB, start)
        proxy = world.deploy("BeaconProxy", beacon.address, data)
        assert slot(proxy, BEACON) == beacon.address
        tallies.append(world.at("DoubleTally", proxy.address))
    assert beacon.error("upgradeTo", BOB) == ("BeaconInvalidImplementation", BOB)
    beacon.send("upgradeTo", second.address)
    assert [tally.read("version") for tally in tallies] == [2, 2]
    assert [tally.read("count") for tally in tallies] == [5, 6]


def test_clones(world: World) -> None:
    purse, cloner = world.deploy("Purse"), world.deploy("Cloner")
    predicted = cloner.read("predict", purse.address, SALT)
    code = bytes.fromhex("363d3d373d3d3d363d73") + purse.address
    code += bytes.fromhex("5af43d82803e903d91602b57fd5bf3")  # ERC-1167
    creation = bytes.fromhex("3d602d80600a3d3981f3") + code
    head = b"\xff" + cloner.address + SALT
    assert predicted == keccak256(head + keccak256(creation))[12:]
    cloner.send("cloneAt", purse.address, SALT, value=ETHER)
    assert world.state.code(predicted) == code
    assert world.at("Purse", predicted).read("balance") == ETHER
    assert cloner.error("cloneAt", purse.address, SALT) == ("FailedDeployment",)
    first = cloner.read("clone", purse.address)
    cloner.send("clone", purse.address)
    assert cloner.read("clone", purse.address) != first
    assert world.state.code(first) == code


def test_clones_with_arguments(world: World) -> None:
    purse, cloner = world.deploy("Purse"), world.deploy("Cloner")
    arguments = encode(("address", "string"), (NOBODY, "kept in the code"))
    made = cloner.read("cloneWith", purse.address, arguments)
    cloner.send("cloneWith", purse.address, arguments)
    assert cloner.read("argumentsOf", made) == arguments
    assert world.at("Purse", made).read("read", cloner.address) == arguments
