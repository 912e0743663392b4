"""The template `auction`."""
