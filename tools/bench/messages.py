"""One message on our EVM, and the programs that ``assay bench evm`` compares with py-evm's."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from chain.errors import ExecutorFault
from chain.evm.environment import BlockEnvironment, TransactionEnvironment
from chain.evm.frame import Evm, Frame
from chain.evm.interpreter import interpret
from chain.evm.messages import run_message
from chain.evm.precompiled.table import precompiles_of
from chain.evm.state import WorldState
from chain.genesis_block import genesis_block
from genesis.forks import Fork
from genesis.spec import Allocation, GenesisSpec
from precompiles.abi import encode, selector

CALLER: Final = b"\xaa" * 20
TARGET: Final = b"\xbe" * 20


@dataclass(frozen=True, slots=True)
class Workload:
    """A contract's function with arguments that keep it busy for milliseconds.

    Attributes:
        name: in the table.
        signature: of the function of contracts/bench/Bench.sol.
        argument: its only one.
        goal: how many times faster than stock py-evm it has to be, 0 for none.
    """

    name: str
    signature: str
    argument: int
    goal: float = 0.0

    @property
    def calldata(self) -> bytes:
        """ABI-encoded call."""
        return selector(self.signature) + encode(("uint256",), (self.argument,))


WORKLOADS: Final = (
    Workload("arithmetic in Solidity", "arithmetic(uint256)", 4_000, 60),
    Workload("checked arithmetic", "checkedArithmetic(uint256)", 5_000),
    Workload("sorting in memory", "sort(uint256)", 200, 30),
    Workload("keccak256 of abi.encode", "hashes(uint256)", 3_000, 8),
    Workload("external calls", "calls(uint256)", 800, 5),
    Workload("storage, warm", "storeWarm(uint256)", 800),
    Workload("storage, cold", "storeCold(uint256)", 300),
)


def bench_code(name: str) -> bytes:
    """Deployed code of a contract of contracts/bench."""
    text = files("tools.bench").joinpath("artifacts", f"{name}.json").read_text()
    return bytes.fromhex(json.loads(text)["deployedBytecode"][2:])


def state_of(
    accounts: Mapping[bytes, Allocation],
) -> tuple[GenesisSpec, Mapping[bytes, bytes], bytes]:
    """A genesis with these accounts, its nodes and codes, and its state root."""
    spec = GenesisSpec(chain_id=1, alloc=accounts, assay=None)
    block, nodes = genesis_block(spec)
    return spec, nodes, block.header.state_root


def message(
    accounts: Mapping[bytes, Allocation], data: bytes, gas: int, fork: Fork = Fork.PRAGUE
) -> Callable[[], Frame]:
    """A repeatable call of TARGET, each on the state as it was."""
    first, nodes = genesis_block(GenesisSpec(chain_id=1, alloc=accounts, assay=None))
    root = first.header.state_root
    precompiles = precompiles_of(fork, {})
    block = BlockEnvironment(
        chain_id=1,
        fork=fork,
        number=1_000,
        timestamp=1_700_000_000,
        gas_limit=60_000_000,
        coinbase=bytes(20),
        prev_randao=0x1234 << 200,
        base_fee_per_gas=10**9,
        blob_base_fee=1,
        ancestor_hash=lambda number: number.to_bytes(32, "big"),
    )
    code = accounts[TARGET].code

    def run() -> Frame:
        state = WorldState(nodes.__getitem__, root, precompiles)
        evm = Evm(state, block, TransactionEnvironment(CALLER, 1), precompiles, interpret)
        state.mark_address_warm(TARGET)
        frame = Frame(evm, CALLER, TARGET, TARGET, 0, data, code, gas)
        run_message(frame)
        state.make_root()
        return frame

    return run


def succeed(frame: Frame) -> Frame:
    """``frame`` if its call went well, else the benchmark is wrong."""
    if frame.error is not None:
        raise ExecutorFault(f"benchmark call failed: {frame.error}")
    return frame
