"""Connections between processes: frames, and the sockets that carry them."""
