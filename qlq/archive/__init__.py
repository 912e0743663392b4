"""A QKD session as a folder of files: write, read, re-verify."""
