"""anvil as the far anchor: how long it mines a block of the same transactions.

Another machine altogether: native code, everything in memory, no consensus, no verification. It is
here so that nobody takes the ratio to py-evm for the distance to the fastest.
"""

import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final

_START_SECONDS: Final = 20.0


def anvil_path(given: str | None) -> Path | None:
    """The program to run: as given, or from the PATH; None when there is none."""
    found = shutil.which(given or "anvil")
    return None if found is None else Path(found)


def mining_time(
    program: Path, genesis: str, gas_limit: int, blocks: Sequence[Sequence[bytes]]
) -> float:
    """Seconds (wall, median) of ``evm_mine`` with each block's transactions in the pool.

    Args:
        program: anvil.
        genesis: file in geth's format.
        gas_limit: of a block.
        blocks: raw transactions of each block.
    """
    times = []
    with _running(program, genesis, gas_limit) as url:
        for transactions in blocks:
            for raw in transactions:
                _call(url, "eth_sendRawTransaction", "0x" + raw.hex())
            start = time.perf_counter()
            _call(url, "evm_mine")
            times.append(time.perf_counter() - start)
            mined = _call(url, "eth_getBlockByNumber", "latest", False)["transactions"]
            if len(mined) != len(transactions):
                raise RuntimeError(f"anvil mined {len(mined)} of {len(transactions)} transactions")
    return median(times)


@contextmanager
def _running(program: Path, genesis: str, gas_limit: int) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "genesis.json"
        path.write_text(genesis)
        command = [str(program), "--silent", "--no-mining", "--port", str(port)]
        command += ["--init", str(path), "--accounts", "0", "--order", "fifo"]
        command += ["--gas-limit", str(gas_limit)]
        with subprocess.Popen(command) as process:  # noqa: S603 - the user's own anvil
            try:
                url = f"http://127.0.0.1:{port}"
                _wait(url)
                yield url
            finally:
                process.terminate()


def _wait(url: str) -> None:
    end = time.monotonic() + _START_SECONDS
    while True:
        try:
            _call(url, "eth_chainId")
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            return


def _call(url: str, method: str, *params: Any) -> Any:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=60) as reply:  # noqa: S310 - a loopback URL
        answer = json.load(reply)
    if "error" in answer:
        raise RuntimeError(f"anvil: {method}: {answer['error']['message']}")
    return answer["result"]
