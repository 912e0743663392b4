"""Keys as a session would hand them over."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest

from qlq.keys import SecretKey, Worth
from qlq.provenance import Claim, Kind, Provenance, Tier

PROVENANCE = Provenance(
    tier=Tier.SIMULATOR,
    claim=Claim.SIMULATION,
    backend="aer:fez",
    provider="qiskit-aer",
    device="fake_fez",
    kind=Kind.NOISY,
    job_id="job-1",
    program_digest="00" * 32,
    sdk={"qiskit-aer": "0.17.2"},
    qubits=(4,),
    calibration={"readout_error": 0.003},
    entropy_cap_bits=32,
)


@pytest.fixture
def key() -> SecretKey:
    """A 256-bit key with recognisable bytes."""
    return SecretKey(
        material=bytes(range(0x40, 0x60)),
        length_bits=256,
        key_id=str(uuid.UUID(int=7)),
        eps_sec=1e-10,
        eps_cor=1e-12,
        eps_auth=3.5e-26,
        provenance=PROVENANCE,
        worth=Worth(Claim.SIMULATION, ("an eavesdropper in the simulation",), 32),
    )


@pytest.fixture
def reproducible_key(key: SecretKey) -> SecretKey:
    """A key of a seeded simulator."""
    return replace(key, provenance=replace(PROVENANCE, seed=5))
