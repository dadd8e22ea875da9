"""Runs blockchain tests: every valid block must be taken, every wrong one refused."""

import multiprocessing
import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from chain.blocks import decode_block
from chain.deep_stack import run_deep
from chain.errors import ChainError, InvalidBlock
from genesis.spec import GenesisSpec
from tools.blocktest.fixtures import BadFixture, BlockTest, find_files, read_tests
from tools.blocktest.networks import UnknownNetwork, schedule_of
from tools.blocktest.tree import BlockTree
from tools.blocktest.world import build_state, first_difference

MAINNET_DEPOSIT_CONTRACT = bytes.fromhex("00000000219ab540356cbb839cbe05303d7705fa")


@dataclass(frozen=True, slots=True)
class Result:
    """Outcome of one test; ``reason`` is empty when it passed. A bad file is one failed test."""

    file: str
    name: str
    reason: str


class Mismatch(Exception):
    """The chain did something else than the test wants; the text says what."""


def run_test(test: BlockTest, *, reference: bool = False) -> None:
    """Import the blocks of one test; call it in a thread with a deep stack.

    With ``reference`` py-evm must give the same results for every valid block.

    Raises:
        Mismatch: a block was wrongly taken, refused or computed.
        UnknownNetwork: no rules are known by its name.
        ReferenceMismatch: py-evm differs.
    """
    schedule_of(test.network, test.blobs)  # an unknown one is told first
    spec = GenesisSpec(
        chain_id=test.chain_id,
        alloc=test.pre,
        assay=None,
        deposit_contract=MAINNET_DEPOSIT_CONTRACT,
    )
    try:
        genesis = decode_block(test.genesis).header
        tree = BlockTree(
            spec,
            lambda total: schedule_of(test.network, test.blobs, total),
            genesis,
            reference=reference,
        )
    except InvalidBlock as error:
        raise Mismatch(f"genesis: {error}") from None
    for index, block in enumerate(test.blocks):
        try:
            tree.add(block.encoded)
        except InvalidBlock as error:
            if not block.expected_error:
                raise Mismatch(f"block {index} was refused: {error}") from None
        else:
            if block.expected_error:
                raise Mismatch(f"block {index} was taken: want {block.expected_error}")
    _check_end(test, tree)


def _check_end(test: BlockTest, tree: BlockTree) -> None:
    head = tree.head
    if head.hash != test.last_block_hash:
        raise Mismatch(f"head 0x{head.hash.hex()}, want 0x{test.last_block_hash.hex()}")
    if test.post is not None and build_state(test.post)[0] != head.state_root:
        raise Mismatch("state: " + first_difference(tree.node, head.state_root, test.post))
    if test.post_root not in (None, head.state_root):
        raise Mismatch(f"state root 0x{head.state_root.hex()}, want another")


def run_file(file: Path, pattern: str = "", reference: bool = False) -> list[Result]:
    """Run the tests of one file whose name matches ``pattern``, in a thread with a deep stack."""
    return run_deep(_run_file, file, pattern, reference)


def _run_file(file: Path, pattern: str, reference: bool) -> list[Result]:
    results: list[Result] = []
    wanted = re.compile(pattern)
    try:
        for test in read_tests(file):
            if wanted.search(test.name) or wanted.search(str(file)):
                results.append(Result(str(file), test.name, _reason(test, reference)))
    except BadFixture as error:
        results.append(Result(str(file), "", str(error)))
    return results


def _reason(test: BlockTest, reference: bool) -> str:
    try:
        run_test(test, reference=reference)
    except (Mismatch, UnknownNetwork, ChainError) as error:
        return str(error)
    except Exception as error:  # a bug of ours is one failed test, not the end of the run
        return f"{type(error).__name__}: {error}"
    return ""


def run_paths(
    paths: tuple[Path, ...],
    jobs: int,
    pattern: str,
    report: Callable[[int, int], None] = lambda done, total: None,
    *,
    reference: bool = False,
) -> Iterator[Result]:
    """Run every test below ``paths`` whose name or file matches a regular expression.

    Args:
        paths: files and folders.
        jobs: processes; 1 runs everything in this one.
        pattern: searched in names and files; empty matches all.
        report: told (files done, files in all).
        reference: whether py-evm executes every valid block as well.

    Yields:
        Results, file by file as they come.

    Raises:
        BadFixture: a path that does not exist.
    """
    files = find_files(paths)
    report(0, len(files))
    run = partial(run_file, pattern=pattern, reference=reference)
    for done, results in enumerate(_run_all(files, min(jobs, len(files)), run), start=1):
        yield from results
        report(done, len(files))


def _run_all(
    files: list[Path], jobs: int, run: Callable[[Path], list[Result]]
) -> Iterator[list[Result]]:
    if jobs <= 1:
        yield from map(run, files)
        return
    files = sorted(files, key=os.path.getsize, reverse=True)  # the longest first
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        futures = [pool.submit(run, file) for file in files]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)
