"""Readable reasons of reverts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precompiles import abi
from precompiles.abi import encode_revert
from precompiles.errors import PrecompileRevert
from rpc.abi_registry import built_in_errors, revert_reason


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (b"", ""),
        (b"\x01\x02", ""),
        (bytes.fromhex("6ad9cdfc") + bytes(64), ""),  # an error of a user's contract
        (bytes.fromhex("08c379a0") + abi.encode(("string",), ("unlucky",)), "unlucky"),
        (bytes.fromhex("08c379a0") + bytes(3), ""),
        (bytes.fromhex("4e487b71") + (1).to_bytes(32, "big"), "assert(false)"),
        (bytes.fromhex("4e487b71") + (0x99).to_bytes(32, "big"), "unknown panic code: 0x99"),
    ],
)
def test_reasons(output: bytes, reason: str) -> None:
    assert revert_reason(output) == reason


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            PrecompileRevert("ModelNotFound(bytes32)", (b"\x11" * 32,)),
            f"ModelNotFound(0x{'11' * 32})",
        ),
        (
            PrecompileRevert("InputLengthMismatch(uint256,uint256)", (64, 63)),
            "InputLengthMismatch(64, 63)",
        ),
        (PrecompileRevert("InvalidModel(string)", ("L3: 5 > 4",)), 'InvalidModel("L3: 5 > 4")'),
        (PrecompileRevert("NonPayable()"), "NonPayable()"),
    ],
)
def test_errors_of_native_accounts(error: PrecompileRevert, reason: str) -> None:
    assert revert_reason(encode_revert(error)) == reason


@given(st.sampled_from(sorted(built_in_errors())), st.binary(max_size=100))
def test_damaged_arguments_give_no_reason_and_no_exception(selector: bytes, rest: bytes) -> None:
    assert isinstance(revert_reason(selector + rest), str)
