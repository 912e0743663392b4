"""Devices of the IBM emulator: the snapshots that `qiskit_ibm_runtime` ships, under real names."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from qlq.backends import noise
from qlq.backends.noise import Calibration

NAMES = ("fez", "torino", "kingston", "marrakesh", "brisbane")
"""Two generations of chips: cz and ecr as two-qubit gates, good and mediocre readout."""

_MICROSECOND = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Device:
    """One emulated device.

    Attributes:
        name: As the client asks for it, for example `ibm_fez`.
        conf: IBM's configuration document.
        props: IBM's properties document.
        calibration: The same in our words.
    """

    name: str
    conf: dict[str, Any] = field(repr=False)
    props: dict[str, Any] = field(repr=False)
    calibration: Calibration = field(repr=False)

    @property
    def rep_delay_s(self) -> float:
        """Pause between two shots in seconds where the client asks for none."""
        return float(self.conf["default_rep_delay"]) * _MICROSECOND

    @property
    def shot_s(self) -> float:
        """Length of one shot in seconds: the slowest readout, which outweighs all gates."""
        return max(qubit.readout_s for qubit in self.calibration.qubits.values())


@lru_cache(maxsize=1)
def devices() -> dict[str, Device]:
    """The devices by name."""
    folders = noise.ibm_devices()
    found = (_device(short, folders[short]) for short in NAMES if short in folders)
    return {device.name: device for device in found}


def _device(short: str, folder: Path) -> Device:
    name = f"ibm_{short}"
    conf = _document(folder / f"conf_{short}.json") | {"backend_name": name}
    props = _document(folder / f"props_{short}.json") | {"backend_name": name}
    calibrated = datetime.fromisoformat(str(props["last_update_date"])).astimezone(UTC)
    props["last_update_date"] = calibrated.isoformat().replace("+00:00", "Z")  # as IBM sends it
    return Device(name, conf, props, noise.ibm_calibration_of(conf, props, device=name))


def _document(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_bytes())
    return content
