"""The only room where the others are wired together."""
