"""Parameters named `qos_overrides.TOPIC.ENTITY.POLICY`, by which people change the quality of service of a topic.

rclpy ends in a traceback where a value is wrong, and passes over names that fit no topic.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from desert_seg_ros.parameters import ParameterError

PREFIX = "qos_overrides."

_VALUES = {
    "history": ("keep_last", "keep_all", "system_default"),
    "reliability": ("reliable", "best_effort", "system_default"),
}


def check_overrides(overrides: Mapping[str, Any]) -> None:
    """Refuse values that a policy cannot have.

    Args:
        overrides: Names and values of the parameters given at start.

    Raises:
        ParameterError: One has.
    """
    for name, value in overrides.items():
        policy = name.rpartition(".")[2]
        if not name.startswith(PREFIX):
            continue
        if policy == "depth" and (not isinstance(value, int) or value < 1):
            raise ParameterError(f"{name} is {value!r}; it must be a whole number from 1")
        if policy in _VALUES and value not in _VALUES[policy]:
            raise ParameterError(f"{name} is {value!r}; choose one of: {', '.join(_VALUES[policy])}")
