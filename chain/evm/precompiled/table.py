"""Which contracts without bytecode exist in a fork."""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from chain.evm.frame import Precompile
from chain.evm.precompiled import bls12_381, bn254, hashes, modexp
from chain.evm.precompiled.blake2f import blake2f
from chain.evm.precompiled.native import native
from chain.evm.precompiled.p256 import p256verify
from chain.evm.precompiled.point_evaluation import point_evaluation
from genesis.forks import Fork
from precompiles.context import NativeAccount


def precompiles_of(
    fork: Fork, natives: Mapping[bytes, NativeAccount] | None = None
) -> Mapping[bytes, Precompile]:
    """Address (20 bytes) -> contract: Ethereum's of ``fork`` and ``natives``."""
    table = ethereum_precompiles(fork)
    if not natives:
        return table
    return {**table, **{address: native(address, run) for address, run in natives.items()}}


@cache
def ethereum_precompiles(fork: Fork) -> Mapping[bytes, Precompile]:
    """Address (20 bytes) -> precompiled contract of ``fork``, with that fork's gas."""
    table: dict[int, Precompile] = {
        1: hashes.ecrecover,
        2: hashes.sha256,
        3: hashes.ripemd160,
        4: hashes.identity,
    }
    if fork >= Fork.BYZANTIUM:
        table |= {
            5: modexp.modexp_byzantium,
            6: bn254.add_byzantium,
            7: bn254.multiply_byzantium,
            8: bn254.pairing_byzantium,
        }
    if fork >= Fork.ISTANBUL:
        table |= {
            6: bn254.add_istanbul,
            7: bn254.multiply_istanbul,
            8: bn254.pairing_istanbul,
            9: blake2f,
        }
    if fork >= Fork.BERLIN:
        table[5] = modexp.modexp_berlin
    if fork >= Fork.CANCUN:
        table[0x0A] = point_evaluation
    if fork >= Fork.PRAGUE:
        table |= {
            0x0B: bls12_381.bls12_g1_add,
            0x0C: bls12_381.bls12_g1_msm,
            0x0D: bls12_381.bls12_g2_add,
            0x0E: bls12_381.bls12_g2_msm,
            0x0F: bls12_381.bls12_pairing_check,
            0x10: bls12_381.bls12_map_fp_to_g1,
            0x11: bls12_381.bls12_map_fp2_to_g2,
        }
    if fork >= Fork.OSAKA:
        table |= {5: modexp.modexp_osaka, 0x100: p256verify}
    return MappingProxyType(
        {number.to_bytes(20, "big"): contract for number, contract in table.items()}
    )
