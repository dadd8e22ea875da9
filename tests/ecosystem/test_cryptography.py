"""OpenZeppelin's verifiers: ECDSA, P-256, RSA, Merkle proofs of the chain's own state."""

from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from eth_typing import Hash32

from chain import rlp
from chain.trie import walk
from precompiles.hashing import keccak256
from tests.ecosystem.world import ALICE, BOB, KEYS, World

MESSAGE = b"what is signed"
ORDER_P256 = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ORDER_SECP256K1 = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def test_ecdsa(world: World) -> None:
    checker = world.deploy("Signatures")
    digest = keccak256(MESSAGE)
    signed = KEYS[0].unsafe_sign_hash(Hash32(digest))
    signature = bytes(signed.signature)
    assert checker.read("recover", digest, signature) == ALICE
    assert checker.read("isValid", ALICE, digest, signature) is True
    assert checker.read("isValid", BOB, digest, signature) is False
    assert checker.read("isValid", checker.address, digest, signature) is False  # no ERC-1271
    other = bytes([55 - signature[64]])  # the other parity
    high = signature[:32] + word(ORDER_SECP256K1 - signed.s) + other
    assert checker.error("recover", digest, high) == ("ECDSAInvalidSignatureS", high[32:64])
    assert checker.error("recover", digest, bytes(65)) == ("ECDSAInvalidSignature",)
    assert checker.error("recover", digest, signature[:64]) == ("ECDSAInvalidSignatureLength", 64)


def test_p256_by_the_precompiled_contract_and_without(world: World) -> None:
    checker = world.deploy("Signatures")
    key = ec.derive_private_key(0x5EED, ec.SECP256R1())
    point = key.public_key().public_numbers()
    public = word(point.x), word(point.y)
    digest = sha256(MESSAGE).digest()
    r, s = decode_dss_signature(key.sign(MESSAGE, ec.ECDSA(SHA256())))
    s = min(s, ORDER_P256 - s)
    arguments = (digest, word(r), word(s), public)
    assert checker.read("verifyP256", *arguments) == (True, True)
    plain = checker.send("verifyP256", *arguments).cumulative_gas_used
    assert plain > 200_000  # Solidity's own arithmetic
    wrong = (keccak256(MESSAGE), *arguments[1:])
    assert checker.read("verifyP256", *wrong) == (False, False)
    checker.send("verifyP256", *wrong)
    high = (*arguments[:2], word(ORDER_P256 - s), public)
    assert checker.read("verifyP256", *high) == (False, False)
    recovered = [checker.read("recoverP256", *arguments[:1], v, word(r), word(s)) for v in (0, 1)]
    assert public in recovered
    checker.send("recoverP256", digest, 1, word(r), word(s))


def test_rsa(world: World) -> None:
    checker = world.deploy("Signatures")
    key = rsa.generate_private_key(65_537, 2_048)
    numbers = key.public_key().public_numbers()
    modulus, exponent = numbers.n.to_bytes(256, "big"), b"\1\0\1"
    signature = key.sign(MESSAGE, padding.PKCS1v15(), SHA256())
    arguments = (sha256(MESSAGE).digest(), signature, exponent, modulus)
    assert checker.read("verifyRSA", *arguments) is True
    checker.send("verifyRSA", *arguments)
    wrong = (sha256(b"else").digest(), *arguments[1:])
    assert checker.read("verifyRSA", *wrong) is False


def test_merkle_tree(world: World) -> None:
    checker = world.deploy("Signatures")
    leaves = [keccak256(bytes([n])) for n in range(4)]
    first, second = (keccak256(b"".join(sorted(leaves[n : n + 2]))) for n in (0, 2))
    root = keccak256(b"".join(sorted((first, second))))
    assert checker.read("verifyMerkle", [leaves[3], first], root, leaves[2]) is True
    assert checker.read("verifyMerkle", [leaves[3], second], root, leaves[2]) is False
    checker.send("verifyMerkle", [leaves[3], first], root, leaves[2])


def test_a_contract_reads_the_chain_from_proofs(world: World) -> None:
    witness = world.deploy("Witness")
    number = world.number
    world.wait(2)
    header = world.blocks[number].header
    key = keccak256(BOB)
    _, proof = walk(world.node, header.state_root, key)
    arguments = (header.rlp, key, proof)
    found, timestamp, account = witness.read("account", *arguments)
    assert (found, timestamp) == (number, header.timestamp)
    assert account == rlp.encode(
        [b"", rlp.uint(10**24), world.state.account(BOB).storage_root, keccak256(b"")]
    )
    witness.send("account", *arguments)
    forged = header.rlp[:-1] + bytes([header.rlp[-1] ^ 1])
    assert witness.error("account", forged, key, proof) == ("Error", "unknown header")


@pytest.mark.slow
def test_block_hashes_beyond_256(world: World) -> None:
    witness = world.deploy("Witness")
    world.wait(260)  # EIP-2935 keeps what BLOCKHASH does not
    for height in (1, 3, 4, 5, 100, world.number - 1):
        assert witness.read("blockHash", height) == world.blocks[height].hash
        witness.send("blockHash", height)
    assert witness.read("blockHash", world.number + 2) == bytes(32)
