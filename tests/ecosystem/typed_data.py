"""EIP-712 signatures by eth-account, which shares nothing with the contracts that check them."""

from typing import Any

from eth_account.messages import encode_typed_data
from eth_account.signers.local import LocalAccount

from tests.ecosystem.world import ACCOUNTS, CHAIN_ID, KEYS, Contract

PERMIT = {
    "owner": "address",
    "spender": "address",
    "value": "uint256",
    "nonce": "uint256",
    "deadline": "uint256",
}
DELEGATION = {"delegatee": "address", "nonce": "uint256", "expiry": "uint256"}
BALLOT = {"proposalId": "uint256", "support": "uint8", "voter": "address", "nonce": "uint256"}


def sign(
    signer: bytes, contract: Contract, domain: str, kind: str, fields: dict[str, str], *values: Any
) -> tuple[int, bytes, bytes]:
    """(v, r, s) of ``kind`` with these fields under the contract's domain, version 1."""
    key = KEYS[ACCOUNTS.index(signer)]
    return sign_with(key, "0x" + contract.address.hex(), domain, kind, fields, *values)


def sign_with(
    key: LocalAccount, contract: str, domain: str, kind: str, fields: dict[str, str], *values: Any
) -> tuple[int, bytes, bytes]:
    """The same with any key, and with addresses as text."""
    message = encode_typed_data(
        domain_data={
            "name": domain,
            "version": "1",
            "chainId": CHAIN_ID,
            "verifyingContract": contract,
        },
        message_types={kind: [{"name": name, "type": type_} for name, type_ in fields.items()]},
        message_data=dict(zip(fields, values, strict=True)),
    )
    signed = key.sign_message(message)
    return signed.v, signed.r.to_bytes(32, "big"), signed.s.to_bytes(32, "big")
