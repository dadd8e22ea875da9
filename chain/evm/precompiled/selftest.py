"""Start-up self-test: a node whose precompiled contracts differ must not execute a block.

One digest covers every contract of every fork on fixed inputs: ordinary ones, and those at which
libraries differ (points outside the subgroup, not on the curve, not canonical, at infinity).
"""

from collections.abc import Iterator
from hashlib import sha256
from typing import Final, cast

from chain.errors import ExecutorFault
from chain.evm.errors import Halt
from chain.evm.frame import Evm, Frame
from chain.evm.precompiled.pairing import PRIME
from chain.evm.precompiled.table import ethereum_precompiles
from genesis.forks import Fork
from precompiles.hashing import keccak256

PRECOMPILED_DIGEST: Final = "c60e98cb107d5bc8248c4807b8b82affbdf1df247982767066b5a5cf10f8f924"
"""What every honest node computes; change it only with a consensus-breaking release."""

_GAS: Final = 10_000_000
_BN_G1: Final = (1).to_bytes(32, "big") + (2).to_bytes(32, "big")
_BN_MINUS_G1: Final = (1).to_bytes(32, "big") + (PRIME - 2).to_bytes(32, "big")
_BN_G2: Final = bytes.fromhex(
    "198e9393920d483a7260bfb731fb5d25f1aa493335a9e71297e485b7aef312c2"
    "1800deef121f1e76426a00665e5c4479674322d4f75edadd46debd5cd992f6ed"
    "090689d0585ff075ec9e99ad690c3395bc4b313370b38ef355acdadcd122975b"
    "12c85ea5db8c6deb4aab71808dcb408fe3d1e7690c43d37b4ce6cc0166fa7daa"
)
_BN_OUTSIDE: Final = bytes(63) + bytes.fromhex(
    "01"
    "0d1271953ed9ea0836846e70a1934187998c7f790cb4d7511b7f8da82de048a4"
    "2869111d5381f072f8e2728fdb825a51aadd70e52c9830e9ab4b871c0531f1bb"
)
"""On the twist, not in G2."""

_BLS_LOW: Final = bytes(127) + b"\x02"
"""(0, 2): on the curve, not in G1."""
_BLS_OUTSIDE: Final = (2).to_bytes(64, "big") + b"".join(
    number.to_bytes(64, "big")
    for number in (
        0,
        0x13A59858B6809FCA4D9A3B6539246A70051A3C88899964A42BC9A69CF9ACDD9DD387CFA9086B894185B9A46A402BE73,
        0x2D27E0EC3356299A346A09AD7DC4EF68A483C3AED53F9139D2F929A3EECEBF72082E5E58C6DA24EE32E03040C406D4F,
    )
)
"""On the twist, not in G2."""

_P256: Final = bytes.fromhex(  # EIP-7951's first vector
    "4cee90eb86eaa050036147a12d49004b6b9c72bd725d39d4785011fe190f0b4d"
    "a73bd4903f0ce3b639bbbf6e8e80d16931ff4bcf5993d58468e8fb19086e8cac"
    "36dbcd03009df8c59286b162af3bd7fcc0450c9aa81be5d10d312af6c66b1d60"
    "4aebd3099c618202fcfe16ae7770b0c49ab5eadf74b754204a3bb6060e44eff3"
    "7618b065f9832de4ca6ca971a7a1adc826d0f7c00181a5fb2ddf79ae00b4e10e"
)


def precompiled_digest() -> str:
    """Digest of what every contract makes of fixed inputs in this process: 64 hex digits."""
    state = b""
    for fork in (Fork.BYZANTIUM, Fork.ISTANBUL, Fork.BERLIN, Fork.OSAKA):
        for address, data in _calls():
            if address.to_bytes(20, "big") in ethereum_precompiles(fork):
                state = keccak256(state + _answer(fork, address, data))
    return state.hex()


def precompiled_self_test() -> None:
    """Compare this node's precompiled contracts with the chain's.

    Raises:
        ExecutorFault: the digest differs; the node must stop before it votes or executes.
    """
    digest = precompiled_digest()
    if digest != PRECOMPILED_DIGEST:
        raise ExecutorFault(
            f"precompiled contracts: digest {digest}, expected {PRECOMPILED_DIGEST}: "
            "a cryptographic library of this node computes something else"
        )


def _answer(fork: Fork, address: int, data: bytes) -> bytes:
    """Success, gas left and output."""
    place = address.to_bytes(20, "big")
    frame = Frame(cast(Evm, None), place, place, place, 0, data, b"", _GAS)
    try:
        output = ethereum_precompiles(fork)[place](frame)
    except Halt:
        return b"\0"
    return b"\1" + frame.gas.to_bytes(8, "big") + output


def _calls() -> Iterator[tuple[int, bytes]]:
    """(address, input)."""
    noise = b"".join(keccak256(bytes([number])) for number in range(16))
    for address in range(1, 0x12):
        for size in (0, 64, 160, 212, 213):
            yield address, noise[:size]
    for v in (27, 28, 29):
        yield 1, noise[:32] + v.to_bytes(32, "big") + bytes(16) + noise[:48]
    for base, exponent, modulus in ((0, 0, 1), (1, 2, 1), (32, 32, 32), (65, 3, 64), (9, 70, 8)):
        lengths = [size.to_bytes(32, "big") for size in (base, exponent, modulus)]
        yield 5, b"".join(lengths) + noise[: base + exponent + modulus]
    yield 9, bytes(3) + b"\x0c" + noise[:208] + b"\1"
    yield from _bn254_calls(noise)
    yield from _bls12_381_calls(noise)
    for commitment in (b"\xc0" + bytes(47), b"\xc0" + bytes(46) + b"\1"):
        digest = b"\1" + sha256(commitment).digest()[1:]
        for y in (0, 1):
            point = noise[:31].rjust(32, b"\0") + y.to_bytes(32, "big")
            yield 0x0A, digest + point + commitment + b"\xc0" + bytes(47)
    yield 0x100, _P256
    yield 0x100, _P256[:-1] + b"\0"


def _bn254_calls(noise: bytes) -> Iterator[tuple[int, bytes]]:
    for second in (_BN_G1, _BN_MINUS_G1, bytes(64), noise[:64]):
        yield 6, _BN_G1 + second
    for scalar in (bytes(32), b"\xff" * 32, noise[:32]):
        yield 7, _BN_G1 + scalar
    for pairs in (
        _BN_G1 + _BN_G2,
        _BN_G1 + _BN_G2 + _BN_MINUS_G1 + _BN_G2,
        _BN_G1 + _BN_OUTSIDE,
        bytes(64) + _BN_OUTSIDE,
    ):
        yield 8, pairs


def _bls12_381_calls(noise: bytes) -> Iterator[tuple[int, bytes]]:
    elements = [bytes(17) + noise[i : i + 47] for i in range(4)]
    first = [_output(0x10, element) for element in elements]
    second = [_output(0x11, element * 2) for element in elements]
    yield 0x0B, first[0] + first[1]
    yield 0x0B, first[0] + _BLS_LOW
    yield 0x0B, first[0][:-1] + b"\0" + first[1]
    yield 0x0C, b"".join(point + noise[:32] for point in first)
    yield 0x0C, _BLS_LOW + noise[:32]
    yield 0x0D, second[0] + second[1]
    yield 0x0D, second[0] + _BLS_OUTSIDE
    yield 0x0E, b"".join(point + noise[:32] for point in second)
    yield 0x0E, _BLS_OUTSIDE + noise[:32]
    yield 0x0F, first[0] + second[0]
    yield 0x0F, first[0] + bytes(256) + bytes(128) + second[0]
    yield 0x0F, first[0] + _BLS_OUTSIDE
    yield 0x0F, _BLS_LOW + second[0]


def _output(address: int, data: bytes) -> bytes:
    """Output of a call that succeeds."""
    return _answer(Fork.OSAKA, address, data)[9:]
