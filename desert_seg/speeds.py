"""Names for the size at which a model looks at a frame: less detail in less time, or more in more.

One set of weights serves all of them, since the network is convolutional.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Speed = Literal["fast", "balanced", "fine"]

BALANCED = "balanced"

SPEEDS: Mapping[str, float] = {"fast": 0.5, BALANCED: 1.0, "fine": 1.25}
"""Height and width of the network's input, relative to those it was made for, by name.

Those of the light model, chosen by measurement (docs/performance.md); an artifact may name its own.
"""

SLOWEST = 4.0
"""The largest that an artifact may name."""
