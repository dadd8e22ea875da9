"""The validator set as an operator changes it: by the votes of its members.

Calls of ``contracts/predeploys/ValidatorSet.sol``; more than half of the members decide.
"""

from dataclasses import dataclass

from genesis.addresses import VALIDATOR_SET
from precompiles.abi import arguments_of, decode, encode, selector
from tools.client import Client, Receipt, Sender, eth_call


@dataclass(frozen=True, slots=True)
class Poll:
    """Votes cast so far for one change, those that it needs, and whether it is in effect."""

    votes: int
    needed: int
    done: bool


def read_set(client: Client) -> tuple[bytes, ...]:
    """Members after the newest block, ascending."""
    (members,) = decode(("address[]",), _call(client, "getValidators()"))
    return tuple(sorted(members))


def read_poll(client: Client, candidate: bytes, add: bool) -> Poll:
    """How far a change is."""
    (votes,) = decode(("uint256",), _call(client, "votesFor(address,bool)", candidate, add))
    (needed,) = decode(("uint256",), _call(client, "needed()"))
    return Poll(votes, needed, (candidate in read_set(client)) == add)


def vote(sender: Sender, candidate: bytes, add: bool, *, withdraw: bool = False) -> Receipt:
    """Vote as the sender, or take an open vote back.

    Raises:
        RequestRefused: the sender is no member, has voted already, or the change is impossible.
        TransactionFailed: another vote came first and changed the set.
    """
    name = "withdrawVote(address,bool)" if withdraw else "vote(address,bool)"
    return sender.transact(VALIDATOR_SET, _calldata(name, candidate, add))


def _call(client: Client, signature: str, *arguments: object) -> bytes:
    return eth_call(client, VALIDATOR_SET, _calldata(signature, *arguments))


def _calldata(signature: str, *arguments: object) -> bytes:
    return selector(signature) + encode(arguments_of(signature), arguments)
