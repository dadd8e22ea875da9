"""The only place that touches py-evm."""
