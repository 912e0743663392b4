"""QLQ: quantum key distribution on real backends, re-verifiable by anyone."""
