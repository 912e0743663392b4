"""Quantum backends: one port, one driver, and an adapter for each vendor."""
