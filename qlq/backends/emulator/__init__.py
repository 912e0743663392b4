"""Loopback servers that speak the vendors' HTTP: unmodified clients, no account."""
