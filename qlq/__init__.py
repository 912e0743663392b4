"""QLQ: quantum key distribution on real backends, with post-processing that anyone can re-verify."""
