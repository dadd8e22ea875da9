"""Call objects of ``eth_call`` and its family -> `CallRequest`; unknown keys are ignored."""

from collections.abc import Mapping
from typing import Final

from chain.requests import BlockOverride, CallRequest, StateOverride
from chain.transactions import AccessList, Authorization
from rpc import decode
from rpc.decode import Decoder, Fields, T
from rpc.errors import InvalidParams

MAX_OVERRIDDEN_ACCOUNTS: Final = 1_000


def call_request(
    block_hash: bytes,
    value: object,
    state_overrides: object = None,
    block_overrides: object = None,
) -> CallRequest:
    """The call on the state after a block.

    Args:
        block_hash: whose state is used.
        value: call object; ``data`` and ``input`` are the same, both must agree.
        state_overrides: address -> {balance, nonce, code, state, stateDiff}, or None.
        block_overrides: {number, time, gasLimit, feeRecipient, prevRandao, baseFeePerGas}, or None.

    Raises:
        InvalidParams: malformed or contradictory.
    """
    fields = decode.mapping(value)
    gas_price = _optional(fields, "gasPrice", decode.quantity)
    max_fee = _optional(fields, "maxFeePerGas", decode.quantity)
    tip = _optional(fields, "maxPriorityFeePerGas", decode.quantity)
    if gas_price is not None and (max_fee is not None or tip is not None):
        raise InvalidParams("both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified")
    return CallRequest(
        block_hash=block_hash,
        sender=_optional(fields, "from", decode.address) or bytes(20),
        to=_optional(fields, "to", decode.address),
        value=_optional(fields, "value", decode.quantity) or 0,
        data=_calldata(fields),
        gas=_optional(fields, "gas", decode.uint64),
        gas_price=gas_price,
        max_fee_per_gas=max_fee,
        max_priority_fee_per_gas=tip,
        nonce=_optional(fields, "nonce", decode.uint64),
        access_list=_optional(fields, "accessList", access_list) or (),
        authorization_list=_optional(fields, "authorizationList", authorization_list) or (),
        state_overrides={} if state_overrides is None else _state_overrides(state_overrides),
        block_overrides=(
            BlockOverride() if block_overrides is None else _block_override(block_overrides)
        ),
    )


def access_list(value: object) -> AccessList:
    """An EIP-2930 access list."""
    entries = []
    for item in decode.sequence(value):
        fields = decode.mapping(item)
        slots = fields.get("storageKeys")
        entries.append(
            (
                decode.address(fields.get("address")),
                tuple(decode.slot(slot) for slot in decode.sequence(slots or [])),
            )
        )
    return tuple(entries)


def authorization_list(value: object) -> tuple[Authorization, ...]:
    """EIP-7702 authorizations; a signature that is not there recovers nobody and is skipped."""
    found = []
    for item in decode.sequence(value):
        fields = decode.mapping(item)
        numbers = {
            name: _optional(fields, key, decode.quantity) or 0
            for name, key in (("chain_id", "chainId"), ("nonce", "nonce"), ("r", "r"), ("s", "s"))
        }
        parity = _optional(fields, "yParity", decode.quantity)
        if parity is None:
            parity = (_optional(fields, "v", decode.quantity) or 27) - 27
        found.append(
            Authorization(address=decode.address(fields.get("address")), y_parity=parity, **numbers)
        )
    return tuple(found)


def _optional(fields: Fields, name: str, decoder: Decoder[T]) -> T | None:
    """A field that may be absent or null; the error names it."""
    value = fields.get(name)
    if value is None:
        return None
    try:
        return decoder(value)
    except InvalidParams as error:
        raise InvalidParams(f"{name}: {error.message}") from None


def _calldata(fields: Fields) -> bytes:
    data = _optional(fields, "data", decode.data)
    given = _optional(fields, "input", decode.data)
    if data is not None and given is not None and data != given:
        raise InvalidParams('both "data" and "input" are set and not equal; use "input"')
    return (given if given is not None else data) or b""


def _state_overrides(value: object) -> Mapping[bytes, StateOverride]:
    accounts = decode.mapping(value)
    if len(accounts) > MAX_OVERRIDDEN_ACCOUNTS:
        raise InvalidParams(f"{len(accounts)} overrides, limit {MAX_OVERRIDDEN_ACCOUNTS}")
    return {decode.address(key): _state_override(fields) for key, fields in accounts.items()}


def _state_override(value: object) -> StateOverride:
    fields = decode.mapping(value)
    if fields.get("state") is not None and fields.get("stateDiff") is not None:
        raise InvalidParams("account has both state and stateDiff")
    return StateOverride(
        balance=_optional(fields, "balance", decode.quantity),
        nonce=_optional(fields, "nonce", decode.uint64),
        code=_optional(fields, "code", decode.data),
        state=_optional(fields, "state", _storage),
        state_diff=_optional(fields, "stateDiff", _storage),
    )


def _storage(value: object) -> tuple[tuple[int, int], ...]:
    words = decode.mapping(value)
    return tuple([(decode.slot(key), decode.slot(word)) for key, word in words.items()])


def _block_override(value: object) -> BlockOverride:
    """Geth's names; the names of header fields are taken as well."""
    fields = decode.mapping(value)

    def first(decoder: Decoder[T], *names: str) -> T | None:
        found = [name for name in names if fields.get(name) is not None]
        return _optional(fields, found[0], decoder) if found else None

    return BlockOverride(
        number=first(decode.uint64, "number"),
        timestamp=first(decode.uint64, "time", "timestamp"),
        gas_limit=first(decode.uint64, "gasLimit"),
        coinbase=first(decode.address, "feeRecipient", "coinbase"),
        prev_randao=first(decode.hash32, "prevRandao", "random"),
        base_fee_per_gas=first(decode.quantity, "baseFeePerGas", "baseFee"),
    )
