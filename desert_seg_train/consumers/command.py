"""`desert-seg consumers`: write the files and print where they are; `desert_seg.consumers` makes their content."""

from __future__ import annotations

from desert_seg.consumers import write_consumers
from desert_seg_train.consumers.config import ConsumersConfig


def consumers(config: ConsumersConfig) -> None:
    """Write the files and print where they are; raises ArtifactError or DataError."""
    for path in write_consumers(str(config.model), config.out, config.policy):
        print(f"wrote {path}")
