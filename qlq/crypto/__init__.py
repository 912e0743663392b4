"""Thin doors onto the `cryptography` package."""
