"""All runs of one benchmark, in sequence: each against a node of its own, and evaluated afterwards."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone

from rclpy.utilities import get_rmw_implementation_identifier

from desert_seg.artifact import Artifact
from desert_seg.console import Progress
from desert_seg.errors import DataError
from desert_seg.recordings.bag import Bag, is_bag
from desert_seg.recordings.drive import Drive, pass_over
from desert_seg.recordings.image_topic import find_image_topic
from desert_seg_ros.bag_benchmark.frames import PreparedFrame, stored_transport
from desert_seg_ros.bag_benchmark.judge import determinism, judge
from desert_seg_ros.bag_benchmark.masks import Masked, masked_frames
from desert_seg_ros.bag_benchmark.node_process import node_command, own_image_topic, own_name
from desert_seg_ros.bag_benchmark.options import Options
from desert_seg_ros.bag_benchmark.pace import Length, Lockstep, Multiple, Pace
from desert_seg_ros.bag_benchmark.recording import Recording
from desert_seg_ros.bag_benchmark.report import describe_machine, describe_model, make_run
from desert_seg_ros.bag_benchmark.results import FORMAT, Model, Results, Run, Source
from desert_seg_ros.bag_benchmark.run import Subject, measure
from desert_seg_ros.bag_benchmark.warp import Surroundings, find_surroundings
from desert_seg_ros.bag_benchmark.wording import in_one_line

PROBE = Length(seconds=10)
"""How long the sustainable rate is measured for."""


class Session:
    """A benchmark in progress."""

    def __init__(
        self,
        options: Options,
        drive: Drive,
        frames: Sequence[PreparedFrame],
        transport: str,
        artifact: Artifact | None,
        progress: Progress,
    ) -> None:
        """Prepare.

        Args:
            options: The settings.
            drive: The drive to replay.
            frames: Its frames, ready to publish.
            transport: How they are published, `raw` or `compressed`.
            artifact: The node's; None if a running node's was not named.
            progress: Shows the progress.
        """
        self._options, self._drive, self._frames, self._transport = options, drive, frames, transport
        self._artifact, self._progress = artifact, progress
        self._runs: list[Run] = []
        self._model = Model("unknown", "unknown", "unknown")

    def results(self) -> Results:
        """Make all runs.

        Raises:
            NodeError: The node did not start, ended too early or does not answer.
            DataError: The drive is damaged, a bag cannot be written, or the running node has another model.
        """
        machine = describe_machine(get_rmw_implementation_identifier())
        sustainable_hz = self._sustainable_hz() if self._needs_sustainable() else None
        for pace in self._options.paces:
            self._make(pace.of(sustainable_hz or 0.0) if isinstance(pace, Multiple) else pace, self._options.length)
        same = None
        if self._options.deterministic:
            first, second = ({int(index): sha for index, sha in run.mask_sha256.items()} for run in self._runs)
            same = determinism(first, second, [frame.index for frame in self._frames])
        return Results(
            format=FORMAT,
            made=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            source=self._source(),
            model=self._model,
            command=self._subject("").command,
            machine=machine,
            sustainable_hz=sustainable_hz,
            determinism=same,
            runs=self._runs,
        )

    def _needs_sustainable(self) -> bool:
        return any(isinstance(pace, Multiple) for pace in self._options.paces)

    def _sustainable_hz(self) -> float:
        reached = self._make(Lockstep(window=2), PROBE).rates.masks_hz
        if reached is None:
            raise DataError("found fewer than two masks while looking for the sustainable rate; name a rate in Hz")
        return reached

    def _make(self, pace: Pace, length: Length) -> Run:
        name = self._new_name(pace.name)
        recording = self._measure(name, pace, length)
        self._model = describe_model(recording)
        if self._artifact is not None and self._artifact.digest != self._model.digest:
            raise DataError(
                f"the node runs model {self._model.name} ({self._model.digest[:12]}), not {self._artifact.path} "
                f"({self._artifact.digest[:12]}); name its model with --model"
            )
        run = self._judge(name, length, recording)
        self._runs.append(run)
        self._progress.console.print(in_one_line(run))
        return run

    def _new_name(self, wanted: str) -> str:
        taken = {run.name for run in self._runs}
        number = next(number for number in range(1, len(taken) + 2) if _numbered(wanted, number) not in taken)
        return _numbered(wanted, number)

    def _subject(self, name: str) -> Subject:
        options = self._options
        if options.node:
            return Subject(self._transport, options.node, options.image_topic, pid=options.pid)
        assert self._artifact is not None, "a node that is started here has a model"
        artifact = str(self._artifact.path.resolve())
        parameters = {"artifact": artifact, "image_transport": self._transport, **options.parameters}
        node_name, image_topic = own_name(), options.image_topic or own_image_topic()
        command = node_command(parameters, image_topic, node_name)
        log = options.out / "logs" / f"{name}.log"
        return Subject(self._transport, node_name, image_topic, command, log)

    def _measure(self, name: str, pace: Pace, length: Length) -> Recording:
        subject = self._subject(name)
        doing = f"{name}: {'starting' if subject.command else 'finding'} the node"
        with self._task(doing, length.num_frames(pace, len(self._frames))) as update:

            def show(sent: int, masks: int) -> None:
                update(sent, f"{name}: {masks} masks back")

            return measure(subject, lambda: self._frames, pace, length, self._options.out / "masks" / name, show)

    def _judge(self, name: str, length: Length, recording: Recording) -> Run:
        doing = f"{name}: judging the masks"
        with self._task(doing, self._drive.num_frames) as update:
            label_map = None if self._artifact is None else self._artifact.card.label_map
            masked = masked_frames(self._drive, recording.mask_bag, recording.masked)
            judgement = judge(_watched(masked, lambda done: update(done, doing)), label_map, self._surroundings())
        return make_run(name, length, recording, judgement)

    def _surroundings(self) -> Surroundings | str:
        if not is_bag(self._drive.path):
            return "the drive is a folder of images"
        with Bag(self._drive.path) as bag:
            topic = find_image_topic(bag, self._options.topic).name
        return find_surroundings(self._drive.path, topic, next(self._drive.frames(pass_over)).frame_id)

    def _source(self) -> Source:
        frames, digest = self._frames, hashlib.sha256()
        for frame in frames:
            digest.update(frame.image)
        return Source(
            name=self._drive.path.name or str(self._drive.path),
            path=str(self._drive.path),
            num_frames=len(frames),
            seconds=(frames[-1].recorded_ns - frames[0].recorded_ns) / 1e9,
            transport=self._transport,
            converted=self._transport != stored_transport(self._drive),
            sha256=digest.hexdigest(),
        )

    @contextmanager
    def _task(self, what: str, total: int | None) -> Iterator[Callable[[int, str], None]]:
        """A progress bar within a `with` block; call it with the number done and a description."""
        task = self._progress.add_task(what, total=total)
        yield lambda done, doing: self._progress.update(task, completed=done, description=doing)
        self._progress.remove_task(task)


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name}-{number}"


def _watched(frames: Iterator[Masked], show: Callable[[int], None]) -> Iterator[Masked]:
    """The same frames; `show` is called with their positions in the drive."""
    for index, frame, mask in frames:
        show(index + 1)
        yield index, frame, mask
