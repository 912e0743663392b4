"""Accounts of a home: their keys at rest, their words on paper."""
