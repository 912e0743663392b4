"""SP 800-90B: how much min-entropy a noise source has, estimated from its output."""
