"""A set of validators whose keys the tests hold."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from qlq.consensus import validators
from qlq.consensus.validators import Validators
from qlq.crypto.kem import DecapsulationKey
from qlq.crypto.signing import Algorithm, SigningKey


@dataclass(frozen=True)
class Assembly:
    """Validators and their keys, in the order of their addresses."""

    validators: Validators
    keys: tuple[SigningKey, ...]


def assemble(count: int, algorithm: Algorithm = Algorithm.ED25519) -> Assembly:
    """So many validators; the same ones every time."""
    keys = [SigningKey(algorithm, bytes([7, index]) + bytes(30)) for index in range(count)]
    sealing = DecapsulationKey(bytes(32)).encapsulation_key
    members = {
        key: validators.validator(key.verifying_key, sealing, weight=index + 1)
        for index, key in enumerate(keys)
    }
    keys.sort(key=lambda key: members[key].address)
    return Assembly(validators.of(*members.values()), tuple(keys))


@pytest.fixture(scope="session")
def four() -> Assembly:
    """n = 4, f = 1."""
    return assemble(4)


@pytest.fixture(scope="session")
def assembled():
    """A way to have any number of them."""
    return assemble
