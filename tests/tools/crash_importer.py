"""Imports a file until it is killed; prints the height of each block once it is on disk.

Not a test: ``test_import_crash`` runs it as ``python -m tests.tools.crash_importer GENESIS FOLDER
FILE``. What it calls is what ``assay import`` calls.
"""

import sys
from pathlib import Path

from chain.deep_stack import run_deep
from chain.genesis_block import genesis_block
from chain.store import Store
from genesis.spec import parse_genesis
from tools.transfer import Tally, import_files

HISTORY = 3


def acknowledge(tally: Tally) -> None:
    print(tally.head.number, flush=True)


def main(genesis: Path, folder: Path, file: Path) -> None:
    spec = parse_genesis(genesis.read_bytes())
    with Store(folder, history=HISTORY) as store:
        store.write_genesis(*genesis_block(spec))
        run_deep(lambda: import_files(spec, store, (file,), progress=acknowledge))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
