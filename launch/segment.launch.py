"""Start the segmentation node: `ros2 launch desert_seg_ros segment.launch.py image:=/my_camera/image_raw`.

Several cameras are lists: `cameras:=front,left image:=/front/image_raw,/left/image_raw`.
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
    "speed": ("Input size of the network.", ["", "fast", "balanced", "fine"]),
    "tta": ("Test-time augmentation views.", ["", "none", "flip", "scales", "full"]),
    "image_transport": (
        "Kind of input topic; compressed reads IMAGE/compressed, ffmpeg and foxglove read video.",
        ["", "raw", "compressed", "ffmpeg", "foxglove"],
    ),
    "use_sim_time": ("Take the time from /clock, for bags and simulators.", ["", *TRUE, *FALSE]),
}


# Endings of topics beside the raw images' own.
TRANSPORTS = ("compressed", "ffmpeg", "foxglove")

# What rviz shows of the first camera, beside its images.
SHOWN = ("mask_color", "overlay")

OTHERS = ("namespace", "name", "cameras", "image", "camera_info", "params_file", "dds_profile", "rviz", "on_exit")


def items(text):
    """The items of a list, written as front,left or as YAML has it."""
    return [item for part in text.strip(" []").split(",") if (item := part.strip(" '\""))]


def topics(argument):
    """Pairs of a topic of the node and what it is remapped to, those of its first camera first."""
    cameras, images, infos = (items(argument[name]) for name in ("cameras", "image", "camera_info"))
    if not images:
        raise RuntimeError("image: found no topic; give that of a camera, like image:=/camera/image_raw")
    if len(images) != len(cameras or [""]):
        raise RuntimeError(
            f"image: found {len(images)} topics for {len(cameras)} names in cameras; give one for each, like "
            "cameras:=front,left image:=/front/image_raw,/left/image_raw"
        )
    for kind in TRANSPORTS:  # the name of one transport's topic, in place of the base name
        images = [image.removesuffix(f"/{kind}") or image for image in images]
    infos = infos or [f"{image[: image.rfind('/') + 1]}camera_info" for image in images]
    if len(infos) != len(images):
        raise RuntimeError(
            f"camera_info: found {len(infos)} topics for {len(images)} images; give one for each or none"
        )
    for camera, image, info in zip(cameras or [""], images, infos, strict=True):
        prefix = f"{camera}/" if camera else ""
        yield f"{prefix}image", image
        for kind in TRANSPORTS:
            yield f"{prefix}image/{kind}", f"{image}/{kind}"
        yield f"{prefix}camera_info", info


def start(context):
    """The actions for the arguments as they are now."""
    argument = {name: LaunchConfiguration(name).perform(context) for name in (*PARAMETERS, *OTHERS)}
    for name in ("params_file", "dds_profile"):
        if argument[name]:
            path = Path(argument[name]).expanduser()  # a shell leaves the ~ behind := alone
            if not path.is_file():
                raise RuntimeError(f"{name}: there is no file {argument[name]!r}; give the path of one")
            argument[name] = str(path)
    overrides = {name: argument[name] for name in PARAMETERS if argument[name]}
    if "use_sim_time" in overrides:
        overrides["use_sim_time"] = overrides["use_sim_time"] in TRUE
    if cameras := items(argument["cameras"]):
        overrides["cameras"] = cameras
    remappings = list(topics(argument))
    # Fast DDS 2, still called Fast RTPS, knows only the one name, version 3 warns about it.
    prefixes = os.environ["AMENT_PREFIX_PATH"].split(os.pathsep)
    old = any(library for prefix in prefixes for library in Path(prefix, "lib").glob("libfastrtps.so*"))
    profile = "FASTRTPS_DEFAULT_PROFILES_FILE" if old else "FASTDDS_DEFAULT_PROFILES_FILE"
    node = Node(
        package="desert_seg_ros",
        executable="segment_node",
        namespace=argument["namespace"],
        name=argument["name"],
        parameters=[each for each in (argument["params_file"], overrides) if each],
        remappings=remappings,
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
                ("/camera/image_raw", remappings[0][1]),
                *((f"/segment/{output}", "/".join([argument["name"], *cameras[:1], output])) for output in SHOWN),
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
            DeclareLaunchArgument(
                "cameras",
                default_value="",
                description="Names of several cameras, like front,left: outputs are under NAME/CAMERA. Empty: one, "
                "without a name, or as in params_file.",
            ),
            DeclareLaunchArgument(
                "image",
                default_value="/camera/image_raw",
                description="Camera image topic; with cameras a list of as many.",
            ),
            DeclareLaunchArgument(
                "camera_info",
                default_value="",
                description="Topic of the camera's calibration, or as many. Empty: camera_info beside the image.",
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
                description="YAML file with the node's parameters. Empty: their defaults.",
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
