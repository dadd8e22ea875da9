"""The EVM, every fork from Frontier to Osaka. The map is in docs/architecture.md.

Nothing here but ``reference*`` imports py-evm, and no block needs those (docs/adr/0002, 0003).
"""

import os

# py-evm's eth-hash would take pycryptodome; pysha3, which precompiles.hashing uses, is four times
# faster on short inputs. Read at the first hash.
os.environ.setdefault("ETH_HASH_BACKEND", "pysha3")
