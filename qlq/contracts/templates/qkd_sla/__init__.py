"""The template `qkd-sla`."""
