"""The template `lottery`."""
