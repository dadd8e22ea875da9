"""The execution API specification's fixture chain: 54 blocks, Frontier to the second BPO fork."""

from functools import cache, partial
from pathlib import Path

import pytest

from chain import rlp
from chain.blocks import Block, decode_block
from chain.genesis_block import genesis_block
from chain.transactions import decode_transaction
from genesis.spec import GenesisSpec, parse_genesis


def fixture_chain_folder() -> Path:
    """Folder of the fixture chain beside the repository; skips the test where there is none."""
    folder = Path(__file__).parents[3] / "shared" / "conformance" / "execution-apis"
    if not folder.is_dir():
        pytest.skip("no execution API fixtures beside the repository")
    return folder


@cache
def fixture_chain() -> tuple[GenesisSpec, tuple[Block, ...]]:
    """Its genesis and its blocks, block 0 first."""
    folder = fixture_chain_folder()
    spec = parse_genesis((folder / "genesis.json").read_bytes())
    encoded = (folder / "chain.rlp").read_bytes()
    decode = partial(decode_transaction, homestead=False)
    blocks = [genesis_block(spec)[0]]
    for item in rlp.split_list(rlp.join_list([encoded])):
        blocks.append(decode_block(item, decode, None))
    return spec, tuple(blocks)
