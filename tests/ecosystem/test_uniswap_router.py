"""Uniswap v2's router and examples, with wrapped ether and an exchange of v1 (Vyper's code)."""

import pytest

from tests.ecosystem.artifacts import Event
from tests.ecosystem.typed_data import PERMIT, sign
from tests.ecosystem.world import ALICE, BOB, CAROL, DAVE, ETHER, Contract, World

SUPPLY = 10**6 * ETHER
FOREVER = 2**256 - 1
DAY = 86_400


def amount_out(paid: int, reserve_in: int, reserve_out: int) -> int:
    return paid * 997 * reserve_out // (reserve_in * 1_000 + paid * 997)


def amount_in(wanted: int, reserve_in: int, reserve_out: int) -> int:
    return reserve_in * wanted * 1_000 // ((reserve_out - wanted) * 997) + 1


class Exchange:
    """A router, wrapped ether and two tokens, of which ALICE holds all."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.weth = world.deploy("WETH9")
        self.factory = world.deploy("UniswapV2Factory", ALICE)
        self.router = world.deploy("UniswapV2Router02", self.factory.address, self.weth.address)
        self.gold, self.silver = (world.deploy("ERC20", SUPPLY) for _ in range(2))
        for token in (self.gold, self.silver):
            token.send("approve", self.router.address, FOREVER)

    def pair(self, first: Contract, second: Contract) -> Contract:
        found = self.factory.read("getPair", first.address, second.address)
        return self.world.at("UniswapV2Pair", found)

    def add(self, amount_gold: int, amount_silver: int) -> None:
        tokens = (self.gold.address, self.silver.address)
        amounts = (amount_gold, amount_silver)
        self.router.send("addLiquidity", *tokens, *amounts, 0, 0, ALICE, FOREVER)

    def add_ether(self, token: Contract, amount: int, value: int) -> None:
        arguments = (token.address, amount, 0, 0, ALICE, FOREVER)
        self.router.send("addLiquidityETH", *arguments, value=value)

    def balance(self, who: bytes) -> int:
        return self.world.state.account(who).balance


@pytest.fixture
def exchange(uniswap_world: World) -> Exchange:
    return Exchange(uniswap_world)


def test_liquidity_of_tokens(exchange: Exchange) -> None:
    exchange.add(4 * ETHER, 9 * ETHER)  # creates the pair
    router, pair = exchange.router, exchange.pair(exchange.gold, exchange.silver)
    assert pair.read("balanceOf", ALICE) == 6 * ETHER - 1_000
    tokens = (exchange.gold.address, exchange.silver.address)
    wants = ("addLiquidity", *tokens, 4 * ETHER, 4 * ETHER)
    assert router.read(*wants, 0, 0, ALICE, FOREVER)[:2] == (4 * ETHER * 4 // 9, 4 * ETHER)
    refused = router.error(*wants, 2 * ETHER, 0, ALICE, FOREVER)
    assert refused == ("Error", "UniswapV2Router: INSUFFICIENT_A_AMOUNT")
    late = router.error(*wants, 0, 0, ALICE, exchange.world.now - 1)
    assert late == ("Error", "UniswapV2Router: EXPIRED")
    liquidity, deadline = 3 * ETHER, exchange.world.now + 100
    values = (ALICE, router.address, liquidity, 0, deadline)
    signature = sign(ALICE, pair, "Uniswap V2", "Permit", PERMIT, *values)
    arguments = (*tokens, liquidity, 0, 0, BOB, deadline, False, *signature)
    router.send("removeLiquidityWithPermit", *arguments)
    assert exchange.gold.read("balanceOf", BOB) == 2 * ETHER
    assert exchange.silver.read("balanceOf", BOB) == 9 * ETHER // 2


def test_swaps_along_a_path(exchange: Exchange) -> None:
    exchange.add(5 * ETHER, 10 * ETHER)
    exchange.add_ether(exchange.silver, 20 * ETHER, 2 * ETHER)
    router, path = exchange.router, [exchange.gold.address, exchange.silver.address]
    out = amount_out(ETHER, 5 * ETHER, 10 * ETHER)
    assert router.read("getAmountsOut", ETHER, path) == [ETHER, out]
    too_much = router.error("swapExactTokensForTokens", ETHER, out + 1, path, BOB, FOREVER)
    assert too_much == ("Error", "UniswapV2Router: INSUFFICIENT_OUTPUT_AMOUNT")
    router.send("swapExactTokensForTokens", ETHER, out, path, BOB, FOREVER)
    assert exchange.silver.read("balanceOf", BOB) == out
    needed = amount_in(ETHER, 6 * ETHER, 10 * ETHER - out)
    before = exchange.gold.read("balanceOf", ALICE)
    router.send("swapTokensForExactTokens", ETHER, FOREVER, path, CAROL, FOREVER)
    assert exchange.silver.read("balanceOf", CAROL) == ETHER
    assert exchange.gold.read("balanceOf", ALICE) == before - needed
    longer = [*path, exchange.weth.address]
    amounts = router.read("getAmountsOut", ETHER, longer)
    wealth = exchange.balance(DAVE)
    receipt = router.send("swapExactTokensForETH", ETHER, 0, longer, DAVE, FOREVER)
    assert exchange.balance(DAVE) == wealth + amounts[2]
    names = [event.name for event in exchange.world.events(receipt)]
    assert names == [
        *("Transfer", "Transfer", "Sync", "Swap"),
        *("Transfer", "Sync", "Swap", "Withdrawal"),
    ]


def test_ether(exchange: Exchange) -> None:
    exchange.add_ether(exchange.gold, 100 * ETHER, ETHER)
    router, pair = exchange.router, exchange.pair(exchange.gold, exchange.weth)
    path = [exchange.weth.address, exchange.gold.address]
    out = amount_out(ETHER, ETHER, 100 * ETHER)
    router.send("swapExactETHForTokens", out, path, BOB, FOREVER, sender=BOB, value=ETHER)
    assert exchange.gold.read("balanceOf", BOB) == out
    wanted = ETHER
    cost = amount_in(wanted, 2 * ETHER, 100 * ETHER - out)
    call = ("swapETHForExactTokens", wanted, path, CAROL, FOREVER)
    router.send(*call, sender=CAROL, value=2 * cost)  # the rest comes back
    assert exchange.weth.read("balanceOf", pair.address) == 2 * ETHER + cost
    assert exchange.balance(router.address) == 0
    liquidity = pair.read("balanceOf", ALICE)
    pair.send("approve", router.address, FOREVER)
    remove = (exchange.gold.address, liquidity, 0, 0, DAVE, FOREVER)
    wealth = exchange.balance(DAVE)
    _, ether = router.read("removeLiquidityETH", *remove)
    router.send("removeLiquidityETH", *remove)
    assert exchange.balance(DAVE) == wealth + ether
    stray = exchange.world.sign(BOB, router.address, b"", value=1)
    (receipt,) = exchange.world.mine(stray)
    assert receipt.status == 0  # assert(msg.sender == WETH)


def test_a_sandwich_in_one_block(exchange: Exchange) -> None:
    exchange.add_ether(exchange.gold, 1_000 * ETHER, 10 * ETHER)
    router, gold, weth = exchange.router, exchange.gold, exchange.weth
    buy, sell = [weth.address, gold.address], [gold.address, weth.address]
    gold.send("approve", router.address, FOREVER, sender=BOB)
    first = amount_out(ETHER, 10 * ETHER, 1_000 * ETHER)
    second = amount_out(ETHER, 11 * ETHER, 1_000 * ETHER - first)
    name, pay = "swapExactETHForTokens", {"value": ETHER}
    receipts = exchange.world.mine(
        router.sign(name, 0, buy, BOB, FOREVER, sender=BOB, **pay),
        router.sign(name, second + 1, buy, CAROL, FOREVER, sender=CAROL, **pay),
        router.sign(name, second, buy, CAROL, FOREVER, sender=CAROL, **pay),
        router.sign("swapExactTokensForETH", first, ETHER, sell, BOB, FOREVER, sender=BOB),
    )
    assert [receipt.status for receipt in receipts] == [1, 0, 1, 1]
    assert gold.read("balanceOf", CAROL) == second
    pair = exchange.pair(gold, weth)
    names = ("price0CumulativeLast", "price1CumulativeLast")
    counted = [pair.read(name) for name in names]
    assert pair.read("getReserves")[2] == exchange.world.now
    prices = [ETHER * 10 << 112, ETHER * 1_000 << 112]
    first_price = prices[0] // (1_000 * ETHER), prices[1] // (10 * ETHER)
    elapsed = 12 * 2  # since the liquidity came; the first swap alone counts
    assert sorted(counted) == sorted(price * elapsed for price in first_price)


def test_tokens_that_take_a_fee(exchange: Exchange) -> None:
    token = exchange.world.deploy("DeflatingERC20", SUPPLY)
    token.send("approve", exchange.router.address, FOREVER)
    exchange.add_ether(token, 100 * ETHER, ETHER)
    router, path = exchange.router, [token.address, exchange.weth.address]
    plain = router.error("swapExactTokensForETH", ETHER, 0, path, BOB, FOREVER)
    assert plain == ("Error", "UniswapV2: K")
    wealth = exchange.balance(BOB)
    name = "swapExactTokensForETHSupportingFeeOnTransferTokens"
    router.send(name, ETHER, 0, path, BOB, FOREVER)
    arrived = ETHER - ETHER // 100
    assert exchange.balance(BOB) == wealth + amount_out(arrived, 99 * ETHER, ETHER)


def test_average_price(exchange: Exchange) -> None:
    exchange.add(5 * ETHER, 10 * ETHER)
    tokens = (exchange.gold.address, exchange.silver.address)
    oracle = exchange.world.deploy("ExampleOracleSimple", exchange.factory.address, *tokens)
    assert oracle.error("update") == ("Error", "ExampleOracleSimple: PERIOD_NOT_ELAPSED")
    exchange.world.wait(after=DAY)
    oracle.send("update")
    consulted = [oracle.read("consult", token, 100) for token in tokens]
    assert consulted[0] in (199, 200)
    assert consulted[1] in (49, 50)


def test_flash_swap_against_v1(exchange: Exchange) -> None:
    world, gold = exchange.world, exchange.gold
    first = world.deploy("UniswapV1Factory")
    template = world.deploy("UniswapV1Exchange")
    first.send("initializeFactory", template.address)
    first.send("createExchange", gold.address)
    old = world.at("UniswapV1Exchange", first.read("getExchange", gold.address))
    gold.send("approve", old.address, FOREVER)
    old.send("addLiquidity", 1, 20 * ETHER, FOREVER, value=10 * ETHER)  # 2 gold per ether
    exchange.add_ether(gold, 100 * ETHER, 10 * ETHER)  # 10 gold per ether
    flash = world.deploy(
        "ExampleFlashSwap", exchange.factory.address, first.address, exchange.router.address
    )
    pair = exchange.pair(gold, exchange.weth)
    gold_first = pair.read("token0") == gold.address
    borrowed = ETHER
    amounts = (borrowed, 0) if gold_first else (0, borrowed)
    received = amount_out(borrowed, 20 * ETHER, 10 * ETHER)
    owed = amount_in(borrowed, 10 * ETHER, 100 * ETHER)
    wealth = exchange.balance(flash.address)
    before = exchange.balance(BOB)
    least = (1).to_bytes(32, "big")  # that v1 must pay
    (receipt,) = world.mine(pair.sign("swap", *amounts, flash.address, least, sender=BOB))
    assert receipt.status == 1
    header = world.blocks[-1].header
    fee = receipt.cumulative_gas_used * (header.base_fee_per_gas + 10**9)
    assert exchange.balance(BOB) == before - fee + received - owed
    assert exchange.balance(flash.address) == wealth == 0
    swapped = (BOB, *((0, owed) if gold_first else (owed, 0)), *amounts, flash.address)
    assert world.events(receipt)[-1] == Event(pair.address, "Swap", swapped)
    # the other way round it does not pay, and all is undone
    reverse = pair.sign("swap", *reversed(amounts), flash.address, least, sender=BOB)
    (receipt,) = world.mine(reverse)
    assert (receipt.status, receipt.logs) == (0, ())
