"""QBFT, the peer-to-peer network, block sync and the light client."""
