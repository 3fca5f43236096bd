"""Pack a rendered drive into the sample bag that the demo plays: JPEG images, camera_info and true masks in an mcap.

    python scripts/make_sample_drive.py RENDERED_FOLDER --out sample_drive

The folder is a dataset folder with a `camera.json` (width, height, K, distortion). The same folder gives the same
bytes. JPEG quality is the highest that keeps the bag within its size limit.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rosbags.typesys.stores.ros2_kilted import sensor_msgs__msg__CameraInfo as CameraInfo
from rosbags.typesys.stores.ros2_kilted import sensor_msgs__msg__CompressedImage as CompressedImage
from rosbags.typesys.stores.ros2_kilted import sensor_msgs__msg__RegionOfInterest as RegionOfInterest
from rosbags.typesys.stores.ros2_kilted import std_msgs__msg__Header as Header

from desert_seg.errors import DataError, DesertSegError
from desert_seg_ros.bag import BagWriter
from desert_seg_ros.drive import DriveFrame, open_drive

IMAGE_TOPIC = "/camera/image_raw/compressed"
INFO_TOPIC = "/camera/camera_info"
TRUTH_TOPIC = "/camera/ground_truth/compressed"
QUALITIES = range(95, 49, -1)
BAG_OVERHEAD_BYTES = 100_000
"""More than headers, indices and camera_info take."""

# Rows unfiltered: for flat areas of 16-bit values this makes files a quarter smaller than the usual choice.
PNG_OPTIONS = [cv2.IMWRITE_PNG_COMPRESSION, 9, cv2.IMWRITE_PNG_STRATEGY, 0, cv2.IMWRITE_PNG_FILTER, 8]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="rendered dataset folder with camera.json")
    parser.add_argument(
        "--out", type=Path, default=Path("sample_drive"), help="bag folder to write (default: %(default)s)"
    )
    parser.add_argument(
        "--max-mb", type=float, default=8.0, help="size limit of the bag, 10^6 bytes (default: %(default)s)"
    )
    arguments = parser.parse_args()
    try:
        pack(arguments.folder, arguments.out, arguments.max_mb)
    except DesertSegError as error:
        sys.exit(f"error: {error}")


def pack(folder: Path, out: Path, max_mb: float) -> None:
    """Write the bag at the best quality that fits; raises DataError if none does or the folder is not a drive."""
    camera = _read_camera(folder / "camera.json")
    frames = list(open_drive(folder).frames())
    truths = [_truth(frame) for frame in frames]
    num_bytes = BAG_OVERHEAD_BYTES + sum(truth.data.size for truth in truths)
    for quality in QUALITIES:
        images = [_jpeg(frame, quality) for frame in frames]
        if num_bytes + sum(image.data.size for image in images) <= max_mb * 1e6:
            break
    else:
        raise DataError(f"{folder}: is more than {max_mb} MB even at JPEG quality {quality}; render fewer frames")
    with BagWriter(out, overwrite=True) as bag:
        for frame, image, truth in zip(frames, images, truths, strict=True):
            bag.write_message(IMAGE_TOPIC, frame.stamp_ns, image)
            bag.write_message(INFO_TOPIC, frame.stamp_ns, _camera_info(frame.image.header, camera))
            bag.write_message(TRUTH_TOPIC, frame.stamp_ns, truth)
    print(f"{out}: {len(frames)} frames, {sum(f.stat().st_size for f in out.iterdir()) / 1e6:.2f} MB, JPEG {quality}")


def _read_camera(path: Path) -> dict[str, Any]:
    try:
        camera = json.loads(path.read_text(encoding="utf-8"))
        return {name: camera[name] for name in ("width", "height", "K", "distortion")}
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path}: is not a renderer's camera file ({error}); render the drive again") from error


def _jpeg(frame: DriveFrame, quality: int) -> CompressedImage:
    bgr = cv2.cvtColor(frame.rgb(), cv2.COLOR_RGB2BGR)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
    return CompressedImage(frame.image.header, "jpeg", cv2.imencode(".jpg", bgr, options)[1].reshape(-1))


def _truth(frame: DriveFrame) -> CompressedImage:
    mask = frame.ground_truth()
    if mask is None:
        raise DataError(f"the frame at {frame.stamp_ns} ns has no mask; render the drive again")
    png = cv2.imencode(".png", mask.astype(np.uint16), PNG_OPTIONS)[1]
    return CompressedImage(frame.image.header, "png", png.reshape(-1))


def _camera_info(header: Header, camera: dict[str, Any]) -> CameraInfo:
    matrix = np.array(camera["K"], np.float64)
    return CameraInfo(
        header=header,
        height=camera["height"],
        width=camera["width"],
        distortion_model="plumb_bob",
        d=np.array(camera["distortion"], np.float64),
        k=matrix.reshape(-1),
        r=np.eye(3).reshape(-1),
        p=np.hstack([matrix, np.zeros((3, 1))]).reshape(-1),
        binning_x=0,
        binning_y=0,
        roi=RegionOfInterest(0, 0, 0, 0, False),
    )


if __name__ == "__main__":
    main()
