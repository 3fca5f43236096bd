"""Measure the segmentation node on a bag: `ros2 launch desert_seg_ros benchmark.launch.py bag:=/my_drive rate:=10`.

The benchmark starts the node itself, unless `node` names one that is running. It ends when it has written its report.
`ros2 launch desert_seg_ros benchmark.launch.py --show-args` lists the arguments.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

# As a person, another launch file or a script writes them.
TRUE, FALSE = ("true", "True", "1"), ("false", "False", "0")

# Launch arguments that are options of the command of the same name, but for a few; empty: as the command has it.
OPTIONS = {
    "out": ("Folder to write to.", "--out"),
    "rate": ("One run for each: recorded, frames per second, lockstep, or such as 2x-sustainable.", "--rate"),
    "loops": ("Passes over the drive.", "--loops"),
    "seconds": ("Length of every run, instead of loops.", "--seconds"),
    "artifact": ("Model artifact: a folder, or the name of a shipped model.", "--model"),
    "node": ("Name of a running node to measure instead of starting one.", "--node"),
    "image": ("Camera image topic to publish on.", "--image-topic"),
    "topic": ("Image topic of the bag, needed if it has several.", "--topic"),
    "transport": ("Publish images so.", "--transport"),
}


def start(context):
    """The actions for the arguments as they are now."""
    argument = {
        name: LaunchConfiguration(name).perform(context) for name in (*OPTIONS, "bag", "parameters", "deterministic")
    }
    words = [argument["bag"]] if argument["bag"] else []
    for name, (_, option) in OPTIONS.items():
        if argument[name]:
            words += [option, *(argument[name].split() if name == "rate" else [argument[name]])]
    for parameter in argument["parameters"].split():
        words += ["--param", parameter]
    if argument["deterministic"] in TRUE:
        words.append("--deterministic")
    return [Node(package="desert_seg_ros", executable="desert-seg-benchmark", arguments=words, output="screen")]


def generate_launch_description():
    """Arguments, then the benchmark."""
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "bag",
                default_value="",
                description="Bag folder, .mcap, .db3 or .bag file, or folder of images. Empty: the sample drive.",
            ),
            *(
                DeclareLaunchArgument(
                    name, default_value="", description=f"{text} Empty: as desert-seg-benchmark has it."
                )
                for name, (text, _) in OPTIONS.items()
            ),
            DeclareLaunchArgument(
                "parameters", default_value="", description="Parameters of the node, NAME:=VALUE, with blanks between."
            ),
            DeclareLaunchArgument(
                "deterministic",
                default_value="false",
                choices=[*TRUE, *FALSE],
                description="Replay twice in lockstep, and fail unless every mask is the same.",
            ),
            OpaqueFunction(function=start),
        ]
    )
