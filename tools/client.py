"""A small JSON-RPC client: one connection that is kept open, typed errors, transactions.

Synchronous on purpose: commands and tests do one thing after the other.
"""

import http.client
import itertools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final
from urllib.parse import urlsplit

from eth_account import Account
from eth_account.signers.local import LocalAccount

from tools.errors import NodeUnreachable, RequestRefused, ToolError, TransactionFailed

TIP_WEI: Final = 10**9
"""Priority fee of our transactions, per gas."""

RECEIPT_TIMEOUT_SECONDS: Final = 120.0
_POLL_SECONDS: Final = 0.1

Receipt = dict[str, Any]


class Client:
    """One JSON-RPC endpoint over HTTP. Use as a context manager, or call ``close``.

    Args:
        url: ``http://host:port/path`` or ``https://…``.
        timeout_seconds: for one answer.
    """

    def __init__(self, url: str, timeout_seconds: float = 60.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ToolError(f"{url!r} is not an http:// or https:// URL")
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        self.url = url
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._connection = kind(parts.hostname, parts.port, timeout=timeout_seconds)
        self._ids = itertools.count(1)

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next request opens a new one."""
        self._connection.close()

    def request(self, method: str, *params: Any) -> Any:
        """Result of one call.

        Raises:
            RequestRefused: the node answered with an error.
            NodeUnreachable: no answer, or not JSON-RPC.
        """
        return self.batch([(method, params)])[0]

    def batch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """Results of several calls sent at once, in order; errors as ``request``."""
        if not calls:
            return []
        bodies = [
            {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": list(params)}
            for method, params in calls
        ]
        answer = self._post(bodies[0] if len(bodies) == 1 else bodies)
        answers = answer if isinstance(answer, list) else [answer]
        by_id = {item.get("id"): item for item in answers if isinstance(item, dict)}
        results = []
        for body in bodies:
            item = by_id.get(body["id"], by_id.get(None))
            if item is None:
                raise NodeUnreachable(f"{self.url}: no answer to {body['method']}")
            results.append(_result(str(body["method"]), item))
        return results

    def _post(self, body: Any) -> Any:
        data = json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        for attempt in (1, 2):
            try:
                self._connection.request("POST", self._path, data, headers)
                response = self._connection.getresponse()
                text = response.read()
                break
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError) as error:
                self._connection.close()  # an idle connection that the server has closed
                if attempt == 2:
                    raise NodeUnreachable(f"no answer from {self.url}: {error}") from error
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                raise NodeUnreachable(f"no answer from {self.url}: {error}") from error
        try:
            return json.loads(text)
        except ValueError:
            raise NodeUnreachable(
                f"{self.url} answered HTTP {response.status}, not JSON-RPC: {text[:80]!r}"
            ) from None


def _result(method: str, answer: Mapping[str, Any]) -> Any:
    error = answer.get("error")
    if error is not None:
        raise RequestRefused(
            method, int(error.get("code", 0)), str(error.get("message", "")), error.get("data")
        )
    if "result" not in answer:
        raise NodeUnreachable(f"{method}: the answer has neither result nor error")
    return answer["result"]


def hex_of(data: bytes) -> str:
    """0x hex string."""
    return "0x" + data.hex()


def bytes_of(text: Any) -> bytes:
    """Bytes of a 0x hex string from a node."""
    if not isinstance(text, str) or not text.startswith("0x"):
        raise NodeUnreachable(f"expected a 0x hex string, got {text!r}")
    try:
        return bytes.fromhex(text[2:])
    except ValueError:
        raise NodeUnreachable(f"expected a 0x hex string, got {text!r}") from None


def eth_call(client: Client, to: bytes, data: bytes, block: str = "latest") -> bytes:
    """Returndata of a call that changes nothing; RequestRefused with code 3 when it reverts."""
    return bytes_of(client.request("eth_call", {"to": hex_of(to), "data": hex_of(data)}, block))


class Sender:
    """Signs and sends transactions of one account; counts nonces itself, so that several can wait.

    Args:
        client: where to.
        key: 32-byte private key.
    """

    def __init__(self, client: Client, key: bytes) -> None:
        account: LocalAccount = Account.from_key(key)
        self.client = client
        self.address = bytes.fromhex(account.address[2:])
        self._account = account
        chain_id, nonce = client.batch(
            [("eth_chainId", ()), ("eth_getTransactionCount", (account.address, "pending"))]
        )
        self._chain_id, self._nonce = int(chain_id, 16), int(nonce, 16)

    def send(
        self, to: bytes | None, data: bytes = b"", *, value: int = 0, gas: int | None = None
    ) -> bytes:
        """Send a transaction and return its hash; ``to`` None deploys.

        Without ``gas`` the node is asked for an estimate, which also tells why a call would revert.

        Raises:
            RequestRefused: it would revert, or the node does not accept it.
        """
        call = {"from": self._account.address, "data": hex_of(data), "value": hex(value)}
        if to is not None:
            call["to"] = hex_of(to)
        if gas is None:
            gas = int(self.client.request("eth_estimateGas", call), 16)
        head = self.client.request("eth_getBlockByNumber", "latest", False)
        fields: dict[str, Any] = {
            "type": 2,
            "chainId": self._chain_id,
            "nonce": self._nonce,
            "gas": gas,
            "maxFeePerGas": 2 * int(head["baseFeePerGas"], 16) + TIP_WEI,
            "maxPriorityFeePerGas": TIP_WEI,
            "value": value,
            "data": data,
        }
        if to is not None:
            fields["to"] = to
        raw = bytes(self._account.sign_transaction(fields).raw_transaction)
        digest = bytes_of(self.client.request("eth_sendRawTransaction", hex_of(raw)))
        self._nonce += 1
        return digest

    def transact(
        self, to: bytes | None, data: bytes = b"", *, value: int = 0, gas: int | None = None
    ) -> Receipt:
        """Send, wait, and return the receipt; TransactionFailed when it failed."""
        return wait_for_receipt(self.client, self.send(to, data, value=value, gas=gas))


def wait_for_receipt(
    client: Client, digest: bytes, timeout_seconds: float = RECEIPT_TIMEOUT_SECONDS
) -> Receipt:
    """Receipt of a transaction that succeeded, as JSON-RPC gives it.

    Raises:
        TransactionFailed: it was mined and failed, or was not mined in time.
    """
    receipt: Receipt = poll(
        lambda: client.request("eth_getTransactionReceipt", hex_of(digest)),
        timeout_seconds,
        f"transaction {hex_of(digest)} was not mined in {timeout_seconds:.0f} s",
    )
    if int(receipt["status"], 16) != 1:
        raise TransactionFailed(
            f"transaction {hex_of(digest)} failed in block {int(receipt['blockNumber'], 16)}, "
            f"{int(receipt['gasUsed'], 16)} gas used"
        )
    return receipt


def poll(ask: Callable[[], Any], timeout_seconds: float, failure: str) -> Any:
    """First answer of ``ask`` that is not None; TransactionFailed(failure) after the timeout."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        answer = ask()
        if answer is not None:
            return answer
        if time.monotonic() >= deadline:
            raise TransactionFailed(failure)
        time.sleep(_POLL_SECONDS)


def deploy(sender: Sender, bytecode: bytes, arguments: bytes = b"") -> bytes:
    """Deploy a contract and return its 20-byte address.

    Args:
        sender: who pays.
        bytecode: creation code.
        arguments: ABI-encoded constructor arguments.
    """
    receipt = sender.transact(None, bytecode + arguments)
    return bytes_of(receipt["contractAddress"])
