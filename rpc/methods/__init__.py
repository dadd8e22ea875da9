"""One file per JSON-RPC namespace: a table of thin handlers."""
