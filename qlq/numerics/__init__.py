"""Bit arrays, Toeplitz hashing, entropy functions, confidence intervals, CHSH statistics."""
