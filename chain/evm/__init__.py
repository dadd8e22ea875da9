"""The only place that touches py-evm (pinned, archived upstream: docs/adr/0002).

``state``, ``trie``, ``rules`` and ``requests`` are our own; ``fork`` and ``precompiles`` subclass
and extend py-evm's Prague computation; ``transition`` ties them together.
"""

import os

# eth-hash would take pycryptodome; pysha3 is four times faster on short inputs and the same code
# that precompiles.hashing uses. Read at the first hash, so before py-evm is imported.
os.environ.setdefault("ETH_HASH_BACKEND", "pysha3")
