"""Random transactions: valid ones of every type, and valid ones with one rule broken."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from chain import rlp
from genesis.forks import Fork
from tests.chain.records import account
from tests.differential.assembly import assemble
from tests.differential.programs import flat, random_program
from tests.differential.signing import (
    ACCESS_LIST,
    BLOB,
    DYNAMIC_FEE,
    LEGACY,
    ORDER,
    SET_CODE,
    Draft,
    authorization,
    encode,
    signature_of,
)
from tests.differential.worlds import (
    AUTHORITY,
    CHAIN_ID,
    CONTRACT_SENDER,
    GWEI,
    POOR_SENDER,
    SENDERS,
    Case,
    callees,
    delegated_address,
    program_address,
    random_world,
)

FIRST_FORK: Final = {
    LEGACY: Fork.FRONTIER,
    ACCESS_LIST: Fork.BERLIN,
    DYNAMIC_FEE: Fork.LONDON,
    BLOB: Fork.CANCUN,
    SET_CODE: Fork.PRAGUE,
}
_BLOB_HASH: Final = b"\x01" + bytes(31)
_CAP: Final = 1 << 24  # EIP-7825


def random_draft(rnd: random.Random, case: Case, sender: int, nonce: int) -> Draft:
    """A transaction that no rule forbids."""
    fork, base_fee = case.fork, case.environment.base_fee_per_gas
    kinds = [kind for kind, since in FIRST_FORK.items() if fork >= since]
    kind = rnd.choice([LEGACY, *kinds, *kinds])
    is_protected = fork >= Fork.SPURIOUS_DRAGON and (kind != LEGACY or rnd.random() < 0.7)
    others = callees(rnd, fork)
    is_creation = kind not in (BLOB, SET_CODE) and rnd.random() < 0.12
    to = b"" if is_creation else rnd.choice([program_address(rnd.randrange(8)), rnd.choice(others)])
    data = rnd.choice([b"", rnd.randbytes(rnd.randrange(80)), bytes(rnd.randrange(300))])
    if is_creation:
        data = assemble(flat(random_program(rnd, fork, others)))
    tip = rnd.choice([0, 1, GWEI])
    if kind == SET_CODE and rnd.random() < 0.4:  # what was delegated is called at once
        to = account(rnd.choice([sender, *range(AUTHORITY, AUTHORITY + 6)]))
    access_list = []
    if kind != LEGACY and rnd.random() < 0.4:
        slots = [n.to_bytes(32, "big") for n in range(rnd.randrange(4))]
        access_list = [[rnd.choice(others), slots] for _ in range(rnd.randrange(3))]
    return Draft(
        type=kind,
        sender=sender,
        chain_id=CHAIN_ID if is_protected else None,
        nonce=nonce,
        tip=tip,
        max_fee=base_fee + tip + rnd.choice([0, 1, GWEI]),
        gas=rnd.choice([90_000, 150_000, 250_000]) + 75_000 * (kind == SET_CODE) + 80 * len(data),
        to=to,
        value=rnd.choice([0, 0, 1, 1_000]),
        data=data,
        access_list=access_list,
        max_blob_fee=1_000_000,
        blob_hashes=[_BLOB_HASH],
        authorizations=[_authorization(rnd, sender, nonce) for _ in range(rnd.randrange(1, 4))],
    )


def _authorization(rnd: random.Random, sender: int, sender_nonce: int) -> list[bytes]:
    """A tuple that is applied or skipped, never one that makes the transaction invalid."""
    number = AUTHORITY + rnd.randrange(6)
    nonce = rnd.choice([0, 0, 1, 1, 2, (1 << 64) - 1])
    if rnd.random() < 0.2:
        number, nonce = sender, sender_nonce + rnd.choice([1, 1, 0])
    targets = [bytes(20), program_address(0), program_address(1), (2).to_bytes(20, "big")]
    targets += [delegated_address(0), account(number)]
    wrong: dict[str, int] = {}
    if rnd.random() < 0.2:
        wrong = rnd.choice([{"y_parity": 2}, {"r": 0}, {"s": ORDER - 1}, {"s": 0}, {"r": ORDER}])
    chain_id = rnd.choice([CHAIN_ID, CHAIN_ID, 0, 2])
    return authorization(number, rnd.choice(targets), nonce, chain_id, **wrong)


Breaker = Callable[[random.Random, Case, Draft], bytes | None]
"""Encoding of a draft with one rule broken; None where the rule does not apply to it."""


def _high_s(rnd: random.Random, case: Case, draft: Draft) -> bytes | None:
    if case.fork < Fork.HOMESTEAD:
        return None
    v, r, s = signature_of(draft)
    other = v ^ 1 if draft.type else v + (1 if v % 2 else -1)  # 27, 28 and 35 + 2n, 36 + 2n
    return encode(draft.with_(signature=(other, r, ORDER - s)))


def _bad_signature(rnd: random.Random, case: Case, draft: Draft) -> bytes | None:
    v, r, s = signature_of(draft)
    choices = [(v, 0, s), (v, r, 0), (v, ORDER, s), (v, r, ORDER), (v, (1 << 256) - 1, s)]
    choices += [(2, r, s)] if draft.type else [(29, r, s), (0, r, s), (26, r, s), (1 << 64, r, s)]
    if draft.type:
        choices += [(255, r, s)]
    return encode(draft.with_(signature=rnd.choice(choices)))


def _wrong_chain(rnd: random.Random, case: Case, draft: Draft) -> bytes | None:
    if draft.type != LEGACY or draft.chain_id is None:
        return None  # EELS does not look at the chain id of typed transactions
    return encode(draft.with_(chain_id=rnd.choice([2, 0x7FFFFFFF])))


def _protected_too_early(rnd: random.Random, case: Case, draft: Draft) -> bytes | None:
    if case.fork >= Fork.SPURIOUS_DRAGON:
        return None
    return encode(draft.with_(chain_id=CHAIN_ID))


def _unknown_type(rnd: random.Random, case: Case, draft: Draft) -> bytes | None:
    if case.fork < Fork.BERLIN:
        return None
    later = [kind for kind, since in FIRST_FORK.items() if since > case.fork]
    if later and rnd.random() < 0.7:
        return encode(draft.with_(type=rnd.choice(later), to=bytes(20), chain_id=CHAIN_ID))
    return bytes((rnd.choice([0, 5, 6, 0x7F]),)) + encode(draft.with_(type=LEGACY))


def _initcode(rnd: random.Random, case: Case, draft: Draft) -> bytes | None:
    if case.fork < Fork.SHANGHAI or draft.type in (BLOB, SET_CODE):
        return None
    return encode(draft.with_(to=b"", data=bytes(49_153), gas=3_000_000, access_list=()))


def _cap(rnd: random.Random, case: Case, draft: Draft) -> bytes | None:
    if case.fork < Fork.OSAKA:
        return None
    return encode(draft.with_(gas=_CAP + rnd.choice([1, 100])))


def _intrinsic(rnd: random.Random, case: Case, draft: Draft) -> bytes | None:
    return encode(draft.with_(gas=rnd.choice([20_999, 0, 20_000])))


def _floor(rnd: random.Random, case: Case, draft: Draft) -> bytes | None:
    if case.fork < Fork.PRAGUE or draft.type == SET_CODE:
        return None
    data = b"\x01" * rnd.choice([50, 400])
    floor = 21_000 + 40 * len(data)
    plain = draft.with_(to=account(1), data=data, access_list=())
    return encode(plain.with_(gas=floor - 1))


def _fee_cap(rnd: random.Random, case: Case, draft: Draft) -> bytes | None:
    base_fee = case.environment.base_fee_per_gas
    if case.fork < Fork.LONDON:
        return None
    return encode(draft.with_(max_fee=base_fee - 1, tip=0))


def _tip(rnd: random.Random, case: Case, draft: Draft) -> bytes | None:
    if draft.type in (LEGACY, ACCESS_LIST):
        return None
    return encode(draft.with_(tip=draft.max_fee + 1))


def _blobs(rnd: random.Random, case: Case, draft: Draft) -> bytes | None:
    if draft.type != BLOB:
        return None
    choices = [
        draft.with_(blob_hashes=()),
        draft.with_(blob_hashes=[b"\x02" + bytes(31)]),
        draft.with_(blob_hashes=[bytes(32)]),
        draft.with_(max_blob_fee=0),
        draft.with_(to=b""),
    ]
    too_many = 7 if case.fork >= Fork.OSAKA else 10  # of one transaction; of one block
    choices += [draft.with_(blob_hashes=[_BLOB_HASH] * too_many)] * 2
    return encode(rnd.choice(choices))


def _set_code(rnd: random.Random, case: Case, draft: Draft) -> bytes | None:
    if draft.type != SET_CODE:
        return None
    return encode(rnd.choice([draft.with_(authorizations=()), draft.with_(to=b"")]))


def _malformed_tuple(rnd: random.Random, case: Case, draft: Draft) -> bytes | None:
    if draft.type != SET_CODE:
        return None
    good = list(draft.authorizations[0])
    position = rnd.randrange(6)
    items: list[list[bytes]] = [
        [b"\1" * 33, b"\0\1"],
        [bytes(19), bytes(21), b""],
        [b"\1" * 9, b"\0"],
        [b"\1\1", b"\0"],
        [b"\1" * 33, b"\0\1"],
        [b"\1" * 33, b"\0\1"],
    ]
    good[position] = rnd.choice(items[position])
    wrong = rnd.choice([good, good, good[:5], [*good, b""]])
    return encode(draft.with_(authorizations=[wrong]))


def _malformed(rnd: random.Random, case: Case, draft: Draft) -> bytes | None:
    """Bytes that are no canonical transaction."""
    raw = encode(draft)
    prefix, body = (raw[:1], raw[1:]) if draft.type else (b"", raw)
    items = rlp.decode_list(body)
    address = {LEGACY: 3, ACCESS_LIST: 4}.get(draft.type, 5)
    number = rnd.choice([0, 1, address - 1, address + 1])
    choices = [
        prefix + rlp.encode(items[:-1]),
        prefix + rlp.encode([*items, b""]),
        prefix + body + b"\0",
        prefix + body[:-1],
        prefix,
        _with(prefix, items, address, bytes(19)),
        _with(prefix, items, address, bytes(21)),
        _with(prefix, items, address, []),
        _with(prefix, items, number, b"\0"),
        _with(prefix, items, number, b"\0\1"),
        _with(prefix, items, number, []),
        _with(prefix, items, address + 1, b"\1" * 33),
        _with(prefix, items, len(items) - 1, b"\1" * 33),
    ]
    if draft.type != LEGACY:
        at = address + 3
        choices += [
            _with(prefix, items, at, [[bytes(20), [bytes(31)]]]),
            _with(prefix, items, at, [[bytes(19), []]]),
            _with(prefix, items, at, [[bytes(20)]]),
            _with(prefix, items, at, b"\1"),
        ]
    return rnd.choice(choices)


def _with(prefix: bytes, items: Sequence[object], position: int, item: object) -> bytes:
    changed = [*items]
    changed[position] = item
    return prefix + rlp.encode(changed)  # type: ignore[arg-type]


def _nonce(rnd: random.Random, case: Case, draft: Draft) -> bytes | None:
    return encode(draft.with_(nonce=rnd.choice([1, 2, (1 << 64) - 2])))


def _last_nonce(rnd: random.Random, case: Case, draft: Draft) -> bytes | None:
    return encode(draft.with_(nonce=(1 << 64) - 1))


def _used_nonce(rnd: random.Random, case: Case, draft: Draft) -> bytes | None:
    return encode(draft.with_(sender=0, nonce=0))  # key 0 has sent one already


def _funds(rnd: random.Random, case: Case, draft: Draft) -> bytes | None:
    choices = [draft.with_(value=1_000 * 10**18), draft.with_(value=(1 << 256) - 1)]
    if case.environment.base_fee_per_gas or draft.max_fee:
        choices.append(draft.with_(sender=POOR_SENDER))
    choices.append(draft.with_(max_fee=1 << 80))
    return encode(rnd.choice(choices))


def _contract_sender(rnd: random.Random, case: Case, draft: Draft) -> bytes | None:
    return encode(draft.with_(sender=CONTRACT_SENDER, nonce=1, value=0))


def _block_gas(rnd: random.Random, case: Case, draft: Draft) -> bytes | None:
    if case.fork >= Fork.OSAKA:
        return None  # the cap of a transaction is below the block's limit
    return encode(draft.with_(gas=case.environment.gas_limit + 1))


BREAKERS: Final[dict[str, Breaker]] = {
    "high s": _high_s,
    "signature": _bad_signature,
    "chain id": _wrong_chain,
    "protected too early": _protected_too_early,
    "type": _unknown_type,
    "initcode": _initcode,
    "gas cap": _cap,
    "intrinsic gas": _intrinsic,
    "floor": _floor,
    "fee cap": _fee_cap,
    "tip": _tip,
    "blobs": _blobs,
    "set code": _set_code,
    "authorization": _malformed_tuple,
    "malformed": _malformed,
    "nonce": _nonce,
    "last nonce": _last_nonce,
    "used nonce": _used_nonce,
    "funds": _funds,
    "contract sender": _contract_sender,
    "block gas": _block_gas,
}


_NEEDS: Final = {"blobs": BLOB, "set code": SET_CODE, "authorization": SET_CODE, "tip": DYNAMIC_FEE}
"""Type of transaction that a breaker needs."""


def _of_type(draft: Draft, kind: int) -> Draft:
    """The draft as a transaction of another type."""
    to = draft.to or account(1) if kind in (BLOB, SET_CODE) else draft.to
    return draft.with_(type=kind, to=to, chain_id=draft.chain_id if kind == LEGACY else CHAIN_ID)


def program_case(rnd: random.Random, fork: Fork) -> Case:
    """A world in which each program is called once, some with their code as initcode too."""
    case = random_world(rnd, fork)
    transactions = []
    for index, address in enumerate(case.programs):
        draft = random_draft(rnd, case, index, 0)
        if draft.type == BLOB:
            blobs = [_BLOB_HASH[:31] + bytes((n,)) for n in range(1 + index % 3)]
            draft = draft.with_(blob_hashes=blobs)
        gas = max(draft.gas, rnd.choice([100_000, 200_000, 400_000]))
        draft = draft.with_(gas=gas, to=address if draft.to or rnd.random() < 0.5 else b"")
        transactions.append(encode(draft))
    return replace(case, transactions=tuple(transactions))


def transaction_case(rnd: random.Random, fork: Fork, count: int = 16) -> Case:
    """A world and transactions, about half of them with one rule broken."""
    case = random_world(rnd, fork)
    transactions, notes = [], {}
    first = random_draft(rnd, case, 0, 0)
    transactions.append(encode(first.with_(to=account(1), data=b"", access_list=())))
    blobs = 0
    for sender in range(1, count):
        name = rnd.choice(list(BREAKERS)) if rnd.random() < 0.55 else ""
        draft = random_draft(rnd, case, sender, 0)
        if fork >= FIRST_FORK.get(_NEEDS.get(name, LEGACY), Fork.FRONTIER):
            draft = _of_type(draft, _NEEDS.get(name, draft.type))
        blobs += draft.type == BLOB
        if draft.type == BLOB and blobs > 1 and not name:  # the block's limit is another rule
            draft = draft.with_(type=DYNAMIC_FEE)
        raw = BREAKERS[name](rnd, case, draft) if name else None
        if raw is not None:
            notes[len(transactions)] = name
        transactions.append(encode(draft) if raw is None else raw)
    return replace(case, transactions=tuple(transactions), notes=notes)


assert SENDERS >= 20
