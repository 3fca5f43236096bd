"""Settings of `desert-seg doctor`. Imports nothing heavy, so that `--help` is instant."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DoctorConfig:
    """Examine this machine and the installation; exits with 1 if there is a fault, not for warnings.

    Attributes:
        json: Print everything as JSON instead.
    """

    json: bool = False
