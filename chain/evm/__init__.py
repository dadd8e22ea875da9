"""The only place that touches py-evm (pinned, archived upstream: docs/adr/0002).

py-evm gives opcodes, gas schedule and Ethereum's precompiles. ``trie``, ``state`` and ``rules`` are
our own and do not import it; ``interpreter`` and ``fork`` run its opcodes in our loop and frames;
``precompiles`` adds the native accounts; ``transition`` and ``requests`` are transactions and what
surrounds them in a block.
"""

import os

# eth-hash would take pycryptodome; pysha3 is four times faster on short inputs and the same code
# that precompiles.hashing uses. Read at the first hash, so before py-evm is imported.
os.environ.setdefault("ETH_HASH_BACKEND", "pysha3")
