"""Every fixed address of the chain, once (20 bytes each)."""

from typing import Final


def _address(tail: int) -> bytes:
    return tail.to_bytes(20, "big")


INFERENCE: Final = _address(0xA100)
MODEL_REGISTRY: Final = _address(0xA101)
VALIDATOR_SET: Final = _address(0xA110)

# System contracts, byte-identical to mainnet (EIP-4788, EIP-2935, EIP-7002, EIP-7251).
BEACON_ROOTS: Final = bytes.fromhex("000f3df6d732807ef1319fb7b8bb8522d0beac02")
HISTORY_STORAGE: Final = bytes.fromhex("0000f90827f1c53a10cb7a02335b175320002935")
WITHDRAWAL_REQUESTS: Final = bytes.fromhex("00000961ef480eb55e80d19ad83579a64c007002")
CONSOLIDATION_REQUESTS: Final = bytes.fromhex("0000bbddc7ce488642fb579f8b00f3a590007251")

NATIVE: Final = (INFERENCE, MODEL_REGISTRY)
"""Accounts whose calls run native code; each has nonce 1 and stub code in genesis."""
