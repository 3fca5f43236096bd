"""Start the segmentation node: `ros2 launch desert_seg_ros segment.launch.py image:=/my_camera/image_raw`.

`ros2 launch desert_seg_ros segment.launch.py --show-args` lists the arguments.
"""

import os
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction, Shutdown
from launch.substitutions import EnvironmentVariable, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

CONFIG = PathJoinSubstitution([FindPackageShare("desert_seg_ros"), "config"])

# As a person, another launch file (Nav2's say True) or a script writes them.
TRUE, FALSE = ("true", "True", "1"), ("false", "False", "0")

# Launch arguments that are parameters of the node. Empty means "as in params_file", so that a value in a person's
# own file is not overruled by a default here, while whatever is typed on the command line is.
PARAMETERS = {
    "artifact": ("Model artifact: a folder, or the name of a shipped model.", None),
    "engine": ("Inference engine.", ["", "auto", "openvino", "onnxruntime", "torch"]),
    "device": ("Device the engine runs on.", ["", "auto", "cpu", "cuda"]),
    "tta": ("Test-time augmentation views.", ["", "none", "flip", "scales", "full"]),
    "image_transport": (
        "Kind of input topic; compressed reads IMAGE/compressed, ffmpeg and foxglove read video.",
        ["", "raw", "compressed", "ffmpeg", "foxglove"],
    ),
    "use_sim_time": ("Take the time from /clock, for bags and simulators.", ["", *TRUE, *FALSE]),
}


def start(context):
    """The actions for the arguments as they are now."""
    argument = {
        name: LaunchConfiguration(name).perform(context)
        for name in (*PARAMETERS, "namespace", "name", "image", "params_file", "dds_profile", "rviz", "on_exit")
    }
    for name in ("params_file", "dds_profile"):
        if argument[name] and not Path(argument[name]).is_file():
            raise RuntimeError(f"{name}: there is no file {argument[name]!r}; give the path of one")
    overrides = {name: argument[name] for name in PARAMETERS if argument[name]}
    if "use_sim_time" in overrides:
        overrides["use_sim_time"] = overrides["use_sim_time"] in TRUE
    # Fast DDS 2, still called Fast RTPS, knows only the one name, version 3 warns about it.
    prefixes = os.environ["AMENT_PREFIX_PATH"].split(os.pathsep)
    old = any(library for prefix in prefixes for library in Path(prefix, "lib").glob("libfastrtps.so*"))
    profile = "FASTRTPS_DEFAULT_PROFILES_FILE" if old else "FASTDDS_DEFAULT_PROFILES_FILE"
    node = Node(
        package="desert_seg_ros",
        executable="segment_node",
        namespace=argument["namespace"],
        name=argument["name"],
        parameters=[argument["params_file"], *([overrides] if overrides else [])],
        remappings=[
            ("image", argument["image"]),
            *((f"image/{name}", f"{argument['image']}/{name}") for name in ("compressed", "ffmpeg", "foxglove")),
            ("camera_info", LaunchConfiguration("camera_info")),
        ],
        ros_arguments=["--log-level", LaunchConfiguration("log_level")],
        additional_env={profile: argument["dds_profile"]} if argument["dds_profile"] else {},
        on_exit=Shutdown() if argument["on_exit"] == "shutdown" else None,
        output="screen",
    )
    if argument["rviz"] not in TRUE:
        return [node]
    if not has_rviz():
        return [
            LogInfo(msg="rviz:=true, but rviz2 is not installed: it is left out (apt install ros-$ROS_DISTRO-rviz2)"),
            node,
        ]
    return [
        node,
        Node(
            package="rviz2",
            executable="rviz2",
            namespace=argument["namespace"],
            name="desert_seg_rviz",
            arguments=["-d", PathJoinSubstitution([CONFIG, "desert_seg.rviz"])],
            remappings=[
                ("/camera/image_raw", argument["image"]),
                ("/segment/mask_color", f"{argument['name']}/mask_color"),
                ("/segment/overlay", f"{argument['name']}/overlay"),
            ],
        ),
    ]


def has_rviz():
    """Whether rviz2 can be started: a launch that fails halfway leaves the node running behind it."""
    try:
        prefix = get_package_prefix("rviz2")
    except PackageNotFoundError:
        return False
    return os.access(Path(prefix) / "lib" / "rviz2" / "rviz2", os.X_OK)


def generate_launch_description():
    """Arguments, then the node and, if asked for, rviz."""
    return LaunchDescription(
        [
            DeclareLaunchArgument("namespace", default_value="", description="Namespace of the node."),
            DeclareLaunchArgument("name", default_value="segment", description="Name of the node."),
            DeclareLaunchArgument("image", default_value="/camera/image_raw", description="Camera image topic."),
            DeclareLaunchArgument(
                "camera_info", default_value="/camera/camera_info", description="Topic of the camera's calibration."
            ),
            *(
                DeclareLaunchArgument(
                    name,
                    default_value="",
                    description=f"{text} Empty: as in params_file.",
                    **({} if choices is None else {"choices": choices}),
                )
                for name, (text, choices) in PARAMETERS.items()
            ),
            DeclareLaunchArgument(
                "params_file",
                default_value=PathJoinSubstitution([CONFIG, "segment.yaml"]),
                description="YAML file with the node's parameters.",
            ),
            DeclareLaunchArgument(
                "rviz",
                default_value="false",
                choices=[*TRUE, *FALSE],
                description="Also start rviz2, if it is installed, with camera, colour mask and overlay.",
            ),
            DeclareLaunchArgument(
                "on_exit",
                default_value="",
                choices=["", "shutdown"],
                description="When the node ends: shutdown ends the whole launch. Empty: whatever else runs goes on.",
            ),
            DeclareLaunchArgument(
                "log_level",
                default_value="info",
                choices=["debug", "info", "warn", "error", "fatal"],
                description="What the node logs.",
            ),
            DeclareLaunchArgument(
                "dds_profile",
                default_value=EnvironmentVariable(
                    "FASTDDS_DEFAULT_PROFILES_FILE",
                    default_value=EnvironmentVariable(
                        "FASTRTPS_DEFAULT_PROFILES_FILE",
                        default_value=PathJoinSubstitution([CONFIG, "fastdds_shm.xml"]),
                    ),
                ),
                description="Fast DDS profile for the node: shared memory large enough for images, unless the "
                "environment names a profile already. Empty: the same, but not with FASTDDS_BUILTIN_TRANSPORTS.",
            ),
            OpaqueFunction(function=start),
        ]
    )
