"""The other end of ``eels_worker``: one EELS process, asked over a pipe."""

import pickle
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from genesis.forks import Fork
from genesis.spec import Allocation

ROOT: Final = Path(__file__).parents[2]
PYTHON: Final = ROOT / ".venv-eels" / "bin" / "python"
READY: Final = ROOT / ".venv-eels" / ".ready"

FORKS: Final = {
    Fork.FRONTIER: "frontier",
    Fork.HOMESTEAD: "homestead",
    Fork.TANGERINE_WHISTLE: "tangerine_whistle",
    Fork.SPURIOUS_DRAGON: "spurious_dragon",
    Fork.BYZANTIUM: "byzantium",
    Fork.PETERSBURG: "constantinople",
    Fork.ISTANBUL: "istanbul",
    Fork.MUIR_GLACIER: "muir_glacier",
    Fork.BERLIN: "berlin",
    Fork.LONDON: "london",
    Fork.ARROW_GLACIER: "arrow_glacier",
    Fork.GRAY_GLACIER: "gray_glacier",
    Fork.PARIS: "paris",
    Fork.SHANGHAI: "shanghai",
    Fork.CANCUN: "cancun",
    Fork.PRAGUE: "prague",
    Fork.OSAKA: "osaka",
}
"""EELS's name of each fork; what it calls Constantinople has no EIP-1283, as Petersburg."""


class EelsError(Exception):
    """EELS met something that it does not handle; its text."""


class Eels:
    """A running EELS process; close it after use."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [PYTHON, Path(__file__).with_name("eels_worker.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """One question, one answer.

        Raises:
            EelsError: it crashed on the question; it goes on after that.
        """
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        pickle.dump({"do": do, **request}, process.stdin)
        process.stdin.flush()
        answer: dict[str, Any] = pickle.load(process.stdout)
        if "crash" in answer:
            raise EelsError(answer["crash"])
        return answer

    def open(self, fork: Fork, chain_id: int, alloc: Mapping[bytes, Allocation]) -> bytes:
        """Start a chain with this state; its root."""
        answer = self.ask("open", fork=FORKS[fork], chain_id=chain_id, alloc=plain(alloc))
        root: bytes = answer["state_root"]
        return root

    def block(
        self,
        environment: Mapping[str, Any],
        transactions: Sequence[bytes],
        withdrawals: Sequence[tuple[int, int, bytes, int]] = (),
        **more: Any,
    ) -> dict[str, Any]:
        """Execute a block on the open chain, see ``eels_worker.run_block``."""
        return self.ask(
            "block",
            environment=dict(environment),
            transactions=list(transactions),
            withdrawals=list(withdrawals),
            **more,
        )

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


def plain(
    alloc: Mapping[bytes, Allocation],
) -> dict[bytes, tuple[int, int, bytes, dict[int, int]]]:
    """Accounts as the worker wants them."""
    return {
        address: (item.nonce, item.balance, item.code, dict(item.storage))
        for address, item in alloc.items()
    }
