"""Engines: what puts blocks into one order and carries messages between validators."""
