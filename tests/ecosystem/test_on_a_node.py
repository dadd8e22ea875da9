"""The same contracts on a running node, driven by web3.py."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from web3 import Web3
from web3.exceptions import ContractCustomError, ContractLogicError
from web3.logs import DISCARD
from web3.middleware import SignAndSendRawMiddlewareBuilder

from tests.ecosystem.artifacts import Artifact, compiled, uniswap
from tests.ecosystem.typed_data import PERMIT, sign_with
from tests.rpc.local_chain import ACCOUNTS, ETHER, local_chain

ALICE, BOB, CAROL = ACCOUNTS[:3]
SUPPLY = 10**6 * ETHER
FOREVER = 2**256 - 1
IMPLEMENTATION = int.from_bytes(Web3.keccak(text="eip1967.proxy.implementation"), "big") - 1

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def artifacts(request: pytest.FixtureRequest) -> dict[str, Artifact]:
    return compiled(Path(request.config.cache.mkdir("ecosystem"))) | uniswap()


@pytest.fixture(scope="module")
def w3(artifacts: dict[str, Artifact], tmp_path_factory: Any) -> Iterator[Web3]:
    with local_chain(Path(tmp_path_factory.mktemp("ecosystem-chain"))) as chain:
        client = Web3(Web3.HTTPProvider(chain.url))
        for account in ACCOUNTS:
            client.middleware_onion.inject(SignAndSendRawMiddlewareBuilder.build(account), layer=0)
        client.eth.default_account = ALICE.address
        yield client


def mined(w3: Web3, tx_hash: Any) -> Any:
    receipt = w3.eth.wait_for_transaction_receipt(tx_hash, timeout=60, poll_latency=0.02)
    assert receipt["status"] == 1
    return receipt


def deploy(w3: Web3, artifact: Artifact, *arguments: Any) -> Any:
    factory = w3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
    receipt = mined(w3, factory.constructor(*arguments).transact())
    return w3.eth.contract(address=receipt["contractAddress"], abi=artifact.abi)


def test_a_token_with_permit(w3: Web3, artifacts: dict[str, Artifact]) -> None:
    coin = deploy(w3, artifacts["Coin"], SUPPLY)
    receipt = mined(w3, coin.functions.transfer(BOB.address, 500).transact())
    (event,) = coin.events.Transfer().process_receipt(receipt)
    assert dict(event["args"]) == {"from": ALICE.address, "to": BOB.address, "value": 500}
    deadline = w3.eth.get_block("latest")["timestamp"] + 10_000
    values = (BOB.address, CAROL.address, 300, 0, deadline)
    signature = sign_with(BOB, coin.address, "Coin", "Permit", PERMIT, *values)
    permit = coin.functions.permit(*values[:3], deadline, *signature)
    mined(w3, permit.transact())
    spend = coin.functions.transferFrom(BOB.address, CAROL.address, 300)
    mined(w3, spend.transact({"from": CAROL.address}))
    assert coin.functions.balanceOf(CAROL.address).call() == 300
    with pytest.raises(ContractCustomError, match="0xfb8f41b2"):  # ERC20InsufficientAllowance
        spend.call({"from": CAROL.address})
    found = coin.events.Transfer().get_logs(from_block=0, argument_filters={"to": CAROL.address})
    assert [log["args"]["value"] for log in found] == [300]


def test_a_proxy_is_upgraded(w3: Web3, artifacts: dict[str, Artifact]) -> None:
    first, second = (deploy(w3, artifacts[name]) for name in ("Tally", "DoubleTally"))
    data = first.encode_abi("initialize", [ALICE.address, 5])
    proxy = deploy(w3, artifacts["ERC1967Proxy"], first.address, data)
    tally = w3.eth.contract(address=proxy.address, abi=artifacts["DoubleTally"].abi)
    mined(w3, tally.functions.add(2).transact())
    migrate = second.encode_abi("migrate", [])
    mined(w3, tally.functions.upgradeToAndCall(second.address, migrate).transact())
    assert tally.functions.doubled().call() == 14
    stored = w3.eth.get_storage_at(proxy.address, IMPLEMENTATION)
    assert Web3.to_checksum_address(stored[-20:]) == second.address
    eth: Any = w3.eth
    proof = eth.get_proof(proxy.address, [0])["storageProof"][0]
    assert int.from_bytes(proof["value"], "big") == 7


def test_uniswap(w3: Web3, artifacts: dict[str, Artifact]) -> None:
    weth = deploy(w3, artifacts["WETH9"])
    factory = deploy(w3, artifacts["UniswapV2Factory"], ALICE.address)
    router = deploy(w3, artifacts["UniswapV2Router02"], factory.address, weth.address)
    gold = deploy(w3, artifacts["ERC20"], SUPPLY)
    mined(w3, gold.functions.approve(router.address, FOREVER).transact())
    add = router.functions.addLiquidityETH(gold.address, 100 * ETHER, 0, 0, ALICE.address, FOREVER)
    mined(w3, add.transact({"value": 10 * ETHER}))
    address = factory.functions.getPair(gold.address, weth.address).call()
    pair = w3.eth.contract(address=address, abi=artifacts["UniswapV2Pair"].abi)
    path = [weth.address, gold.address]
    _, out = router.functions.getAmountsOut(ETHER, path).call()
    assert out == ETHER * 997 * 100 // (10 * 1_000 + 997)
    buy = router.functions.swapExactETHForTokens(out, path, BOB.address, FOREVER)
    access = w3.eth.create_access_list(buy.build_transaction({"value": ETHER}))
    assert pair.address in {item["address"] for item in access["accessList"]}
    receipt = mined(w3, buy.transact({"value": ETHER}))
    (swap,) = pair.events.Swap().process_receipt(receipt, errors=DISCARD)
    assert swap["args"]["to"] == BOB.address
    assert gold.functions.balanceOf(BOB.address).call() == out
    with pytest.raises(ContractLogicError, match="UniswapV2Router: EXPIRED"):
        router.functions.swapExactETHForTokens(0, path, BOB.address, 1).call({"value": 1})
