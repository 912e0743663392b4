"""The fifteen statistical tests of NIST SP 800-22 rev. 1a: a smoke alarm, never a claim."""
