"""A JSON-RPC client of the tests, which sees raw answers."""

import json
import time
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from eth_account.signers.local import LocalAccount


class Refused(Exception):
    """An error object."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"{error['code']}: {error['message']}")
        self.code, self.message = error["code"], error["message"]
        self.data = error.get("data")


@dataclass(frozen=True, slots=True)
class Client:
    """Blocking; one connection per request."""

    url: str

    def post(self, body: bytes, path: str = "/", method: str = "POST") -> tuple[int, bytes, Any]:
        """(status, body, headers) of one HTTP request."""
        connection = HTTPConnection(urlsplit(self.url).netloc, timeout=60)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, response.read(), response.headers
        finally:
            connection.close()

    def __call__(self, method: str, *params: object) -> Any:
        """Result of a call; raises Refused."""
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        status, body, _ = self.post(json.dumps(request).encode())
        assert status == 200, body
        reply = json.loads(body)
        if "error" in reply:
            raise Refused(reply["error"])
        return reply["result"]

    def sign(self, account: LocalAccount, **fields: Any) -> str:
        """A signed transaction; absent fields are filled in."""
        transaction: dict[str, Any] = {
            "chainId": int(self("eth_chainId"), 16),
            "nonce": int(self("eth_getTransactionCount", account.address, "pending"), 16),
            "gas": 500_000,
            "value": 0,
            "data": "0x",
        }
        if not fields.keys() & {"gasPrice", "maxFeePerGas"}:
            transaction |= {"maxFeePerGas": 10**11, "maxPriorityFeePerGas": 10**9}
        if "to" in fields:
            fields["to"] = bytes.fromhex(fields["to"][2:])
        signed = account.sign_transaction(transaction | fields)
        return "0x" + bytes(signed.raw_transaction).hex()

    def send(self, account: LocalAccount, **fields: Any) -> dict[str, Any]:
        """Send and wait; returns the receipt."""
        return self.wait(self("eth_sendRawTransaction", self.sign(account, **fields)))

    def wait(self, tx_hash: str) -> dict[str, Any]:
        """Receipt of a transaction that will be mined."""
        for _ in range(600):
            receipt = self("eth_getTransactionReceipt", tx_hash)
            if receipt is not None:
                found: dict[str, Any] = receipt
                return found
            time.sleep(0.02)
        raise AssertionError(f"{tx_hash} was not mined")
