"""Calls of precompiled contracts worth making: right inputs, wrong ones, and cheap ones only."""

import random
from collections.abc import Callable
from typing import Final

from coincurve import PrivateKey

from genesis.forks import Fork

_BN254_G1 = (1).to_bytes(32, "big") + (2).to_bytes(32, "big")
_BLS_G1: Final = bytes.fromhex(
    "0000000000000000000000000000000017f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac58"
    "6c55e83ff97a1aeffb3af00adb22c6bb"
    "0000000000000000000000000000000008b3f481e3aaa0f1a09e30ed741d8ae4fcf5e095d5d00af600db18cb2c04b3ed"
    "d03cc744a2888ae40caa232946c5e7e1"
)
_P256_VALID: Final = bytes.fromhex(  # EIP-7951's first vector
    "4cee90eb86eaa050036147a12d49004b6b9c72bd725d39d4785011fe190f0b4d"
    "a73bd4903f0ce3b639bbbf6e8e80d16931ff4bcf5993d58468e8fb19086e8cac"
    "36dbcd03009df8c59286b162af3bd7fcc0450c9aa81be5d10d312af6c66b1d60"
    "4aebd3099c618202fcfe16ae7770b0c49ab5eadf74b754204a3bb6060e44eff3"
    "7618b065f9832de4ca6ca971a7a1adc826d0f7c00181a5fb2ddf79ae00b4e10e"
)


def _ecrecover(rnd: random.Random) -> bytes:
    digest = rnd.randbytes(32)
    signature = PrivateKey(b"\1" * 32).sign_recoverable(digest, hasher=None)
    v = (27 + signature[64]).to_bytes(32, "big")
    return bytes(digest + v + signature[:64])


def _modexp(rnd: random.Random) -> bytes:
    sizes = [rnd.choice([0, 1, 2, 32, 33]) for _ in range(3)]
    head = b"".join(size.to_bytes(32, "big") for size in sizes)
    return head + rnd.randbytes(sum(sizes))


def _modexp_wide(rnd: random.Random) -> bytes:
    sizes = [rnd.choice([0, 1, 1023, 1024, 1025, 1 << 70]) for _ in range(3)]
    return b"".join(size.to_bytes(32, "big") for size in sizes) + rnd.randbytes(40)


def _blake2f(rnd: random.Random) -> bytes:
    rounds = rnd.choice([0, 1, 12]).to_bytes(4, "big")
    return rounds + rnd.randbytes(208) + bytes((rnd.choice([0, 1, 1, 2]),))


_CALLS: Final[tuple[tuple[int, Fork, float, Callable[[random.Random], bytes]], ...]] = (
    (1, Fork.FRONTIER, 3, _ecrecover),
    (2, Fork.FRONTIER, 2, lambda rnd: rnd.randbytes(rnd.randrange(70))),
    (3, Fork.FRONTIER, 2, lambda rnd: rnd.randbytes(rnd.randrange(70))),
    (4, Fork.FRONTIER, 2, lambda rnd: rnd.randbytes(rnd.randrange(70))),
    (5, Fork.BYZANTIUM, 3, _modexp),
    (5, Fork.BYZANTIUM, 1, _modexp_wide),
    (6, Fork.BYZANTIUM, 1, lambda rnd: _BN254_G1 * 2),
    (7, Fork.BYZANTIUM, 0.3, lambda rnd: _BN254_G1 + rnd.randbytes(4).rjust(32, b"\0")),
    (8, Fork.BYZANTIUM, 0.3, lambda rnd: b""),
    (9, Fork.ISTANBUL, 2, _blake2f),
    (10, Fork.CANCUN, 0.3, lambda rnd: rnd.randbytes(192)),
    (11, Fork.PRAGUE, 1, lambda rnd: _BLS_G1 * 2),
    (12, Fork.PRAGUE, 0.2, lambda rnd: _BLS_G1 + rnd.randbytes(2).rjust(32, b"\0")),
    (13, Fork.PRAGUE, 0.2, lambda rnd: bytes(512)),
    (15, Fork.PRAGUE, 0.2, lambda rnd: rnd.randbytes(384)),
    (16, Fork.PRAGUE, 0.1, lambda rnd: bytes(16) + b"\1" + rnd.randbytes(47)),
    (0x100, Fork.OSAKA, 2, lambda rnd: _P256_VALID),
)


def precompile_call(rnd: random.Random, fork: Fork) -> tuple[bytes, bytes]:
    """An address and an input; sometimes damaged, sometimes of a later fork."""
    calls = [call for call in _CALLS if call[1] <= fork or rnd.random() < 0.02]
    number, _, _, make = rnd.choices(calls, [call[2] for call in calls])[0]
    data = make(rnd)
    if data and rnd.random() < 0.25:
        at = rnd.randrange(len(data))
        damaged = [data[:at], data + b"\0", data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]]
        data = rnd.choice(damaged)
    return number.to_bytes(20, "big"), data
