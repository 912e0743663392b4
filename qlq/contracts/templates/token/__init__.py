"""The template `token`."""
