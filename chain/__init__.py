"""The chain: blocks, state, transactions, mempool and the executor process."""
