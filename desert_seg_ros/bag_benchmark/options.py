"""The command line of the benchmark, validated. Imports nothing heavy, so that `--help` is instant."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from desert_seg.errors import DesertSegError
from desert_seg_ros.bag_benchmark.pace import Length, Lockstep, Multiple, Pace, parse_pace

TRANSPORTS = ("stored", "raw", "compressed")
DEFAULT_MODEL = "light"
LIVE_IMAGE_TOPIC = "/camera/image_raw"

DESCRIPTION = """\
Replay a bag through the live segmentation node and measure it from outside:
latency, throughput, jitter, drops by cause, processor and memory use, stability
of the masks, and accuracy where the bag has ground truth."""

EPILOG = """\
examples:
  as recorded:
    desert-seg-benchmark my_drive
  four runs of 20 s:
    desert-seg-benchmark my_drive --rate 10 20 30 60 --seconds 20
  are the masks of two runs the same?
    desert-seg-benchmark my_drive --deterministic
  ten minutes at twice the sustainable rate:
    desert-seg-benchmark my_drive --rate 2x-sustainable --seconds 600
  with other node parameters:
    desert-seg-benchmark my_drive --param tta:=flip --param threads:=1"""


@dataclass(frozen=True)
class Options:
    """What is asked for.

    Attributes:
        bag: What to replay; empty for the sample drive.
        out: Folder to write to.
        model: The node's artifact, whose label map reads the ground truth; None = unknown, of a running node.
        parameters: The node's parameters by name.
        node: Name of a running node; empty to start one.
        pid: Its process, if known.
        image_topic: Topic to publish on; empty for a topic of its own.
        paces: One run each.
        length: Length of every run.
        deterministic: Compare the masks of the two runs.
        topic: Image topic of the bag.
        hz: Frame rate of a folder of images.
        limit: Largest number of frames.
        transport: How to publish; one of `TRANSPORTS`.
    """

    bag: str
    out: Path
    model: str | None
    parameters: Mapping[str, str]
    node: str
    pid: int | None
    image_topic: str
    paces: Sequence[Pace | Multiple]
    length: Length
    deterministic: bool
    topic: str | None
    hz: float
    limit: int | None
    transport: str


def parse(arguments: Sequence[str]) -> Options:
    """Parse the command line, without everything from `--ros-args` on, which launch files append.

    Raises:
        DesertSegError: A value is invalid, or two contradict each other.
    """
    own = list(arguments[: arguments.index("--ros-args")] if "--ros-args" in arguments else arguments)
    given = make_parser().parse_args(own)
    if given.deterministic and (given.rate or given.seconds is not None):
        raise DesertSegError("--deterministic replays in lockstep, twice; leave out --rate and --seconds")
    if given.node and given.param:
        raise DesertSegError("--param is for a node that is started here; set the parameters of a running one yourself")
    if given.pid is not None and not given.node:
        raise DesertSegError("--pid is of a node that is running already; name it with --node")
    return Options(
        bag=given.bag,
        out=given.out,
        model=given.model or (None if given.node else DEFAULT_MODEL),
        parameters=dict(_parameter(text) for text in given.param),
        node=given.node.lstrip("/"),
        pid=given.pid,
        image_topic=given.image_topic or (LIVE_IMAGE_TOPIC if given.node else ""),
        paces=[Lockstep(), Lockstep()]
        if given.deterministic
        else [parse_pace(word) for word in given.rate or ["recorded"]],
        length=Length(given.loops, given.seconds),
        deterministic=given.deterministic,
        topic=given.topic,
        hz=given.hz,
        limit=given.limit,
        transport=given.transport,
    )


def _parameter(text: str) -> tuple[str, str]:
    name, separator, value = text.partition(":=")
    if not (name and separator and value):
        raise DesertSegError(f"found --param {text!r}, expected NAME:=VALUE such as tta:=flip")
    if name in ("artifact", "image_transport"):
        raise DesertSegError(f"found --param {name}; use --{'model' if name == 'artifact' else 'transport'}")
    return name, value


def make_parser() -> argparse.ArgumentParser:
    """What the command takes."""
    parser = argparse.ArgumentParser(
        prog="desert-seg-benchmark",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "bag",
        nargs="?",
        default="",
        help="bag folder, .mcap, .db3 or .bag file, or folder of images (default: sample drive)",
    )
    add("--out", type=Path, default=Path("out/bag_benchmark"), help="folder to write to (default: %(default)s)")
    pace = parser.add_argument_group("pace")
    add = pace.add_argument
    add(
        "--rate",
        nargs="+",
        default=[],
        metavar="RATE",
        help="one run for each: recorded, frames per second, lockstep (the next frame when the mask of the last one is "
        "here), or a multiple of what the node can sustain, such as 2x-sustainable (default: recorded)",
    )
    length = pace.add_mutually_exclusive_group()
    length.add_argument(
        "--loops", type=int, default=1, metavar="N", help="passes over the drive (default: %(default)s)"
    )
    length.add_argument("--seconds", type=float, metavar="S", help="length of every run, with as many passes as needed")
    add("--deterministic", action="store_true", help="two runs in lockstep; exit 1 unless every mask is the same")
    node = parser.add_argument_group("node")
    add = node.add_argument
    add("--model", help=f"model artifact: folder or shipped name (default: {DEFAULT_MODEL})")
    add("--param", action="append", default=[], metavar="NAME:=VALUE", help="a parameter of the node; may be repeated")
    add("--node", default="", metavar="NAME", help="measure this running node instead of starting one")
    add("--pid", type=int, help="its process id, to measure its resource use")
    add(
        "--image-topic",
        default="",
        help=f"topic to publish on, with camera_info beside it (default: its own; with --node {LIVE_IMAGE_TOPIC})",
    )
    drive = parser.add_argument_group("drive")
    add = drive.add_argument
    add("--topic", help="image topic of the bag, needed if it has several")
    add("--hz", type=float, default=10.0, help="frame rate of a folder of images (default: %(default)s)")
    add("--limit", type=int, metavar="N", help="take at most this many frames")
    add(
        "--transport",
        choices=TRANSPORTS,
        default="stored",
        help="form of the published images (default: as they are stored)",
    )
    return parser
