"""`desert-seg consumers`: hands over to the robot's side, which knows who reads the masks."""

from __future__ import annotations

from desert_seg_ros.consumers import write_consumers
from desert_seg_train.config import ConsumersConfig


def consumers(config: ConsumersConfig) -> None:
    """Write the files and say where they are; raises ArtifactError or DataError."""
    for path in write_consumers(str(config.model), config.out, config.policy):
        print(f"wrote {path}")
