"""The template `multisig`."""
