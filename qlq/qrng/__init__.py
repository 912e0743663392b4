"""Quantum random numbers: from shots to bytes that say what they are worth."""
