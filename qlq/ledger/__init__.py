"""Accounts, assets, blocks and proofs: a state machine that every node computes alike."""
