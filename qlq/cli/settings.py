"""The settings of this command line, from its global options, the environment and the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qlq.cli import console

if TYPE_CHECKING:
    from qlq.config import Settings


def load(*, home: str | None = None, backend: str | None = None) -> Settings:
    """The settings; an option of the command itself wins over the global one."""
    from qlq import config

    return config.load(
        flags={"home": home or console.State.home, "backend": backend},
        environ=config.environment(),
        profile=console.State.profile,
    )
