"""Everything that was measured in one run, in one object. Knows nothing of terminals, figures or pages."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path

import numpy as np

from desert_seg.artifact import ModelCard
from desert_seg.labels import IGNORE, LabelMap, LabelSet
from desert_seg.machine import processor
from desert_seg.scoring import Confusion, Scores
from desert_seg.segmenter import Segmenter
from desert_seg_train.evaluate.comparison import Intervals, bootstrap, compare
from desert_seg_train.evaluate.earlier import Earlier
from desert_seg_train.evaluate.measurement import Measurement
from desert_seg_train.evaluate.measuring import TestSet
from desert_seg_train.inspect.report import Report
from desert_seg_train.saving import git_hash

SEED = 0
"""Of the bootstrap, so that the same counts give the same intervals."""


@dataclass(frozen=True)
class Run:
    """Where and with what the numbers were made.

    Attributes:
        created: UTC, ISO 8601.
        engine: Backend, precision and device.
        machine: Processor.
        load: Load average of the minute before, in cores; what else ran may have slowed the measured times.
        system: Operating system.
        python: Its version.
        git: Commit of this code.
    """

    created: str
    engine: str
    machine: str
    load: float
    system: str
    python: str
    git: str

    @classmethod
    def here(cls, segmenter: Segmenter) -> Run:
        """Now, on this machine; to be called before anything is measured."""
        return cls(
            created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            engine=segmenter.engine.description,
            machine=processor(),
            load=round(os.getloadavg()[0], 2),
            system=platform.platform(),
            python=platform.python_version(),
            git=git_hash(),
        )


@dataclass(frozen=True)
class Results:
    """One run.

    Attributes:
        model: The artifact folder.
        card: What the artifact says about the model.
        digest: Of the artifact, 64 hex digits.
        data: The labelled folder.
        label_map: What the mask values mean.
        beside: Other readings of the same masks, also scored.
        passes: What was measured, one pass for each setting; the first is the headline.
        run: Where and with what.
        earlier: The run to compare with.
        gap: The labelled folder against the one the model was trained on.
    """

    model: Path
    card: ModelCard
    digest: str
    data: Path
    label_map: LabelMap
    beside: tuple[LabelMap, ...]
    passes: tuple[Measurement, ...]
    run: Run
    earlier: Earlier | None = None
    gap: Report | None = None

    @classmethod
    def of(
        cls,
        model: Path,
        segmenter: Segmenter,
        test_set: TestSet,
        passes: Sequence[Measurement],
        run: Run,
        earlier: Earlier | None = None,
        gap: Report | None = None,
    ) -> Results:
        """Assemble the results of a run."""
        return cls(
            model=model,
            card=segmenter.card,
            digest=segmenter.digest,
            data=test_set.folder.root,
            label_map=test_set.label_map,
            beside=test_set.beside,
            passes=tuple(passes),
            run=run,
            earlier=earlier,
            gap=gap,
        )

    @property
    def headline(self) -> Measurement:
        """The pass that the numbers without further words are of."""
        return self.passes[0]

    @property
    def scores(self) -> Scores:
        """Of the headline pass."""
        return self.headline.scores

    @property
    def labels(self) -> LabelSet:
        """The classes."""
        return self.card.label_map.labels

    @property
    def absent(self) -> tuple[str, ...]:
        """Names of the classes that the truth does not hold."""
        return tuple(self.labels.names[index] for index in self.headline.absent)

    @cached_property
    def intervals(self) -> Intervals:
        """Of the headline pass."""
        return bootstrap(self.headline.confusions, np.random.default_rng(SEED))

    @cached_property
    def gains(self) -> tuple[Intervals, ...]:
        """What each pass after the first is above the first."""
        first = self.headline.confusions
        return tuple(compare(each.confusions, first, np.random.default_rng(SEED)) for each in self.passes[1:])

    @cached_property
    def comparison(self) -> Intervals | None:
        """How much the headline pass is above the earlier run's."""
        if self.earlier is None:
            return None
        return compare(self.headline.confusions, self.earlier.confusions, np.random.default_rng(SEED))

    @property
    def earlier_name(self) -> str:
        """What the other model is called; two models of one name are told apart by their digests."""
        if self.earlier is None:
            return ""
        same = self.earlier.model == self.card.name
        return f"{self.earlier.model} {self.earlier.digest[:8]}" if same else self.earlier.model

    @cached_property
    def beside_scores(self) -> dict[str, Scores]:
        """Of the headline pass under the other readings of the masks, by label map."""
        return {name: Confusion.of(counts).scores() for name, counts in self.headline.beside.items()}

    def reading_differences(self, other: LabelMap) -> list[str]:
        """In words, what another label map takes mask values for that this one reads differently."""

        def meaning(label_map: LabelMap, value: int) -> str:
            target = label_map.values.get(value, IGNORE)
            return "ignored" if target == IGNORE else label_map.labels.names[target]

        return [
            f"{value} as {meaning(other, value)} (here {meaning(self.label_map, value)})"
            for value in sorted(self.label_map.values)
            if value in other.values and self.label_map.values[value] != other.values[value]
        ]
