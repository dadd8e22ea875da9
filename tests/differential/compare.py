"""Runs a case on EELS and on ours and says what differs; makes a failing case small."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from chain.evm.frame import Interpret
from chain.evm.interpreter import interpret
from tests.differential.assembly import assemble, listing
from tests.differential.eels import Eels
from tests.differential.ours import Result, run_case
from tests.differential.programs import Statements, flat
from tests.differential.worlds import CHAIN_ID, Case, eels_environment

_REASONS: Final[dict[str, tuple[str, ...]]] = {
    "InvalidSignatureError": ("InvalidSignature", "WrongChainId"),
    "NonceMismatchError": ("NonceTooLow", "NonceTooHigh"),
    "NonceOverflowError": ("InvalidTransaction: nonce has max value",),
    "InsufficientTransactionGasError": ("IntrinsicGasTooLow", "FloorGasTooLow"),
    "InsufficientBalanceError": ("InsufficientFunds",),
    "GasUsedExceedsLimitError": ("GasLimitExceeded",),
    "InvalidSenderError": ("SenderNotEoa",),
    "PriorityFeeGreaterThanMaxFeeError": ("TipAboveFeeCap",),
    "InsufficientMaxFeePerGasError": ("FeeCapTooLow",),
    "InvalidBlock": ("FeeCapTooLow",),  # a gas price below the base fee has no class of its own
    "InitCodeTooLargeError": ("InitcodeTooLarge",),
    "TransactionGasLimitExceededError": ("GasCapExceeded",),
    "TransactionTypeError": ("TypeNotSupported",),
    "TransactionTypeContractCreationError": ("MalformedTransaction",),
    "NoBlobDataError": ("MalformedTransaction",),
    "EmptyAuthorizationListError": ("MalformedTransaction",),
    "InvalidBlobVersionedHashError": ("MalformedTransaction",),
    "BlobCountExceededError": ("InvalidTransaction: too many blobs",),
    "BlobGasLimitExceededError": ("InvalidTransaction: blob gas limit",),
    "InsufficientMaxFeePerBlobGasError": ("InvalidTransaction: max fee per blob gas",),
    "DecodingError": ("MalformedTransaction",),
}
"""EELS's class of a refusal -> how ours may begin."""

_MOST_ATTEMPTS: Final = 300


def differences(eels: Eels, case: Case, run: Interpret = interpret) -> list[str]:
    """What EELS and we, with this interpreter, see differently; empty when nothing."""
    eels.open(case.fork, CHAIN_ID, case.state())
    given = eels_environment(case)
    theirs = eels.block(given, case.transactions, case.withdrawals, ommers=list(case.ommers))
    results, ours = run_case(case, run)
    found = []
    for index, (own, other) in enumerate(zip(results, theirs.pop("transactions"), strict=True)):
        note = case.notes.get(index, "valid")
        found += [f"transaction {index} ({note}): {text}" for text in _compare(own, other)]
    receipts = (theirs.pop("receipts"), ours.pop("receipts"))
    for index, (other_receipt, receipt) in enumerate(zip(*receipts, strict=False)):
        if receipt != other_receipt and not found:
            found.append(f"receipt {index}: EELS {other_receipt.hex()}, ours {receipt.hex()}")
    for name, value in theirs.items():
        if ours[name] != value:
            found.append(f"{name}: EELS {_show(value)}, ours {_show(ours[name])}")
    return found


def _compare(own: Result, other: dict[str, Any]) -> list[str]:
    if own.refused or other["refused"]:
        if not own.refused or not other["refused"]:
            return [f"EELS refuses: {other['refused'] or 'no'}, ours: {own.refused or 'no'}"]
        allowed = _REASONS.get(other["refused"], ())
        if any(own.refused.startswith(reason) for reason in allowed):
            return []
        return [f"EELS {other['refused']}: {other['text']}, ours {own.refused}"]
    found = []
    if own.gas_used != other["gas_used"]:
        found.append(f"gas used: EELS {other['gas_used']}, ours {own.gas_used}")
    if own.failed != bool(other["error"]):
        found.append(f"error: EELS {other['error'] or 'none'}, ours {own.error or 'none'}")
    if own.output != other["output"]:
        found.append(f"output: EELS 0x{other['output'].hex()}, ours 0x{own.output.hex()}")
    return found


def _show(value: object) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)


def shrink(case: Case, differs: Callable[[Case], bool]) -> Case:
    """A smaller case that still differs: fewer transactions, programs and statements."""
    attempts = iter(range(_MOST_ATTEMPTS))

    def fails(smaller: Case) -> bool:
        return next(attempts, None) is not None and differs(smaller)

    chosen = list(case.transactions)
    for raw in list(chosen):
        fewer = [other for other in chosen if other is not raw]
        if fewer and fails(replace(case, transactions=tuple(fewer))):
            chosen = fewer
    case = replace(case, transactions=tuple(chosen), notes={})
    for address in list(case.programs):
        whole = case.programs[address]
        case = _with(case, address, _shrink_list(whole, _attempt(case, address, fails)))
    return case


def _attempt(
    case: Case, address: bytes, fails: Callable[[Case], bool]
) -> Callable[[Statements], bool]:
    return lambda fewer: fails(_with(case, address, fewer))


def _with(case: Case, address: bytes, statements: Statements) -> Case:
    return replace(case, programs={**case.programs, address: statements})


def _shrink_list(items: Statements, fails: Callable[[Statements], bool]) -> Statements:
    """ddmin: take away ever smaller parts as long as it still fails."""
    if fails([]):
        return []
    size = max(len(items) // 2, 1)
    while True:
        at = 0
        while at < len(items):
            fewer = items[:at] + items[at + size :]
            if fails(fewer):
                items = fewer
            else:
                at += size
        if size == 1:
            return items
        size //= 2


def report(case: Case, found: Sequence[str]) -> str:
    """A case that a person can read."""
    lines = [f"fork {case.fork.name}", *found]
    for index, raw in enumerate(case.transactions):
        lines.append(f"transaction {index}: 0x{raw.hex()}")
    for address, statements in case.programs.items():
        if statements:
            code = assemble(flat(statements))
            lines += [f"0x{address.hex()}: {listing(code)}", f"  0x{code.hex()}"]
    return "\n".join(lines)


def check(
    eels: Eels,
    make: Callable[[random.Random], Case],
    seed: int,
    run: Interpret = interpret,
) -> int:
    """Compare the case that ``seed`` makes; the number of its transactions.

    Raises:
        AssertionError: with the smallest case found that still differs.
    """
    print(f"seed {seed}")  # pytest shows the last one when something breaks
    case = make(random.Random(seed))
    found = differences(eels, case, run)
    if not found:
        return len(case.transactions)
    small = shrink(case, lambda other: bool(differences(eels, other, run)))
    text = report(small, differences(eels, small, run))
    raise AssertionError(f"seed {seed}: {'; '.join(found)[:600]}\nshrunk: {text}")
