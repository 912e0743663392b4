"""Files of this machine: private ones, and one process at a time."""
