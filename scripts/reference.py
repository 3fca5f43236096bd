"""Write the pages in docs/reference/ from the code: `python scripts/reference.py`, which `make docs` runs.

A test compares the pages with the code.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from option_tables import attributes, dataclass_options, parser_options, summary, table  # noqa: E402

from desert_seg import artifact, calibration, labels, parity  # noqa: E402
from desert_seg.engines import engine  # noqa: E402
from desert_seg_ros import demo, replay, topics  # noqa: E402
from desert_seg_ros.bag_benchmark import options as bag_benchmark  # noqa: E402
from desert_seg_ros.bag_benchmark.results import meanings  # noqa: E402
from desert_seg_ros.parameters import NodeParameters  # noqa: E402
from desert_seg_train import cli  # noqa: E402

FOLDER = ROOT / "docs" / "reference"
NOTE = "<!-- written by scripts/reference.py -->\n\n"


def topics_page() -> str:
    """Every topic and service."""

    def rows(*groups: Iterable[topics.Topic]) -> str:
        return table(
            ["topic", "type", "what"],
            [
                [", ".join(f"`{name}`" for name in topic.name.split(", ")), topic.kind, topic.meaning]
                for group in groups
                for topic in group
            ],
        )

    return f"""# Topics and services

`~` stands for the node's name, `/segment` unless the launch file says otherwise. With `cameras: [front, left]` one
process and one model serve `front/image` and `left/image`, and the outputs of each camera are under `~/front/` and
`~/left/`.

## Inputs

The camera's images come in on one of the first four. [Images on topics](../inputs.md#images-on-topics) lists the
encodings.

{rows(topics.IMAGE_INPUTS, topics.OTHER_INPUTS)}
Images are taken best effort with depth 1, video with a deeper queue because every packet is needed.

## Outputs

{rows(topics.OUTPUTS, topics.NODE_OUTPUTS)}
Every image but `~/mask`, and both point clouds, are computed only while somebody subscribes. Outputs are published
reliably with depth 1. The quality of service of images in and of outputs can be changed through `qos_overrides`.

## Services

{rows(topics.SERVICES)}"""


def parameters_page() -> str:
    """Every parameter of the node."""
    rows = []
    for item in fields(NodeParameters):
        value = list(item.default) if isinstance(item.default, tuple) else item.default
        default = (str(value).lower() if isinstance(value, bool) else str(value)) or "''"
        choices, bounds = item.metadata["choices"], item.metadata["range"]
        allowed = ", ".join(choices) if choices else f"{bounds[0]} to {bounds[1]}" if bounds else ""
        rows.append(
            [f"`{item.name}`", default, allowed, "yes" if item.metadata["live"] else "", item.metadata["description"]]
        )
    return f"""# Parameters

Parameters are set in a parameter file or on the command line (`-p NAME:=VALUE`). Those that are live can also be set
while the node runs, and count from the next frame on: `ros2 param set /segment confidence_threshold 0.5`. A wrong value
is refused with what it must be, and a misspelt name is named in the log.

The launch file takes `config/segment.yaml`, and `params_file:=` another one.
`ros2 launch desert_seg_ros segment.launch.py --show-args` lists the launch arguments.

{table(["parameter", "default", "allowed", "live", "what"], rows)}"""


def commands_page() -> str:
    """Every program and its options."""
    headings = ["option", "default", "what"]
    parts = [
        """# Commands

Every program has `--help` and `--version`. `desert-seg COMMAND --config FILE` reads the options from YAML; an option
given beside it wins, and a key given twice is an error. A flag without a default is off; `--no-FLAG` turns one off that
a file has turned on.

[Inputs and outputs](../inputs.md) says what is read, what a command may replace, and what exit codes mean.
"""
    ]
    for name in cli.COMMANDS:
        kind = cli.config_of(name)
        parts.append(f"## desert-seg {name}\n\n{summary(kind)}\n\n{table(headings, dataclass_options(kind))}")
    for parser in (replay.make_parser(), bag_benchmark.make_parser(), demo.make_parser()):
        about = " ".join((parser.description or "").split("\n\n")[0].split())
        parts.append(f"## {parser.prog}\n\n{about}\n\n{table(headings, parser_options(parser))}")
    parts.append(
        "## segment_node\n\nThe node. It takes ROS arguments only: remappings (`-r image:=/camera/image_raw`), "
        "[parameters](parameters.md) (`-p artifact:=light`) and parameter files, after `--ros-args`.\n"
    )
    return "\n".join(parts)


def _as_json(text: str) -> str:
    """What a docstring says of an attribute, in the words of its JSON file."""
    names = {
        "`UNKNOWN_SCORES`": calibration.UNKNOWN_SCORES,
        "`desert_seg.engines.engine.ENGINES`": engine.ENGINES,
        "`desert_seg.engines.engine.PRECISIONS`": engine.PRECISIONS,
    }
    for name, values in names.items():
        text = text.replace(name, ", ".join(f"`{value}`" for value in values if value != "auto"))
    return text.replace("None", "null")


def artifact_page() -> str:
    """The format of a model artifact."""

    def rows(kind: type[object]) -> list[tuple[str, str]]:
        return [(f"`{name}`", _as_json(text)) for name, text in attributes(kind).items()]

    def keys(*rows: tuple[str, str]) -> str:
        return table(["key", "what"], rows)

    card = [
        ("`format`", f"{artifact.FORMAT}; another number is refused."),
        *rows(artifact.ModelCard),
        ("`files`", "SHA-256 of every other file, by name."),
        ("`digest`", "SHA-256 over all of the above as JSON with sorted keys; it identifies the model."),
    ]
    files = [
        ("artifact.json", "What the model is, the SHA-256 of every other file, and a digest over all of that."),
        (artifact.WEIGHTS, artifact.Artifact.weights.__doc__),
        (artifact.ONNX, artifact.Artifact.onnx.__doc__),
        (artifact.INT8_ONNX, artifact.Artifact.int8_onnx.__doc__),
        (artifact.PARITY, "How far every engine's masks are from those of the float32 network; see below."),
        (artifact.SELF_TEST[0], "A frame on which an engine is tested before it is used."),
        (artifact.SELF_TEST[1], "What the float32 network sees in it: the class of every pixel."),
    ]
    bars = ", ".join(f"{precision} {share:.1%}" for precision, share in parity.MIN_AGREEMENT.items())
    return f"""# Model artifacts

An artifact is a folder with everything that is needed to run a model, and proof that it is what was saved. It is read
whole or refused: a file that was changed, cut short or added is named. Nothing is ever unpickled, and no artifact can
name anything that would be fetched or read from elsewhere. [Why it looks like this](../decisions/artifact-format.md).

{table(["file", "what"], [(f"`{name}`", text or "") for name, text in files])}
torch runs the weights, OpenVINO and ONNX Runtime run the graphs. `artifact.json`, `parity.json` and the self-test have
at most {artifact.MAX_DESCRIPTION_BYTES // 2**20} MiB each, any other file {artifact.MAX_FILE_BYTES // 2**30} GiB.

## artifact.json

{keys(*card)}
`label_map` is written as in a label map's YAML file: `name`, `classes` (each with `name` and `color`) and `values`. A
network has at most {labels.MAX_CLASSES} classes; {labels.IGNORE} is kept for unknown.

### calibration

{keys(*rows(calibration.Calibration))}
`frames` holds:

{keys(*rows(calibration.FrameStatistics))}
## parity.json

{keys(*rows(parity.ParityReport))}
Each of the `results` holds:

{keys(*rows(parity.ParityResult))}
A precision is valid if enough pixels get the class that the float32 network gives them ({bars}) and if, where
the images come with masks, the mIoU changes by at most {parity.MAX_MIOU_CHANGE}. What is not valid is never chosen by
itself.
"""


def reports_page() -> str:
    """The JSON files that commands write."""
    module = ast.parse((ROOT / "desert_seg_train" / "evaluate" / "results_file.py").read_text(encoding="utf-8"))
    keys: list[list[str]] = []
    for line in (ast.get_docstring(module) or "").splitlines()[2:]:
        if found := re.match(r"(\w+) {2,}(.+)", line):
            keys.append([f"`{found[1]}`", found[2]])
        else:
            keys[-1][1] += f"<br>{line.strip()}"
    rows = [(f"`{key}`", meaning) for key, meaning in meanings()]
    return f"""# Reports

Every report that a person reads has a JSON file beside it with the same numbers. Where there was nothing to measure it
says null.

## A model on a labelled folder

`results.json` of `desert-seg benchmark`. `desert-seg evaluate --json FILE` writes it too, and
`desert-seg benchmark --against FILE` reads it.

{table(["key", "what"], keys)}
## A live node on a bag

`results.json` of `desert-seg-benchmark`, [the bag benchmark](../bag_benchmark.md). `[]` stands for every item of a
list. In `ros2_benchmark` every run also holds its figures under the names and by the definitions of NVIDIA's
ros2_benchmark (`BasicPerformanceMetrics.*`, `ResourceMetrics.*`).

{table(["key", "what"], rows)}"""


PAGES = {
    "topics.md": topics_page,
    "parameters.md": parameters_page,
    "commands.md": commands_page,
    "artifact.md": artifact_page,
    "reports.md": reports_page,
}


def main() -> None:
    """Rewrite the pages."""
    FOLDER.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(NOTE + page(), encoding="utf-8")
    print(f"wrote {', '.join(PAGES)} in {FOLDER}")


if __name__ == "__main__":
    main()
