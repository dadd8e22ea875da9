"""Uniswap v2's factory and pair, in the code that runs on mainnet."""

from math import isqrt

import pytest

from precompiles.hashing import keccak256
from tests.ecosystem.artifacts import Event
from tests.ecosystem.typed_data import PERMIT, sign
from tests.ecosystem.world import ALICE, BOB, CAROL, DAVE, ETHER, NOBODY, World

INIT_CODE_HASH = bytes.fromhex("96e8ac4277198ff8b6f785478aa9a39f403cb768dd02cbee326c3e7da348845f")
MINIMUM_LIQUIDITY = 1_000
SUPPLY = 10**6 * ETHER
RESERVES = 5 * ETHER, 10 * ETHER


class Market:
    """Two tokens and their pair; ALICE holds all tokens and may set the fee."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.factory = world.deploy("UniswapV2Factory", ALICE)
        tokens = [world.deploy("ERC20", SUPPLY) for _ in range(2)]
        self.token0, self.token1 = sorted(tokens, key=lambda token: token.address)
        salt = keccak256(self.token0.address + self.token1.address)
        address = keccak256(b"\xff" + self.factory.address + salt + INIT_CODE_HASH)[12:]
        self.pair = world.at("UniswapV2Pair", address)

    def create(self) -> None:
        self.factory.send("createPair", self.token1.address, self.token0.address)

    def add_liquidity(self, amount0: int, amount1: int) -> list[Event]:
        """Events of the ``mint`` to ALICE."""
        self.token0.send("transfer", self.pair.address, amount0)
        self.token1.send("transfer", self.pair.address, amount1)
        return self.world.events(self.pair.send("mint", ALICE))

    def reserves(self) -> tuple[int, int]:
        reserve0, reserve1, timestamp = self.pair.read("getReserves")
        assert timestamp <= self.world.now
        return reserve0, reserve1

    def swap(self, amount0_in: int, to: bytes) -> int:
        """Sell token 0; what comes out."""
        reserve0, reserve1 = self.reserves()
        paid = amount0_in * 997
        out = paid * reserve1 // (reserve0 * 1_000 + paid)
        self.token0.send("transfer", self.pair.address, amount0_in)
        assert self.pair.error("swap", 0, out + 1, to, b"") == ("Error", "UniswapV2: K")
        self.pair.send("swap", 0, out, to, b"")
        return out


@pytest.fixture
def market(uniswap_world: World) -> Market:
    found = Market(uniswap_world)
    found.create()
    return found


@pytest.fixture
def liquid(market: Market) -> Market:
    market.add_liquidity(*RESERVES)
    return market


def test_create_pair(uniswap_world: World) -> None:
    assert keccak256(uniswap_world.artifacts["UniswapV2Pair"].bytecode) == INIT_CODE_HASH
    market = Market(uniswap_world)
    factory, token0, token1 = market.factory, market.token0.address, market.token1.address
    receipt = factory.send("createPair", token1, token0)
    pair = market.pair.address
    created = Event(factory.address, "PairCreated", (token0, token1, pair, 1))
    assert uniswap_world.events(receipt) == [created]
    for tokens in ((token0, token1), (token1, token0)):
        assert factory.read("getPair", *tokens) == pair
    assert (factory.read("allPairs", 0), factory.read("allPairsLength")) == (pair, 1)
    assert (market.pair.read("token0"), market.pair.read("token1")) == (token0, token1)
    assert factory.error("createPair", token0, token1) == ("Error", "UniswapV2: PAIR_EXISTS")
    assert factory.error("createPair", token0, token0) == (
        "Error",
        "UniswapV2: IDENTICAL_ADDRESSES",
    )
    assert factory.error("createPair", token0, NOBODY) == ("Error", "UniswapV2: ZERO_ADDRESS")
    assert market.pair.error("initialize", token0, token1) == ("Error", "UniswapV2: FORBIDDEN")


def test_mint(market: Market) -> None:
    pair = market.pair
    events = market.add_liquidity(ETHER, 4 * ETHER)
    assert events == [
        Event(pair.address, "Transfer", (NOBODY, NOBODY, MINIMUM_LIQUIDITY)),
        Event(pair.address, "Transfer", (NOBODY, ALICE, 2 * ETHER - MINIMUM_LIQUIDITY)),
        Event(pair.address, "Sync", (ETHER, 4 * ETHER)),
        Event(pair.address, "Mint", (ALICE, ETHER, 4 * ETHER)),
    ]
    market.add_liquidity(ETHER, 5 * ETHER)  # the surplus of token 1 is a present
    assert pair.read("totalSupply") == 4 * ETHER
    assert market.reserves() == (2 * ETHER, 9 * ETHER)
    assert pair.error("mint", ALICE) == ("Error", "UniswapV2: INSUFFICIENT_LIQUIDITY_MINTED")
    stored = pair.world.state.storage(pair.address, 8)  # three fields in one slot
    assert stored == 2 * ETHER | 9 * ETHER << 112 | pair.read("getReserves")[2] << 224


def test_swap(liquid: Market) -> None:
    out = liquid.swap(ETHER, BOB)
    assert out == 1662497915624478906
    assert liquid.token1.read("balanceOf", BOB) == out
    assert liquid.reserves() == (RESERVES[0] + ETHER, RESERVES[1] - out)
    pair = liquid.pair
    for arguments, reason in (
        ((0, 0, BOB, b""), "INSUFFICIENT_OUTPUT_AMOUNT"),
        ((10 * ETHER, 0, BOB, b""), "INSUFFICIENT_LIQUIDITY"),
        ((1, 0, BOB, b""), "INSUFFICIENT_INPUT_AMOUNT"),
        ((1, 0, liquid.token0.address, b""), "INVALID_TO"),
    ):
        assert pair.error("swap", *arguments) == ("Error", f"UniswapV2: {reason}")
    liquid.token1.send("transfer", pair.address, out, sender=BOB)
    receipt = pair.send("swap", ETHER // 2, 0, CAROL, b"", sender=DAVE)
    assert liquid.world.events(receipt)[-1] == Event(
        pair.address, "Swap", (DAVE, 0, out, ETHER // 2, 0, CAROL)
    )


def test_burn(liquid: Market) -> None:
    pair = liquid.pair
    liquidity = pair.read("balanceOf", ALICE)
    assert liquidity == isqrt(RESERVES[0] * RESERVES[1]) - MINIMUM_LIQUIDITY
    pair.send("transfer", pair.address, liquidity)
    receipt = pair.send("burn", BOB)
    supply = liquidity + MINIMUM_LIQUIDITY
    amounts = [liquidity * reserve // supply for reserve in RESERVES]
    assert liquid.world.events(receipt)[-1] == Event(pair.address, "Burn", (ALICE, *amounts, BOB))
    assert [token.read("balanceOf", BOB) for token in (liquid.token0, liquid.token1)] == amounts
    assert pair.read("totalSupply") == MINIMUM_LIQUIDITY
    assert pair.error("burn", BOB) == ("Error", "UniswapV2: INSUFFICIENT_LIQUIDITY_BURNED")


def test_permit_of_liquidity(liquid: Market) -> None:
    pair, deadline = liquid.pair, liquid.world.now + 1_000
    values = (ALICE, BOB, 5_000, 0, deadline)
    signature = sign(ALICE, pair, "Uniswap V2", "Permit", PERMIT, *values)
    arguments = (ALICE, BOB, 5_000, deadline, *signature)
    pair.send("permit", *arguments, sender=CAROL)
    assert pair.error("permit", *arguments) == ("Error", "UniswapV2: INVALID_SIGNATURE")
    pair.send("transferFrom", ALICE, DAVE, 5_000, sender=BOB)
    assert pair.read("balanceOf", DAVE) == 5_000
    expired = (*arguments[:3], liquid.world.now - 1, *signature)
    assert pair.error("permit", *expired) == ("Error", "UniswapV2: EXPIRED")


def test_skim_and_sync(liquid: Market) -> None:
    pair = liquid.pair
    liquid.token0.send("transfer", pair.address, 77)
    assert liquid.reserves() == RESERVES
    pair.send("skim", BOB)
    assert liquid.token0.read("balanceOf", BOB) == 77
    liquid.token1.send("transfer", pair.address, 99)
    receipt = pair.send("sync")
    synced = Event(pair.address, "Sync", (RESERVES[0], RESERVES[1] + 99))
    assert liquid.world.events(receipt) == [synced]
    assert liquid.reserves() == (RESERVES[0], RESERVES[1] + 99)


def test_accumulators(liquid: Market) -> None:
    pair, start = liquid.pair, liquid.pair.read("getReserves")[2]
    liquid.world.wait(after=1_000)
    pair.send("sync")
    elapsed = liquid.world.now - start
    assert elapsed == 1_012
    prices = [(RESERVES[1] << 112) // RESERVES[0], (RESERVES[0] << 112) // RESERVES[1]]
    names = ("price0CumulativeLast", "price1CumulativeLast")
    assert [pair.read(name) for name in names] == [price * elapsed for price in prices]


def test_protocol_fee(liquid: Market) -> None:
    pair, factory = liquid.pair, liquid.factory
    assert factory.error("setFeeTo", BOB, sender=BOB) == ("Error", "UniswapV2: FORBIDDEN")
    factory.send("setFeeTo", DAVE)
    liquid.add_liquidity(*RESERVES)
    before = isqrt(pair.read("kLast"))
    liquid.swap(ETHER, BOB)
    supply = pair.read("totalSupply")
    root = isqrt(liquid.reserves()[0] * liquid.reserves()[1])
    liquid.add_liquidity(ETHER, ETHER)
    fee = supply * (root - before) // (5 * root + before)
    assert pair.read("balanceOf", DAVE) == fee > 0
    factory.send("setFeeTo", NOBODY)
    liquid.add_liquidity(ETHER, ETHER)
    assert pair.read("kLast") == 0
