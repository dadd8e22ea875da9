"""A whole network on this machine: one folder, one genesis file, one process per validator."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from genesis.predeploys import new_genesis
from genesis.spec import format_genesis
from tools import keys
from tools.errors import ToolError

CHAIN_ID = 42330
ACCOUNTS = 10
ACCOUNT_BALANCE_WEI = 10_000 * 10**18
STOP_TIMEOUT_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class DevnetOptions:
    """What ``assay devnet`` can be told.

    Attributes:
        folder: everything the network writes.
        validators: number of processes, 1 to 31.
        period_seconds: block period, >= 1 (whole seconds, as in block timestamps).
        empty_blocks: whether a block is made when no transaction waits.
        http_port, p2p_port: of validator 0; validator i listens on port + i.
        chain_id: EIP-155 id.
        history: states that each node keeps, 0 for all; None as before, 128 in a new network.
    """

    folder: Path
    validators: int = 4
    period_seconds: int = 1
    empty_blocks: bool = True
    http_port: int = 8545
    p2p_port: int = 30303
    chain_id: int = CHAIN_ID
    history: int | None = None


@dataclass(frozen=True, slots=True)
class Validator:
    """One process of the network, as planned."""

    index: int
    folder: Path
    key: bytes
    http_port: int
    p2p_port: int

    @property
    def address(self) -> bytes:
        """20-byte address of the validator key, which is also the node's id."""
        return keys.address_of(self.key)

    @property
    def url(self) -> str:
        """JSON-RPC over HTTP; the same port speaks WebSocket."""
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def log_file(self) -> Path:
        """Where the process writes its log."""
        return self.folder / "node.log"


def plan(options: DevnetOptions) -> tuple[Validator, ...]:
    """The validators of a network: keys from its folder, or the development keys."""
    folders = [options.folder / f"validator{i}" for i in range(options.validators)]
    return tuple(
        Validator(
            index=i,
            folder=folder,
            key=(
                keys.load_key(folder / "nodekey")
                if (folder / "nodekey").exists()
                else keys.dev_validator_key(i)
            ),
            http_port=options.http_port + i,
            p2p_port=options.p2p_port + i,
        )
        for i, folder in enumerate(folders)
    )


def prepare(options: DevnetOptions, validators: Sequence[Validator]) -> bool:
    """Write genesis and key files where they are missing; returns True for a new network.

    Raises:
        ToolError: the folder holds a network that was made with other options.
    """
    settings = {
        "chainId": options.chain_id,
        "validators": options.validators,
        "periodSeconds": options.period_seconds,
        "emptyBlocks": options.empty_blocks,
    }
    made_with = options.folder / "devnet.json"
    if made_with.exists():
        if json.loads(made_with.read_text()) != settings:
            raise ToolError(
                f"{options.folder} holds a network made with {made_with.read_text().strip()}; "
                "use --reset to start anew or another --datadir"
            )
        return False
    options.folder.mkdir(parents=True, exist_ok=True)
    spec = new_genesis(
        chain_id=options.chain_id,
        validators=[validator.address for validator in validators],
        accounts={keys.address_of(keys.dev_key(i)): ACCOUNT_BALANCE_WEI for i in range(ACCOUNTS)},
        timestamp=int(time.time()),
        block_period_seconds=options.period_seconds,
        empty_blocks=options.empty_blocks,
    )
    (options.folder / "genesis.json").write_text(format_genesis(spec))
    for validator in validators:
        keyfile = validator.folder / "nodekey"
        if not keyfile.exists():
            keys.write_private(keyfile, validator.key.hex() + "\n")
    made_with.write_text(json.dumps(settings) + "\n")
    return True


def reset(folder: Path) -> None:
    """Delete a network that this tool made; refuses any other folder."""
    if not folder.exists():
        return
    if not (folder / "devnet.json").exists() and any(folder.iterdir()):
        raise ToolError(f"{folder} was not made by assay devnet; it was left as it is")
    shutil.rmtree(folder)


def require_free_ports(validators: Sequence[Validator]) -> None:
    """Raise ToolError with the port's number when somebody listens there already."""
    for validator in validators:
        for port in (validator.http_port, validator.p2p_port):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    raise ToolError(
                        f"port {port} is in use; stop that process or choose --http.port and --port"
                    ) from None


def compile_kernels() -> None:
    """Fill the cache of compiled kernels once, before several processes would do it at once."""
    code = "from precompiles.selftest import self_test; self_test()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        raise ToolError(f"the kernels fail their self-test on this machine: {done.stderr.strip()}")


def node_command(
    options: DevnetOptions, validator: Validator, peers: Sequence[Validator]
) -> list[str]:
    """Command line of one validator: exactly what a user would type."""
    others = [
        f"{peer.address.hex()}@127.0.0.1:{peer.p2p_port}"
        for peer in peers
        if peer.index != validator.index
    ]
    command = [sys.executable, "-m", "tools", "node"]
    command += ["--genesis", str(options.folder / "genesis.json")]
    command += ["--datadir", str(validator.folder)]
    command += ["--http.port", str(validator.http_port), "--port", str(validator.p2p_port)]
    if others:
        command += ["--static-peers", ",".join(others)]
    if options.history is not None:
        command += ["--history.state", str(options.history)]
    return command


class Network:
    """The running processes. Use as a context manager: leaving stops every one of them."""

    def __init__(self, options: DevnetOptions) -> None:
        self.options = options
        self.validators = plan(options)
        self.processes: dict[int, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "Network":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, index: int, environment: Mapping[str, str] | None = None) -> None:
        """Start one validator; its output goes to its log file.

        ``environment`` is added to our own for this process.
        """
        validator = self.validators[index]
        with validator.log_file.open("ab") as log:
            self.processes[index] = subprocess.Popen(  # noqa: S603 - our own interpreter
                node_command(self.options, validator, self.validators),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                start_new_session=True,  # Ctrl-C reaches us alone; we stop them in order
            )

    def start_all(self) -> None:
        """Start every validator."""
        for validator in self.validators:
            self.start(validator.index)

    def kill(self, index: int) -> None:
        """Kill one validator with SIGKILL, as a power cut would."""
        process = self.processes.pop(index)
        process.kill()
        process.wait()

    def dead(self) -> Iterator[tuple[Validator, int]]:
        """Validators whose process ended by itself, with the exit code."""
        for index, process in self.processes.items():
            code = process.poll()
            if code is not None:
                yield self.validators[index], code

    def stop(self) -> None:
        """SIGTERM to all, wait, and kill what does not stop in time."""
        for process in self.processes.values():
            if process.poll() is None:
                os.kill(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
        for process in self.processes.values():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes.clear()
