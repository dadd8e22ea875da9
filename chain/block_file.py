"""Files of blocks as geth writes them: RLP blocks one after another, plain or through gzip.

The blocks of an Assay chain carry the SEALED form of their header (``chain.extra_data``), so that
whoever reads them can check that validators committed them.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import IO, Final

from chain import rlp
from chain.blocks import Block, decode_block
from chain.certificate import CommitCertificate
from chain.errors import InvalidBlock
from chain.extra_data import sealed_extra_data, unseal
from chain.header import Header, decode_header
from chain.transactions import decode_transaction
from genesis.forks import Fork
from genesis.spec import GenesisSpec

MAX_ENCODED: Final = 64 << 20
"""Bytes of one block in a file, at most; what may be in a block is for ``chain.validation``."""

_SHORT_LIST: Final = 0xC0
_LONG_LIST: Final = 0xF7


def read_blocks(stream: IO[bytes]) -> Iterator[bytes]:
    """Encodings of the blocks of a stream in order; each is read when it is asked for.

    Raises:
        InvalidBlock: something else than an RLP list, too long a one, or one that is cut off.
    """
    count = 0
    while prefix := stream.read(1):
        yield prefix + _rest_of_list(stream, prefix[0], count)
        count += 1


def header_of(encoded: bytes) -> Header:
    """Header of a block's encoding in the form that it has there; the rest is not looked at.

    Raises:
        InvalidBlock: no block, or a malformed header.
    """
    try:
        parts = rlp.split_list(encoded)
    except rlp.RlpError as error:
        raise InvalidBlock(f"block: {error}") from None
    if not parts:
        raise InvalidBlock("block is an empty list")
    return decode_header(parts[0])


def unseal_header(spec: GenesisSpec, header: Header) -> tuple[Header, CommitCertificate | None]:
    """The header as it is stored, and its certificate; None on chains with Ethereum's rules.

    Raises:
        InvalidBlock: extraData that is none of an Assay chain's three forms.
    """
    if spec.assay is None or header.number == 0:
        return header, None
    return unseal(header)


def read_block(spec: GenesisSpec, encoded: bytes) -> tuple[Block, CommitCertificate | None]:
    """Decode a block of a file and take its certificate off.

    Raises:
        InvalidBlock: naming the part that is wrong.
    """
    header = header_of(encoded)
    fork = spec.schedule.fork(header.number, header.timestamp)
    decode = partial(decode_transaction, homestead=fork >= Fork.HOMESTEAD)
    block = decode_block(encoded, decode, None)
    stored, certificate = unseal_header(spec, block.header)
    return replace(block, header=stored), certificate


def seal_block(encoded: bytes, certificate: CommitCertificate) -> bytes:
    """Encoding of a stored block with the SEALED form of its header."""
    parts = rlp.split_list(encoded)
    header = decode_header(parts[0])
    sealed = replace(header, extra_data=sealed_extra_data(header, certificate))
    return rlp.join_list([sealed.rlp, *parts[1:]])


def _rest_of_list(stream: IO[bytes], first: int, index: int) -> bytes:
    """What follows the first byte of a list."""
    if first < _SHORT_LIST:
        raise InvalidBlock(f"item {index} of the file is no RLP list: it begins with 0x{first:02x}")
    size, length = first - _SHORT_LIST, b""
    if first > _LONG_LIST:
        length = _read_exactly(stream, first - _LONG_LIST, index)
        size = int.from_bytes(length, "big")
        if size > MAX_ENCODED:
            raise InvalidBlock(f"item {index} of the file has {size} bytes, at most {MAX_ENCODED}")
    return length + _read_exactly(stream, size, index)


def _read_exactly(stream: IO[bytes], size: int, index: int) -> bytes:
    found = stream.read(size)
    if len(found) < size:
        raise InvalidBlock(f"the file ends inside item {index}: {size - len(found)} bytes missing")
    return found
