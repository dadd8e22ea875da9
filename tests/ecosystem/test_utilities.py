"""OpenZeppelin's data structures and guards: transient storage, sets, queues, CREATE2, EIP-7702."""

from math import isqrt

from precompiles.abi import encode
from precompiles.hashing import keccak256
from tests.ecosystem.artifacts import Event
from tests.ecosystem.world import (
    ACCOUNTS,
    ALICE,
    BOB,
    CAROL,
    CHAIN_ID,
    DAVE,
    ETHER,
    KEYS,
    Contract,
    World,
)

DELEGATED = bytes.fromhex("ef0100")
BATCH_MODE = bytes.fromhex("01").ljust(32, b"\0")


def test_the_transient_guard_stops_reentrancy(world: World) -> None:
    bank = world.deploy("Bank")
    bank.send("deposit", value=3 * ETHER)
    thief = world.deploy("Thief", bank.address)
    assert thief.error("steal", False, value=ETHER) == ("ReentrancyGuardReentrantCall",)
    assert world.state.account(thief.address).balance == 0
    thief.send("steal", True, value=ETHER)
    assert world.state.account(thief.address).balance == 2 * ETHER
    assert bank.read("guarded") is True  # the guard is open again in the next transaction
    bank.send("deposit", sender=BOB, value=ETHER)
    before = world.state.account(bank.address).balance
    bank.send("withdraw", sender=BOB)
    assert world.state.account(bank.address).balance == before - ETHER
    assert world.state.account(bank.address).storage_root != world.state.account(BOB).storage_root


def test_transient_values_last_one_transaction(world: World) -> None:
    visitors = world.deploy("Visitors")
    receipts = world.mine(visitors.sign("visitTwice"), visitors.sign("visitTwice", sender=BOB))
    expected = [Event(visitors.address, "Visited", (before,)) for before in (0, 1)]
    assert [world.events(receipt) for receipt in receipts] == [expected, expected]


def test_sets_checkpoints_and_queues(world: World) -> None:
    made = world.deploy("Structures")
    for member in (*ACCOUNTS, ALICE):
        made.send("enter", member)
    made.send("leave", BOB)
    assert made.read("all") == [ALICE, ACCOUNTS[4], CAROL, DAVE]  # the last takes the place
    for at, count in ((10, 1), (20, 2), (20, 3), (4_000, 4)):
        made.send("record", at, count)
    assert [made.read("recorded", at) for at in (9, 10, 19, 20, 3_999, 9_999)] == [0, 1, 1, 3, 3, 4]
    assert made.error("record", 5, 5) == ("CheckpointUnorderedInsertion",)
    words = [keccak256(bytes([n])) for n in range(4)]
    for value, front in zip(words, (False, True, False, True), strict=True):
        made.send("enqueue", value, front)
    assert made.read("queued") == [words[3], words[1], words[0], words[2]]
    made.send("dequeue")
    assert made.read("queued") == [words[1], words[0], words[2]]


def test_mathematics(world: World) -> None:
    made = world.deploy("Structures")
    modulus = 2**255 - 19
    for x, y in ((3, 5), (2**200 + 7, 2**250 + 1), (modulus - 1, modulus - 2)):
        assert made.read("mathematics", x, y, modulus) == (
            x * y // modulus,
            isqrt(x),
            len(str(x)) - 1,
            256 - x.bit_length(),
            pow(x, -1, modulus),
            pow(x, y, modulus),
        )
        made.send("mathematics", x, y, modulus)
    assert made.error("mathematics", 2**255, 2**255, 1) == ("Panic", 0x11)
    assert made.error("mathematics", 1, 1, 0) == ("Panic", 0x12)


def test_create2(world: World) -> None:
    made, salt = world.deploy("Structures"), keccak256(b"salt")
    code = world.artifacts["Purse"].bytecode
    expected = keccak256(b"\xff" + made.address + salt + keccak256(code))[12:]
    receipt = made.send("deploy", salt, code)
    assert world.events(receipt) == [Event(made.address, "Deployed", (expected,))]
    assert world.at("Purse", expected).read("balance") == 0
    assert made.error("deploy", salt, code) == ("FailedDeployment",)
    assert made.error("deploy", salt, b"") == ("Create2EmptyBytecode",)
    assert made.error("deploy", salt, code, value=5) == ("FailedDeployment",)


def test_an_account_runs_batches(world: World) -> None:
    batch, coin = world.deploy("Batch"), world.deploy("Coin", 1_000)
    coin.send("transfer", BOB, 100)
    calls = [
        (coin.address, 0, coin.data("approve", CAROL, 40)),
        (coin.address, 0, coin.data("transfer", DAVE, 60)),
        (DAVE, ETHER, b""),
    ]
    account = Contract(world, BOB, batch.abi)
    data = account.data("execute", BATCH_MODE, encode(("(address,uint256,bytes)[]",), (calls,)))
    nonce = world.nonces[BOB] + 1  # after the transaction's own
    signed = KEYS[1].sign_authorization(
        {"chainId": CHAIN_ID, "address": batch.address, "nonce": nonce}
    )
    before = world.state.account(DAVE).balance
    (receipt,) = world.mine(world.sign(BOB, BOB, data, type=4, authorizationList=[signed]))
    world.nonces[BOB] += 1
    assert receipt.status == 1
    assert world.state.code(BOB) == DELEGATED + batch.address
    assert world.events(receipt) == [
        Event(coin.address, "Approval", (BOB, CAROL, 40)),
        Event(coin.address, "Transfer", (BOB, DAVE, 60)),
    ]
    assert world.state.account(DAVE).balance == before + ETHER
    assert account.error("execute", BATCH_MODE, b"", sender=ALICE) == ("AccountUnauthorized", ALICE)
    too_much = [(coin.address, 0, coin.data("transfer", DAVE, 41))]
    failing = encode(("(address,uint256,bytes)[]",), (too_much,))
    assert account.error("execute", BATCH_MODE, failing, sender=BOB) == (
        "ERC20InsufficientBalance",
        BOB,
        40,
        41,
    )
