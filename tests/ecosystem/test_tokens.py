"""OpenZeppelin's tokens: ERC-20 with its extensions, ERC-721, ERC-1155, ERC-4626."""

import base64
import json

import pytest

from precompiles.hashing import keccak256
from tests.ecosystem.artifacts import Event
from tests.ecosystem.typed_data import DELEGATION, PERMIT, sign
from tests.ecosystem.world import ALICE, BOB, CAROL, DAVE, NOBODY, Contract, World

SUPPLY = 1_000_000
MINTER, PAUSER = keccak256(b"MINTER"), keccak256(b"PAUSER")
FOREVER = 2**48 - 1


@pytest.fixture
def coin(world: World) -> Contract:
    return world.deploy("Coin", SUPPLY)


def test_erc20(world: World, coin: Contract) -> None:
    receipt = coin.send("transfer", BOB, 300)
    assert world.events(receipt) == [Event(coin.address, "Transfer", (ALICE, BOB, 300))]
    coin.send("approve", CAROL, 200, sender=BOB)
    receipt = coin.send("transferFrom", BOB, DAVE, 150, sender=CAROL)
    assert world.events(receipt) == [Event(coin.address, "Transfer", (BOB, DAVE, 150))]
    balances = [coin.read("balanceOf", who) for who in (ALICE, BOB, CAROL, DAVE)]
    assert balances == [SUPPLY - 300, 150, 0, 150]
    assert coin.read("allowance", BOB, CAROL) == 50
    assert coin.error("transferFrom", BOB, DAVE, 51, sender=CAROL) == (
        "ERC20InsufficientAllowance",
        CAROL,
        50,
        51,
    )
    assert coin.error("transfer", DAVE, 151, sender=BOB) == (
        "ERC20InsufficientBalance",
        BOB,
        150,
        151,
    )
    assert coin.error("transfer", NOBODY, 1) == ("ERC20InvalidReceiver", NOBODY)
    coin.send("approve", CAROL, 2**256 - 1)  # never decreases
    coin.send("burnFrom", ALICE, 700, sender=CAROL)
    assert coin.read("allowance", ALICE, CAROL) == 2**256 - 1
    assert coin.read("totalSupply") == SUPPLY - 700
    assert [coin.read(name) for name in ("name", "symbol", "decimals")] == ["Coin", "COIN", 18]


def test_permit(world: World, coin: Contract) -> None:
    deadline = world.now + 100
    values = (ALICE, BOB, 77, 0, deadline)
    signature = sign(ALICE, coin, "Coin", "Permit", PERMIT, *values)
    arguments = (ALICE, BOB, 77, deadline, *signature)
    receipt = coin.send("permit", *arguments, sender=DAVE)
    assert world.events(receipt) == [Event(coin.address, "Approval", (ALICE, BOB, 77))]
    coin.send("transferFrom", ALICE, CAROL, 77, sender=BOB)
    name, recovered, owner = coin.error("permit", *arguments)  # its nonce is used
    assert (name, owner) == ("ERC2612InvalidSigner", ALICE)
    assert recovered != ALICE
    signature = sign(BOB, coin, "Coin", "Permit", PERMIT, ALICE, BOB, 1, 1, deadline)
    assert coin.error("permit", ALICE, BOB, 1, deadline, *signature) == (
        "ERC2612InvalidSigner",
        BOB,
        ALICE,
    )
    assert coin.read("nonces", ALICE) == 1
    world.wait(after=100)
    assert coin.error("permit", *arguments) == ("ERC2612ExpiredSignature", deadline)
    fields, domain, version, chain_id, contract, _, _ = coin.read("eip712Domain")
    assert (fields, domain, version) == (b"\x0f", "Coin", "1")
    assert (chain_id, contract) == (world.spec.chain_id, coin.address)


def test_votes(world: World, coin: Contract) -> None:
    coin.send("transfer", BOB, 400)
    receipt = coin.send("delegate", ALICE)
    assert world.events(receipt) == [
        Event(coin.address, "DelegateChanged", (ALICE, NOBODY, ALICE)),
        Event(coin.address, "DelegateVotesChanged", (ALICE, 0, SUPPLY - 400)),
    ]
    signature = sign(BOB, coin, "Coin", "Delegation", DELEGATION, CAROL, 0, FOREVER)
    coin.send("delegateBySig", CAROL, 0, FOREVER, *signature, sender=DAVE)
    first = world.number
    receipt = coin.send("transfer", BOB, 100)
    assert [event.name for event in world.events(receipt)] == [
        "Transfer",
        "DelegateVotesChanged",
        "DelegateVotesChanged",
    ]
    coin.send("burn", 40, sender=BOB)
    world.wait()
    assert coin.read("getVotes", CAROL) == 460
    assert [coin.read("getPastVotes", CAROL, first + n) for n in range(3)] == [400, 500, 460]
    assert coin.read("getPastVotes", ALICE, first) == SUPPLY - 400
    assert coin.read("getPastTotalSupply", first + 2) == SUPPLY - 40
    assert coin.read("numCheckpoints", CAROL) == 3
    assert coin.read("checkpoints", CAROL, 1) == (first + 1, 500)
    ahead = world.number + 1
    assert coin.error("getPastVotes", CAROL, ahead) == ("ERC5805FutureLookup", ahead, ahead - 1)


def test_roles_and_pausing(world: World, coin: Contract) -> None:
    refused = ("AccessControlUnauthorizedAccount", BOB, MINTER)
    assert coin.error("mint", BOB, 5, sender=BOB) == refused
    calls = [coin.data("grantRole", MINTER, BOB), coin.data("grantRole", PAUSER, CAROL)]
    receipt = coin.send("multicall", calls)
    assert world.events(receipt) == [
        Event(coin.address, "RoleGranted", (MINTER, BOB, ALICE)),
        Event(coin.address, "RoleGranted", (PAUSER, CAROL, ALICE)),
    ]
    coin.send("mint", DAVE, 5, sender=BOB)
    coin.send("pause", sender=CAROL)
    assert coin.error("transfer", ALICE, 1, sender=DAVE) == ("EnforcedPause",)
    coin.send("unpause", sender=CAROL)
    coin.send("transfer", ALICE, 1, sender=DAVE)
    coin.send("renounceRole", MINTER, BOB, sender=BOB)
    assert coin.error("mint", BOB, 5, sender=BOB) == refused
    assert coin.read("hasRole", MINTER, BOB) is False
    fails = [coin.data("transfer", BOB, 1), coin.data("transfer", BOB, SUPPLY + 1)]
    assert coin.error("multicall", fails)[0] == "ERC20InsufficientBalance"
    assert coin.read("balanceOf", BOB) == 0
    assert coin.read("supportsInterface", bytes.fromhex("7965db0b")) is True  # IAccessControl


def test_flash_loan(world: World, coin: Contract) -> None:
    borrower = world.deploy("Borrower")
    coin.send("transfer", borrower.address, 10)
    receipt = borrower.send("borrow", coin.address, 10_000, True)
    assert [(event.name, event.arguments[-1]) for event in world.events(receipt)] == [
        ("Transfer", 10_000),
        ("Approval", 10_010),
        ("Transfer", 10_010),
    ]
    assert coin.read("balanceOf", borrower.address) == 0
    assert coin.read("totalSupply") == SUPPLY - 10
    assert coin.error("transfer", borrower.address, SUPPLY)[0] == "ERC20InsufficientBalance"
    assert borrower.error("borrow", coin.address, 500, False)[0] == "ERC20InsufficientAllowance"
    assert borrower.error("borrow", coin.address, 5_000, True) == (
        "ERC20InsufficientBalance",
        borrower.address,
        5_000,
        5_005,
    )


def test_vault(world: World, coin: Contract) -> None:
    vault = world.deploy("Vault", coin.address)
    coin.send("transfer", BOB, 1_000)
    for who, amount in ((ALICE, 600), (BOB, 300)):
        coin.send("approve", vault.address, amount, sender=who)
        receipt = vault.send("deposit", amount, who, sender=who)
        *_, event = world.events(receipt)
        assert event == Event(vault.address, "Deposit", (who, who, amount, amount))
    coin.send("transfer", vault.address, 90)  # a yield of a tenth
    assert vault.read("convertToAssets", 100) == 109  # rounded against the owner
    receipt = vault.send("redeem", 300, CAROL, BOB, sender=BOB)
    assert coin.read("balanceOf", CAROL) == 329
    assert world.events(receipt)[-1] == Event(
        vault.address, "Withdraw", (BOB, CAROL, BOB, 329, 300)
    )
    assert vault.error("withdraw", 700, ALICE, ALICE)[:2] == ("ERC4626ExceededMaxWithdraw", ALICE)
    assert vault.read("totalAssets") == coin.read("balanceOf", vault.address) == 661


def test_erc721(world: World) -> None:
    art, keeper = world.deploy("Art"), world.deploy("Keeper")
    art.send("mint", BOB, 1)
    receipt = art.send("mint", keeper.address, 2)
    assert world.events(receipt) == [
        Event(art.address, "Transfer", (NOBODY, keeper.address, 2)),
        Event(keeper.address, "Received", (ALICE, NOBODY, 2, b"minted")),
    ]
    assert art.error("mint", art.address, 3) == ("ERC721InvalidReceiver", art.address)
    assert art.error("mint", keeper.address, 13) == ("NotWanted", 13)
    assert art.error("mint", keeper.address, 14) == ("ERC721InvalidReceiver", keeper.address)
    assert art.error("mint", BOB, 1) == ("ERC721InvalidSender", NOBODY)
    art.send("approve", CAROL, 1, sender=BOB)
    plain, with_data = (f"safeTransferFrom(address,address,uint256{x})" for x in ("", ",bytes"))
    assert art.error(plain, BOB, DAVE, 1, sender=DAVE) == ("ERC721InsufficientApproval", DAVE, 1)
    receipt = art.send(with_data, BOB, keeper.address, 1, b"gift", sender=CAROL)
    assert world.events(receipt)[-1] == Event(keeper.address, "Received", (CAROL, BOB, 1, b"gift"))
    assert art.read("getApproved", 1) == NOBODY
    assert [art.read("tokenOfOwnerByIndex", keeper.address, n) for n in (0, 1)] == [2, 1]
    assert art.read("totalSupply") == 2
    assert art.read("royaltyInfo", 1, 10_000) == (ALICE, 250)
    head, body = art.read("tokenURI", 2).split(",")
    assert head == "data:application/json;base64"
    assert json.loads(base64.b64decode(body)) == {"name": "Art 2"}
    assert art.error("tokenURI", 9) == ("ERC721NonexistentToken", 9)
    identifiers = ("01ffc9a7", "80ac58cd", "780e9d63", "2a55205a", "ffffffff")
    supported = [art.read("supportsInterface", bytes.fromhex(item)) for item in identifiers]
    assert supported == [True, True, True, True, False]


def test_ownership_in_two_steps(world: World) -> None:
    art = world.deploy("Art")
    receipt = art.send("transferOwnership", BOB)
    started = Event(art.address, "OwnershipTransferStarted", (ALICE, BOB))
    assert world.events(receipt) == [started]
    refused = ("OwnableUnauthorizedAccount", CAROL)
    assert art.error("acceptOwnership", sender=CAROL) == refused
    assert art.read("owner") == ALICE
    art.send("acceptOwnership", sender=BOB)
    assert (art.read("owner"), art.read("pendingOwner")) == (BOB, NOBODY)
    assert art.error("mint", ALICE, 1) == ("OwnableUnauthorizedAccount", ALICE)
    art.send("mint", ALICE, 1, sender=BOB)


def test_erc1155(world: World) -> None:
    goods, keeper = world.deploy("Goods"), world.deploy("Keeper")
    goods.send("mint", BOB, [1, 2, 3], [10, 20, 30])
    goods.send("setApprovalForAll", CAROL, True, sender=BOB)
    batch = ("safeBatchTransferFrom", BOB, keeper.address, [3, 1], [5, 10], b"")
    refused = ("ERC1155MissingApprovalForAll", DAVE, BOB)
    assert goods.error(*batch, sender=DAVE) == refused
    receipt = goods.send(*batch, sender=CAROL)
    assert world.events(receipt) == [
        Event(goods.address, "TransferBatch", (CAROL, BOB, keeper.address, [3, 1], [5, 10])),
        Event(keeper.address, "Batch", ([3, 1], [5, 10])),
    ]
    goods.send("safeTransferFrom", BOB, keeper.address, 2, 20, b"", sender=BOB)
    owners = [BOB, BOB, BOB, keeper.address, keeper.address, keeper.address]
    ids = [1, 2, 3] * 2
    assert goods.read("balanceOfBatch", owners, ids) == [0, 0, 25, 10, 20, 5]
    assert goods.read("totalSupply(uint256)", 3) == 30
    assert goods.error("safeTransferFrom", BOB, goods.address, 3, 1, b"", sender=BOB) == (
        "ERC1155InvalidReceiver",
        goods.address,
    )
    lacking = ("ERC1155InsufficientBalance", BOB, 25, 26, 3)
    assert goods.error("safeTransferFrom", BOB, ALICE, 3, 26, b"", sender=BOB) == lacking
    lengths = ("ERC1155InvalidArrayLength", 1, 2)
    assert goods.error("safeBatchTransferFrom", BOB, ALICE, [3], [1, 2], b"", sender=BOB) == lengths
    assert goods.read("uri", 3) == "https://example.org/{id}.json"
