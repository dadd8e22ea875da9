"""Authenticated peers over WebSocket and TLS."""
