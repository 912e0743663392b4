"""Key management: life cycle and sealed storage of delivered keys."""
