"""Appends blocks to a database until it is killed; prints each height once it is on disk.

Not a test: ``test_store`` runs it as ``python -m tests.chain.crash_writer FOLDER``.
"""

import sys
from pathlib import Path

from chain.blocks import Block
from chain.requests import ExecutedBlock
from chain.store import Store
from precompiles.hashing import keccak256
from tests.chain import records


def genesis() -> tuple[Block, dict[bytes, bytes]]:
    root, nodes = records.state({}, [records.account(number) for number in range(4)])
    return Block(records.header(state_root=root), ()), nodes


def next_block(store: Store) -> ExecutedBlock:
    head = store.head()
    nodes = {}
    for index in range(100):
        body = b"node %d of %d" % (index, head.number + 1) * 9
        nodes[keccak256(body)] = body
    transactions = [records.transaction(nonce=head.number * 3 + i) for i in range(3)]
    return records.child(head, transactions, nodes=nodes)


def main(folder: Path) -> None:
    with Store(folder) as store:
        store.write_genesis(*genesis())
        while True:
            executed = next_block(store)
            store.write_block(executed, records.certificate(executed.block.header, [0, 1, 2]))
            print(executed.block.number, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
