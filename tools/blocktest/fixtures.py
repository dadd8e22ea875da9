"""The files of blockchain tests: Ethereum's JSON format, as EEST and ethereum/tests write it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from genesis.spec import Allocation
from tools.errors import ToolError


class BadFixture(ToolError):
    """Not a file of blockchain tests; the text says why."""


@dataclass(frozen=True, slots=True)
class FixtureBlock:
    """One block of a test: its RLP, and which error it must be refused with ("" when valid)."""

    encoded: bytes
    expected_error: str


@dataclass(frozen=True, slots=True)
class BlockTest:
    """One test.

    Attributes:
        name: within its file.
        network: fork or transition.
        chain_id: of the transactions.
        blobs: ``config.blobSchedule``.
        genesis: RLP of block 0.
        pre: accounts of the genesis.
        blocks: to import, in order.
        last_block_hash: of the head after them.
        post: accounts after the head, None where only ``post_root`` is given.
        post_root: state root after the head, or None.
    """

    name: str
    network: str
    chain_id: int
    blobs: Mapping[str, Any]
    genesis: bytes
    pre: Mapping[bytes, Allocation]
    blocks: tuple[FixtureBlock, ...]
    last_block_hash: bytes
    post: Mapping[bytes, Allocation] | None
    post_root: bytes | None


def find_files(paths: tuple[Path, ...]) -> list[Path]:
    """Files named, and the ``*.json`` below folders named, without hidden folders; sorted.

    Raises:
        BadFixture: a path that does not exist.
    """
    found: set[Path] = set()
    for path in paths:
        if path.is_dir():
            below = (file.relative_to(path) for file in path.rglob("*.json") if file.is_file())
            visible = (file for file in below if not any(part[0] == "." for part in file.parts))
            found.update(path / file for file in visible)
        elif path.exists():
            found.add(path)
        else:
            raise BadFixture(f"{path}: no such file or folder")
    return sorted(found)


def read_tests(file: Path) -> Iterator[BlockTest]:
    """Tests of one file, in its order.

    Raises:
        BadFixture: not JSON, or not blockchain tests.
    """
    try:
        document = orjson.loads(file.read_bytes())
    except OSError as error:
        raise BadFixture(f"cannot be read: {error.strerror}") from None
    except orjson.JSONDecodeError as error:
        raise BadFixture(f"not JSON: {error}") from None
    if not isinstance(document, dict):
        raise BadFixture(f"not a file of blockchain tests: a JSON {type(document).__name__}")
    for name, fields in document.items():
        yield _test(name, fields)


def _test(name: str, fields: Any) -> BlockTest:
    if not isinstance(fields, dict):
        raise BadFixture(f"not a blockchain test: {name!r} is no object")
    try:
        config = fields.get("config", {})
        post = fields.get("postState")
        root = fields.get("postStateHash")
        return BlockTest(
            name=name,
            network=str(fields["network"]),
            chain_id=int(str(config.get("chainid", "0x1")), 0),
            blobs=config.get("blobSchedule", {}),
            genesis=_data(fields["genesisRLP"]),
            pre=_accounts(fields["pre"]),
            blocks=tuple(
                FixtureBlock(_data(block["rlp"]), _expected_error(block))
                for block in fields["blocks"]
            ),
            last_block_hash=_data(fields["lastblockhash"]),
            post=None if post is None else _accounts(post),
            post_root=None if root is None else _data(root),
        )
    except KeyError as error:
        raise BadFixture(f"not a blockchain test: {name!r} has no {error}") from None
    except (AttributeError, TypeError, ValueError) as error:
        raise BadFixture(f"malformed blockchain test {name!r}: {error}") from None


def _expected_error(block: Mapping[str, Any]) -> str:
    """EEST says ``expectException``, older files one of its kind per network."""
    for key, value in block.items():
        if key.startswith("expectException"):
            return str(value) or "an error"
    return "" if "blockHeader" in block else "an error"


def _accounts(accounts: Mapping[str, Any]) -> dict[bytes, Allocation]:
    return {
        _data(address): Allocation(
            balance=_integer(fields["balance"]),
            nonce=_integer(fields["nonce"]),
            code=_data(fields["code"]),
            storage={_integer(k): _integer(v) for k, v in fields["storage"].items()},
        )
        for address, fields in accounts.items()
    }


def _integer(text: str) -> int:
    return int(text, 16) if text not in ("", "0x") else 0


def _data(text: str) -> bytes:
    if not text.startswith("0x"):
        text = "0x" + text
    return bytes.fromhex(text[2:])
