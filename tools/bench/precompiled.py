"""Inputs that make precompiled contracts slowest for their gas, and how slow they are.

The rule is three seconds per 30 million gas on one core. The contract is called directly: what the
calling opcode costs and pays is not part of the figure.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from itertools import product
from typing import Final, cast

from coincurve import PrivateKey
from py_arkworks_bls12381 import G1Point

from chain.evm.errors import Halt
from chain.evm.frame import Evm, Frame
from chain.evm.precompiled.table import ethereum_precompiles
from genesis.forks import Fork
from tools.bench.timing import Row, measure
from tools.progress import StageProgress

RULE_GAS: Final = 30_000_000
RULE_SECONDS: Final = 3.0
CALL_GAS: Final = 100
"""A warm call costs this at least, also where the contract costs less."""

_BN254_G2: Final = bytes.fromhex(
    "198e9393920d483a7260bfb731fb5d25f1aa493335a9e71297e485b7aef312c2"
    "1800deef121f1e76426a00665e5c4479674322d4f75edadd46debd5cd992f6ed"
    "090689d0585ff075ec9e99ad690c3395bc4b313370b38ef355acdadcd122975b"
    "12c85ea5db8c6deb4aab71808dcb408fe3d1e7690c43d37b4ce6cc0166fa7daa"
)
_P256: Final = bytes.fromhex(  # EIP-7951's first vector
    "4cee90eb86eaa050036147a12d49004b6b9c72bd725d39d4785011fe190f0b4d"
    "a73bd4903f0ce3b639bbbf6e8e80d16931ff4bcf5993d58468e8fb19086e8cac"
    "36dbcd03009df8c59286b162af3bd7fcc0450c9aa81be5d10d312af6c66b1d60"
    "4aebd3099c618202fcfe16ae7770b0c49ab5eadf74b754204a3bb6060e44eff3"
    "7618b065f9832de4ca6ca971a7a1adc826d0f7c00181a5fb2ddf79ae00b4e10e"
)


@dataclass(frozen=True, slots=True)
class WorstInput:
    """Calldata of a contract; ``fork`` is one in which its gas holds."""

    name: str
    fork: Fork
    address: int
    data: bytes


def worst_inputs() -> Iterator[WorstInput]:
    """For every contract and every gas rule it ever had."""
    yield from _hashes()
    yield from _modexp()
    yield from _bn254()
    yield from _bls12_381()
    yield WorstInput("blake2f, 100,000 rounds", Fork.OSAKA, 9, _blake2f(100_000))
    yield WorstInput("blake2f, 12 rounds", Fork.OSAKA, 9, _blake2f(12))
    yield WorstInput("point evaluation", Fork.OSAKA, 0x0A, _point_evaluation())
    yield WorstInput("p256verify", Fork.OSAKA, 0x100, _P256)


def run_precompiled_bench(progress: StageProgress, contains: str = "") -> Iterator[Row]:
    """Seconds of thread CPU time per 30 million gas, slowest first.

    Args:
        progress: told ``(text, done, total)``.
        contains: text that the names of cases must contain.
    """
    cases = [case for case in worst_inputs() if contains in case.name]
    rows = []
    for number, case in enumerate(cases):
        progress(f"precompiled: {case.name}", number, len(cases))
        seconds = _seconds(case)
        rule = f"rule: {RULE_SECONDS:.0f} s per 30M gas"
        rows.append(Row(case.name, seconds, RULE_SECONDS, rule, RULE_SECONDS / seconds, "s"))
    progress("precompiled: done", len(cases), len(cases))
    yield from sorted(rows, key=lambda row: -row.ours)


def _seconds(case: WorstInput) -> float:
    address = case.address.to_bytes(20, "big")
    contract = ethereum_precompiles(case.fork)[address]
    frame = Frame(cast(Evm, None), address, address, address, 0, case.data, b"", 0)

    def run() -> int:
        frame.gas = RULE_GAS
        with suppress(Halt):  # as slow, and burns no less gas
            contract(frame)
        return max(RULE_GAS - frame.gas, CALL_GAS)

    return measure({case.name: run}, rounds=3)[case.name] * RULE_GAS / run()


def _hashes() -> Iterator[WorstInput]:
    digest = b"\x07" * 32
    signature = PrivateKey(b"\x01" * 32).sign_recoverable(digest, hasher=None)
    data = digest + (27 + signature[64]).to_bytes(32, "big") + signature[:64]
    yield WorstInput("ecrecover", Fork.OSAKA, 1, data)
    for address, name in ((2, "sha256"), (3, "ripemd160"), (4, "identity")):
        for size in (0, 64, 4_096, 200_000):
            yield WorstInput(f"{name}, {size} bytes", Fork.OSAKA, address, b"\xa5" * size)


def _modexp() -> Iterator[WorstInput]:
    rules = ((Fork.BYZANTIUM, "EIP-198"), (Fork.BERLIN, "EIP-2565"), (Fork.OSAKA, "EIP-7883"))
    sizes = (1, 2, 8, 32, 64, 256, 1024)
    for (fork, rule), size, bits in product(rules, sizes, (1, 250, 600, 8_192)):
        for parity in (0, 1):
            exponent = ((1 << bits) - 1).to_bytes(-(-bits // 8), "big")
            modulus = b"\xff" * (size - 1) + bytes([0xFE + parity])
            base = b"\xfd" * size
            lengths = [len(part).to_bytes(32, "big") for part in (base, exponent, modulus)]
            name = f"modexp of {rule}, {size} bytes, {bits} bits, {'odd' if parity else 'even'}"
            yield WorstInput(name, fork, 5, b"".join(lengths) + base + exponent + modulus)
    for fork, rule, size, length in (
        (Fork.BYZANTIUM, "EIP-198", 1, 74_000_000),
        (Fork.BYZANTIUM, "EIP-198", 2, 18_000_000),
        (Fork.BERLIN, "EIP-2565", 8, 11_000_000),
    ):
        lengths = [number.to_bytes(32, "big") for number in (size, length, size)]
        data = b"".join(lengths) + b"\xfd" * size + b"\xff" * length + b"\xfb" * size
        yield WorstInput(f"modexp of {rule}, {size} bytes, {length} of exponent", fork, 5, data)


def _bn254() -> Iterator[WorstInput]:
    generator = (1).to_bytes(32, "big") + (2).to_bytes(32, "big")
    a, b = (_bn254_multiple(generator, scalar) for scalar in (3**150, 5**100))
    pair = a + _BN254_G2
    for fork, rule in ((Fork.BYZANTIUM, "EIP-196"), (Fork.ISTANBUL, "EIP-1108")):
        yield WorstInput(f"bn254 add of {rule}", fork, 6, a + b)
        yield WorstInput(f"bn254 double of {rule}", fork, 6, a + a)
        yield WorstInput(f"bn254 multiply of {rule}", fork, 7, a + b"\xff" * 32)
        for count in (1, 2, 8):
            yield WorstInput(f"bn254 pairing of {rule}, {count} pairs", fork, 8, pair * count)


def _bn254_multiple(point: bytes, scalar: int) -> bytes:
    return _output(7, point + scalar.to_bytes(32, "big"))


def _output(address: int, data: bytes) -> bytes:
    place = address.to_bytes(20, "big")
    frame = Frame(cast(Evm, None), place, place, place, 0, data, b"", RULE_GAS)
    return ethereum_precompiles(Fork.OSAKA)[place](frame)


def _bls12_381() -> Iterator[WorstInput]:
    first = [_output(0x10, bytes(32) + bytes([i + 1]) * 32) for i in range(128)]
    second = [_output(0x11, (bytes(32) + bytes([i + 1]) * 32) * 2) for i in range(128)]
    element = bytes(16) + b"\x11" * 48
    for fork, address, name, data in (
        (Fork.PRAGUE, 0x0B, "bls12 g1 add", first[0] + first[1]),
        (Fork.PRAGUE, 0x0D, "bls12 g2 add", second[0] + second[1]),
        (Fork.PRAGUE, 0x10, "bls12 map to g1", element),
        (Fork.PRAGUE, 0x11, "bls12 map to g2", element * 2),
    ):
        yield WorstInput(name, fork, address, data)
    scalar = b"\x7f" * 32
    for count in (1, 2, 3, 8, 16, 64, 128, 400):
        ones = b"".join(first[i % 128] + scalar for i in range(count))
        twos = b"".join(second[i % 128] + scalar for i in range(count))
        yield WorstInput(f"bls12 g1 msm, {count} points", Fork.PRAGUE, 0x0C, ones)
        yield WorstInput(f"bls12 g2 msm, {count} points", Fork.PRAGUE, 0x0E, twos)
    for count in (1, 2, 8, 64):
        data = b"".join(first[i] + second[i] for i in range(count))
        yield WorstInput(f"bls12 pairing, {count} pairs", Fork.PRAGUE, 0x0F, data)


def _blake2f(rounds: int) -> bytes:
    return rounds.to_bytes(4, "big") + bytes(range(208)) + b"\x01"


def _point_evaluation() -> bytes:
    """A false proof, as slow as a true one."""
    commitment = (G1Point() + G1Point()).to_compressed_bytes()
    digest = b"\x01" + sha256(commitment).digest()[1:]
    return digest + b"\x11" * 64 + commitment + G1Point().to_compressed_bytes()
