"""Protocols and post-processing of quantum key distribution: pure functions and state machines."""
