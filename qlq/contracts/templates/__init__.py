"""Contracts that a developer starts from: each folder is copied as it is, but for this file."""
