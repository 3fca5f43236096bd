"""How the three Python packages are installed: by colcon as the ROS package `desert_seg_ros`, or by pip."""

from pathlib import Path
from xml.etree import ElementTree

from setuptools import find_packages, setup

PACKAGE = "desert_seg_ros"
MANIFEST = ElementTree.parse("package.xml").getroot()

ROS_PACKAGES = ["rclpy[fastrtps]", "sensor-msgs", "std-msgs", "std-srvs", "diagnostic-msgs", "geometry-msgs"]


def ros_wheels(distribution):
    """The genuine rclpy for a machine without ROS. There are no wheels for anything but Linux on x86_64."""
    marker = 'platform_machine == "x86_64" and sys_platform == "linux"'
    return [f"ros-{distribution}-{package}; {marker}" for package in ROS_PACKAGES]


# Bounds are where an interface is known to break: rosbags with every 0.x, the others with a major version. What reads
# and writes bags.
RECORDINGS = ["lz4>=4", "mcap>=1.2,<2", "rosbags>=0.11,<0.12", "zstandard>=0.22"]

EXTRAS = {
    # What the node and `make demo` need; no torch.
    "runtime": [
        *RECORDINGS,
        "jinja2>=3.1",
        "openvino>=2025.0",
        "opencv-python-headless>=4.8,<5",
        "rich>=13",
        "tyro>=0.9,<2",
    ],
    "train": [
        *RECORDINGS,
        "torch>=2.9",
        "torchvision",
        "segmentation-models-pytorch==0.6.*",
        "timm>=1.0,<2",
        "safetensors>=0.4",
        "jinja2>=3.1",
        "lightning-fabric>=2.5,<3",
        "matplotlib>=3.8",
        "moderngl>=5.12",
        "onnx>=1.17",
        "onnxruntime>=1.20",
        "onnxscript>=0.5",
        "opencv-python-headless>=4.8,<5",
        "pillow>=10",
        "rich>=13",
        "scipy>=1.11",
        "tensorboard>=2.15",
        "tyro>=0.9,<2",
    ],
    # Reads H.264 and HEVC.
    "video": ["av>=12"],
    # The viewer of `desert-seg view`.
    "view": ["rerun-sdk>=0.23"],
    # Distributes predictions over machines.
    "cluster": ["ray>=2.40"],
    "ros": ros_wheels("kilted"),
    "ros-jazzy": ros_wheels("jazzy"),
    # DDS implementations that are not ROS's, for tests.
    "interop": ["cyclonedds>=11", "rosless>=0.5"],
    # colcon looks here to see that the tests are pytest's.
    "test": [
        "pytest>=8,<9",
        "pytest-timeout>=2.3",
        "pytest-xdist>=3.7",
        "hypothesis>=6.100",
        "onnx>=1.17",
        "pillow>=10",
    ],
    "dev": [
        "build>=1.2",
        "catkin_pkg>=1.0",
        "colcon-common-extensions>=0.3",
        "import-linter>=2.1",
        "mkdocs-material>=9.6,<10",
        "mypy>=1.15",
        "playwright>=1.45",
        "pre-commit>=4.0",
        "psutil>=6.0",
        "rosbags-image>=0.10",
        "ruff>=0.9",
        "setuptools>=70.1,<80",
        "types-PyYAML",
    ],
}


def data_files():
    """Pairs of share folder and files; a folder that is not there adds nothing."""
    share = Path("share") / PACKAGE
    targets = {
        Path("share/ament_index/resource_index/packages"): [f"resource/{PACKAGE}"],
        share: ["package.xml"],
    }
    for folder in ("launch", "config", "models", "sample_drive"):
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                targets.setdefault(share / path.parent, []).append(str(path))
    return [(str(target), files) for target, files in targets.items()]


setup(
    name=PACKAGE,
    version=MANIFEST.findtext("version"),
    description=MANIFEST.findtext("description"),
    license=MANIFEST.findtext("license"),
    maintainer=MANIFEST.findtext("maintainer"),
    maintainer_email=MANIFEST.find("maintainer").get("email"),
    python_requires=">=3.10",
    packages=find_packages(include=["desert_seg*"]),
    package_data={
        "desert_seg": ["label_maps/*.yaml"],
        "desert_seg_ros": ["bag_benchmark/*.j2"],
        "desert_seg_train": [
            "adapt/replay/*/*",
            "benchmark/*.j2",
            "inspect/*.j2",
            "site/*.j2",
            "synth/*.yaml",
            "synth/worlds/*.yaml",
            "synth/shaders/*",
        ],
    },
    data_files=data_files(),
    install_requires=["numpy<3", "PyYAML"],
    extras_require=EXTRAS,
    entry_points={
        "console_scripts": [
            "segment_node = desert_seg_ros.start:main",
            "desert-seg = desert_seg_train.cli:main",
            "desert-seg-replay = desert_seg_ros.replay:main",
            "desert-seg-benchmark = desert_seg_ros.bag_benchmark.command:main",
            "desert-seg-demo = desert_seg_ros.demo:main",
        ]
    },
    zip_safe=False,
)
