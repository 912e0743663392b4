"""The template `escrow`."""
