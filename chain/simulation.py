"""``eth_call`` and ``eth_estimateGas``: one transaction on the state after a block, never written.

As in geth, neither nonce nor sender code is checked, a request without fees costs nothing (and the
base fee reads 0), and the block's own number, time and coinbase are the context.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Final

from chain.errors import (
    CallFailed,
    FeeCapTooLow,
    InsufficientFunds,
    IntrinsicGasTooLow,
    InvalidTransaction,
    TipAboveFeeCap,
)
from chain.evm.rules import check_envelope
from chain.evm.state import WorldState
from chain.evm.transition import Outcome, run_transaction
from chain.fees import transaction_gas_cap
from chain.header import Header
from chain.machine import NodeSource, environment_of, machine_of
from chain.requests import (
    AccessListResult,
    BlockOverride,
    CallRequest,
    CallResult,
    StateOverride,
)
from chain.transactions import AccessList, Transaction
from genesis.forks import Fork
from genesis.spec import GenesisSpec
from precompiles.context import NativeAccount

__all__ = ["CallRequest", "CallResult", "call", "estimate_gas"]

_UNLIMITED: Final = 1 << 64
_ACCESS_LIST_ROUNDS: Final = 8


def call(
    spec: GenesisSpec,
    header: Header,
    source: NodeSource,
    request: CallRequest,
    natives: Mapping[bytes, NativeAccount] | None = None,
) -> CallResult:
    """Run one call.

    Args:
        spec: the genesis.
        header: block whose state is used.
        source: trie nodes, codes and ancestors.
        request: the call; without ``gas`` it gets the block's gas limit, and never more.
        natives: native accounts; None for this chain's.

    Raises:
        InvalidTransaction: a request that no transaction could make (funds, fees, intrinsic gas).
        ExecutorFault: this node is broken.
    """
    simulation = _Simulation(spec, header, source, request, natives)
    limit = simulation.gas_limit
    outcome = simulation.run(limit if request.gas is None else min(request.gas, limit))
    return CallResult(outcome.output, outcome.gas_used, outcome.logs, outcome.error)


def estimate_gas(
    spec: GenesisSpec,
    header: Header,
    source: NodeSource,
    request: CallRequest,
    natives: Mapping[bytes, NativeAccount] | None = None,
) -> int:
    """Least gas limit with which the request succeeds; that very limit has been tried.

    Args:
        spec: the genesis.
        header: block whose state is used.
        source: trie nodes, codes and ancestors.
        request: the call; ``gas`` bounds the answer, as do block and transaction cap and the
            sender's funds where the request names a fee.
        natives: native accounts; None for this chain's.

    Raises:
        CallFailed: it fails with every limit allowed: ``revert`` with data, an exceptional halt, or
            ``gas required exceeds allowance (N)``.
        InvalidTransaction: a request that no transaction could make.
        ExecutorFault: this node is broken.
    """
    simulation = _Simulation(spec, header, source, request, natives)
    high = min(simulation.gas_limit, simulation.transaction_cap, simulation.affordable_gas())
    if request.gas is not None:
        high = min(high, request.gas)
    try:
        first = simulation.run(high)
    except IntrinsicGasTooLow:
        raise CallFailed(f"gas required exceeds allowance ({high})") from None
    if first.error is not None and first.error.startswith("out of gas"):
        raise CallFailed(f"gas required exceeds allowance ({high})")
    if first.error is not None:
        raise CallFailed(first.error, first.output)
    return _search(simulation.succeeds, first.gas_used - 1, high)


def create_access_list(
    spec: GenesisSpec,
    header: Header,
    source: NodeSource,
    request: CallRequest,
    natives: Mapping[bytes, NativeAccount] | None = None,
) -> AccessListResult:
    """Access list that makes every access of the call a warm one (EIP-2930).

    A list changes the gas, and gas can change what a call does, so the call is repeated with the
    list found until it names the same again. Sender, recipient, coinbase and precompiled accounts
    are warm anyway and appear only with slots.

    Args:
        spec: the genesis.
        header: block whose state is used.
        source: trie nodes, codes and ancestors.
        request: the call; its own access list is kept.
        natives: native accounts; None for this chain's.

    Raises:
        InvalidTransaction: a request that no transaction could make.
        ExecutorFault: this node is broken.
    """
    for _ in range(_ACCESS_LIST_ROUNDS):
        simulation = _Simulation(spec, header, source, request, natives)
        limit = simulation.gas_limit
        outcome = simulation.run(limit if request.gas is None else min(request.gas, limit))
        found = _access_list(simulation.accessed, simulation.always_warm(outcome))
        if found == request.access_list:
            break
        request = replace(request, access_list=found)
    return AccessListResult(found, outcome.gas_used, outcome.error)


def _access_list(
    accessed: Iterable[bytes | tuple[bytes, int]], always_warm: Collection[bytes]
) -> AccessList:
    slots: dict[bytes, list[int]] = {}
    for item in accessed:
        if isinstance(item, tuple):
            slots.setdefault(item[0], []).append(item[1])
        elif item not in always_warm:
            slots.setdefault(item, [])
    return tuple((address, tuple(found)) for address, found in slots.items())


def _search(succeeds: Callable[[int], bool], low: int, high: int) -> int:
    """Least limit in (low, high] that succeeds, given that ``high`` does and ``low`` does not."""
    guess = low + 1  # most calls need exactly what they used, and no refund or stipend counts
    while low + 1 < high:
        if succeeds(guess):
            high = guess
        else:
            low = guess
        guess = min((low + high) // 2, low * 2)
    return high


class _Simulation:
    """A request on its state; every run starts from the same state, overrides applied."""

    def __init__(
        self,
        spec: GenesisSpec,
        header: Header,
        source: NodeSource,
        request: CallRequest,
        natives: Mapping[bytes, NativeAccount] | None,
    ) -> None:
        self._fee, self._tip = _fees(request)
        self._request = request
        context = _override_block(header, request.block_overrides)
        if self._fee == 0:
            context = replace(context, base_fee_per_gas=0)
        environment = environment_of(spec, context, _ancestors(header, source))
        self._block = environment
        self._machine = machine_of(spec, environment, source, header.state_root, natives)
        self._state = self._machine.state
        self.gas_limit = context.gas_limit
        self.transaction_cap = transaction_gas_cap(spec, environment.fork) or _UNLIMITED
        self.accessed: tuple[bytes | tuple[bytes, int], ...] = ()
        for address, override in request.state_overrides.items():
            _override_account(self._state, address, override)

    def run(self, gas_limit: int) -> Outcome:
        """Execute with this gas limit; InvalidTransaction when it could not be a transaction."""
        transaction = self._transaction(gas_limit)
        check_envelope(transaction, self._block.fork, self._block.chain_id, None)
        sender, cost = transaction.sender, transaction.maximum_cost()
        if self._fee < self._block.base_fee_per_gas:
            raise FeeCapTooLow(sender, self._fee, self._block.base_fee_per_gas)
        balance = self._state.get_balance(sender)
        if balance < cost:
            raise InsufficientFunds(sender, balance, cost)
        outcome = run_transaction(self._machine, transaction)
        self.accessed = self._state.accessed()
        self._state.revert(0)
        return outcome

    def always_warm(self, outcome: Outcome) -> set[bytes]:
        """Addresses that are warm without a list: parties of the transaction and coinbase."""
        recipient = self._request.to or outcome.contract_address or b""
        return {self._request.sender, recipient, self._block.coinbase}

    def succeeds(self, gas_limit: int) -> bool:
        """Whether the request succeeds with this gas limit."""
        try:
            return self.run(gas_limit).error is None
        except IntrinsicGasTooLow:
            return False

    def affordable_gas(self) -> int:
        """Gas that the sender can pay for; InsufficientFunds when the value alone is too much."""
        balance, value = self._state.get_balance(self._request.sender), self._request.value
        if balance < value:
            raise InsufficientFunds(self._request.sender, balance, value)
        return (balance - value) // self._fee if self._fee else _UNLIMITED

    def _transaction(self, gas_limit: int) -> Transaction:
        request = self._request
        kind = _kind(request, self._block.fork)
        return Transaction(
            raw=b"",
            hash=bytes(32),
            type=kind,
            chain_id=self._block.chain_id if kind else None,
            nonce=self._state.get_nonce(request.sender),
            gas_limit=gas_limit,
            to=request.to,
            value=request.value,
            data=request.data,
            gas_price=self._fee,
            max_fee_per_gas=self._fee,
            max_priority_fee_per_gas=self._tip,
            access_list=request.access_list,
            authorization_list=request.authorization_list,
            v=0,
            y_parity=0,
            r=0,
            s=0,
            sender=request.sender,
        )


def _kind(request: CallRequest, fork: Fork) -> int:
    """Least type that carries what the request has, but with fees of EIP-1559 from London on."""
    if request.authorization_list:
        return 4
    if fork >= Fork.LONDON:
        return 2
    return 1 if request.access_list else 0


def _fees(request: CallRequest) -> tuple[int, int]:
    """(maximum fee, tip) in wei per gas; zeros when the request names none."""
    fee, tip = request.max_fee_per_gas, request.max_priority_fee_per_gas
    if request.gas_price is not None:
        if fee is not None or tip is not None:
            raise InvalidTransaction(
                "both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified"
            )
        return request.gas_price, request.gas_price
    if (tip or 0) > (fee or 0):
        raise TipAboveFeeCap(tip or 0, fee or 0)
    return fee or 0, tip or 0


def _ancestors(header: Header, source: NodeSource) -> Callable[[int], bytes]:
    """Hashes by height up to ``header``; zero where an overridden number goes beyond."""

    def ancestor_hash(number: int) -> bytes:
        if number == header.number:
            return header.hash
        return (source.canonical_hash(number) if number < header.number else None) or b""

    return ancestor_hash


def _override_block(header: Header, override: BlockOverride) -> Header:
    changes = {
        "number": override.number,
        "timestamp": override.timestamp,
        "gas_limit": override.gas_limit,
        "coinbase": override.coinbase,
        "mix_hash": override.prev_randao,
        "base_fee_per_gas": override.base_fee_per_gas,
    }
    known = {name: value for name, value in changes.items() if value is not None}
    return replace(header, **known)  # type: ignore[arg-type]  # each name has its field's type


def _override_account(state: WorldState, address: bytes, override: StateOverride) -> None:
    if override.balance is not None:
        state.set_balance(address, override.balance)
    if override.nonce is not None:
        state.set_nonce(address, override.nonce)
    if override.code is not None:
        state.set_code(address, override.code)
    if override.state is not None:
        if override.state_diff is not None:
            raise InvalidTransaction(f"account 0x{address.hex()} has both 'state' and 'stateDiff'")
        state.replace_storage(address, override.state)
    for slot, word in override.state_diff or ():
        state.set_storage(address, slot, word)
